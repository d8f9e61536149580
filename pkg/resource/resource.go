// Package resource is the contract between the policy language and the resource types: what a type must do
// ([Resource]), how its struct is its schema ([KindOf]), and what a compiled policy is ([Catalog]).
//
// It refuses to contain any resource type (package resources does), to read YAML (package policy does) and to run
// anything (package converge does).
package resource

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/window"
)

// A Resource is one thing a policy declares, decoded into a struct. Its exported fields are the policy language: the
// yaml tag names the key, the vigo tag says required / enum / secret / identity, the doc comment is the manual.
//
// A value serves one run after the other, each with a Host of its own: what it remembers of a run, it remembers by that
// Host.
type Resource interface {
	// Plan compares the host with the declaration and returns the steps that bring the host into line. It changes
	// nothing. An empty plan: the host conforms.
	Plan(ctx context.Context, h *host.Host) (Plan, error)
}

// A Validator has rules over several fields; it does no I/O.
type Validator interface{ Validate() error }

// A Refresher does something when a resource that notifies it has changed: a service restarts, a refresh_only exec
// runs. It is called once a run, after its own plan was applied, however many notifiers changed.
type Refresher interface {
	Refresh(ctx context.Context, h *host.Host) error
}

// A Finisher has something left to do once every resource of the run had its turn: one reload for many unit files, a
// reboot. It is called once a run if the resource is in line by then; not in a dry run or an audit. It is called whether or
// not the resource changed anything, so it must know what is left.
type Finisher interface {
	Finish(ctx context.Context, h *host.Host) error
}

// A Punctual resource looks at its window by itself: what it does happens later than it is asked for. It is told once, when
// the catalog is complete, before it is planned. It does no I/O.
type Punctual interface{ Within(w window.Window) }

// A Revertible resource can be guarded: all that it changes is of a kind that can be put back exactly. Those are files, links
// and directories with mode and owner, the state of services, parameters of the kernel and tables of the firewall. The programs
// it runs to change something only make files effective, and doing that again when the files are back makes them effective,
// too. Revertible says why a declaration is not like that; it does no I/O.
type Revertible interface{ Revertible() error }

// A Foreseeable resource can be planned ahead of its turn, beside others, if Foreseeable says so: its plan does nothing but look
// at files and accounts, in the way several goroutines may, and is the same until something changes them. It does no I/O.
type Foreseeable interface{ Foreseeable() bool }

// A Joiner can be changed in one transaction with others of its kind.
type Joiner interface {
	// Join makes the changes of all, of which the Joiner is one, as far as they can be made together; what it leaves is
	// done one by one. Nobody is told of an error: each is then changed by itself.
	Join(ctx context.Context, h *host.Host, all []Resource) error
}

// A Requirer implies order: those of the IDs that are in the catalog come first. It does no I/O.
type Requirer interface{ Requires() []ID }

// An AppendRequirer is a Requirer of a kind of which there are many: what it requires is appended to ids, whose room is used
// again for the next.
type AppendRequirer interface {
	AppendRequires(ids []ID) []ID
}

// A Binder takes content from the module it is declared in, before it is planned: a template, a file. It is called
// once, when the catalog is built.
type Binder interface{ Bind(c Content) error }

// Aware is a resource that must know what else the catalog holds: a directory that removes what nobody declares. It is
// told once, when the catalog is complete, before it is planned. It does no I/O.
type Aware interface{ Aware(catalog []ID) }

// Acquainted is a resource that must know what else the catalog holds, as it is declared: a user whose keys are those that the
// policy declares for it. It is told once, when the catalog is complete, before it is planned. It does no I/O.
type Acquainted interface{ Acquaint(all []Resource) }

// A Confidant must know that its declaration holds secrets: a file is made for its owner alone then. It is told once, before
// it is planned; an error refuses the declaration. It does no I/O.
type Confidant interface{ Confide() error }

// Content is what a resource may take from its module.
type Content interface {
	// File returns files/<path> of the module; fs.ErrNotExist if it has none.
	File(path string) (Blob, error)
	// Template returns templates/<path> of the module, rendered for the node.
	Template(path string) ([]byte, error)
	// List returns the paths of all files below files/<dir>, sorted, relative to dir.
	List(dir string) ([]string, error)
}

// A Blob is a file of a module.
type Blob struct {
	Size   int64
	Digest string // sha256:<hex>
	Exec   bool
	Open   func() (io.ReadCloser, error) // the caller closes
}

// An ID names a resource inside a catalog: type and identity, such as file:/etc/motd.
type ID struct{ Type, Name string }

// String renders the ID as it is written in a policy.
func (id ID) String() string { return id.Type + ":" + id.Name }

// ParseID reads type:identity.
func ParseID(s string) (ID, error) {
	typ, name, ok := strings.Cut(s, ":")
	if !ok || typ == "" || name == "" {
		return ID{}, fmt.Errorf("reading reference %q: want type:identity, such as file:/etc/motd", s)
	}
	return ID{typ, name}, nil
}

// A Plan is the steps that bring one resource into line, in order. The zero Plan is empty.
type Plan struct {
	steps []step
	tells []*telling
}

type step struct {
	do      func(context.Context) ([]change.Change, error) // returns what it did, which may be more than was known before
	changes []change.Change
}

// Do adds a step and the changes it brings about. A step without changes is a programmer's mistake: what changes
// nothing need not be done.
func (p *Plan) Do(do func(context.Context) error, changes ...change.Change) {
	if len(changes) == 0 {
		panic("resource: a step that changes nothing")
	}
	p.Learn(func(ctx context.Context) ([]change.Change, error) { return changes, do(ctx) }, changes...)
}

// Learn is Do for a step that learns only while it is done all that it changes: what it returns is reported, in place of
// what was promised before, where [change.Unknown] stands for what was not known.
func (p *Plan) Learn(do func(context.Context) ([]change.Change, error), promised ...change.Change) {
	if len(promised) == 0 {
		panic("resource: a step that changes nothing")
	}
	p.steps = append(p.steps, step{do, promised})
}

// Then adds to the last step what must follow it, and returns the plan; an empty plan stays empty. What a crash between the
// two would lose must be seen by the next Plan.
func (p Plan) Then(after func(context.Context) error) Plan {
	if len(p.steps) == 0 {
		return p
	}
	steps := slices.Clone(p.steps)
	last := &steps[len(steps)-1]
	do := last.do
	last.do = func(ctx context.Context) ([]change.Change, error) {
		made, err := do(ctx)
		if err != nil {
			return nil, err
		}
		return made, after(ctx)
	}
	return Plan{steps, p.tells}
}

// Include appends the steps of another plan, for a resource that is made of smaller ones. The fields of its changes are
// prefixed with what they belong to, if that is not empty.
func (p *Plan) Include(prefix string, other Plan) {
	for _, s := range other.steps {
		do := func(ctx context.Context) ([]change.Change, error) {
			made, err := s.do(ctx)
			return prefixed(prefix, made), err
		}
		p.steps = append(p.steps, step{do, prefixed(prefix, s.changes)})
	}
	p.tells = append(slices.Clone(p.tells), other.tells...)
}

func prefixed(prefix string, changes []change.Change) []change.Change {
	if prefix == "" {
		return changes
	}
	all := slices.Clone(changes)
	for i := range all {
		all[i].Field = prefix + " " + all[i].Field
	}
	return all
}

// Empty reports whether the host conforms.
func (p Plan) Empty() bool { return len(p.steps) == 0 }

// Changes returns what the plan would change, in order.
func (p Plan) Changes() []change.Change {
	var all []change.Change
	for _, s := range p.steps {
		all = append(all, s.changes...)
	}
	return all
}

// Apply carries out the steps and stops at the first failure or when ctx ends. It returns the changes that were made.
func (p Plan) Apply(ctx context.Context) (made []change.Change, err error) {
	for _, s := range p.steps {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		changes, err := s.do(ctx)
		if err != nil {
			return made, err
		}
		made = append(made, changes...)
	}
	return made, nil
}
