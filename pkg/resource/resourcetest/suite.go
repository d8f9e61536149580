// Package resourcetest proves that resource types keep the contract of package resource.
//
// It refuses to know any type: everything it knows of one comes from its text cases, testdata/<kind>/*.txtar. See
// [Run] for what a case is and what is proven of it.
package resourcetest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/resource"
)

var update = flag.Bool("update", false, "rewrite the expected sections of the cases")

// Run runs every case dir/<kind>/*.txtar of every kind of the registry. A kind without a case fails, and so does a case
// of an unknown kind.
//
// A case starts with a comment that says what it shows, and has these sections:
//
//	resource     YAML: the identity line, such as "file: /etc/motd", and the attributes
//	host         the machine before, as package hosttest reads it; contents may be sections fs/<path>
//	files/…      files of the module; templates/… its templates, as rendered
//	others       references of other resources in the catalog, one a line
//	diff         the changes Plan promises; empty if the host conforms
//	learnt       if there: what is reported once it is done, which is more than was known before
//	refresh      if there: Refresh is called after the changes, in the same run, and this is what it did to the machine
//	finish       if there: Finish is called at the end, and this is what it did to the machine
//	after        the machine afterwards; may be left out if nothing is changed
//	error        if there: what decoding, binding, Plan, Apply, Refresh or Finish says
//
// It is proven that Plan writes nothing and says the same twice, that the diff is as expected, that Apply makes exactly
// the changes of the plan, that the machine is then as expected, that a second Plan is empty, and that the value of a
// secret attribute is in no change and no error. With the test flag -update the sections diff, learnt, refresh, finish, after and error
// are rewritten.
func Run(t *testing.T, reg *resource.Registry, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, known := reg.Kind(e.Name()); !known && e.IsDir() && e.Name() != "fuzz" {
			t.Errorf("%s holds cases of a kind that is not registered", filepath.Join(dir, e.Name()))
		}
	}
	for _, name := range reg.Names() {
		kind, _ := reg.Kind(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paths, err := filepath.Glob(filepath.Join(dir, name, "*.txtar"))
			if err != nil {
				t.Fatal(err)
			}
			if len(paths) == 0 {
				t.Errorf("kind %s has no case: add %s", name, filepath.Join(dir, name, "<what-it-shows>.txtar"))
			}
			for _, path := range paths {
				t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
					t.Parallel()
					runFile(t, kind, path)
				})
			}
		})
	}
}

func runFile(t *testing.T, kind resource.Kind, path string) {
	c, err := readCase(path)
	if err != nil {
		t.Fatal(err)
	}
	got, broken := prove(kind, c)
	for _, b := range broken {
		t.Errorf("%s: %s", path, b)
	}
	if *update && len(broken) == 0 {
		if err := c.rewrite(path, got); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := c.want()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: not as expected (-want +got):\n%s", path, diff)
	}
}

// outcome is what a case does, in the text of its expected sections.
type outcome struct {
	Diff, Learnt, After, Refresh, Finish, Error string
}

// prove runs a case and returns what it did, and every part of the contract that was broken.
func prove(kind resource.Kind, c *testCase) (got outcome, broken []string) {
	ctx := context.Background()
	m, err := hosttest.FromArchive(c.archive)
	if err != nil {
		return got, []string{err.Error()}
	}
	before := m.String()
	p := prover{kind: kind, c: c, m: m}
	err = p.run(ctx, &got)
	if err != nil {
		got.Error = explain(err)
	}
	got.After = after(before, m)
	for _, secret := range c.secrets(kind) {
		if strings.Contains(got.Diff+got.Error, secret) {
			p.breaks("a change or an error shows the secret %q", secret)
		}
	}
	return got, p.broken
}

// explain prints an error with its hints; problems print theirs themselves.
func explain(err error) string {
	text := err.Error() + "\n"
	for _, hint := range fault.Hints(err) {
		text += "hint: " + hint + "\n"
	}
	return text
}

// after prints a machine: empty if it is as before, and as a comment if there is nothing left to print.
func after(before string, m *hosttest.Machine) string {
	switch now := m.String(); now {
	case before:
		return ""
	case "":
		return "# nothing is left\n"
	default:
		return now
	}
}

type prover struct {
	kind   resource.Kind
	c      *testCase
	m      *hosttest.Machine
	broken []string
}

func (p *prover) breaks(format string, args ...any) {
	p.broken = append(p.broken, fmt.Sprintf(format, args...))
}

// run plans, applies, plans again, refreshes and finishes. The error is one that a case may expect.
func (p *prover) run(ctx context.Context, got *outcome) error {
	res, err := p.decode()
	if err != nil {
		return err
	}
	h := p.m.Host()
	plan, err := res.Plan(ctx, h)
	if n := p.m.Writes(); n > 0 {
		p.breaks("Plan wrote to the host %d times: %v", n, p.m.Log())
	}
	if err != nil {
		return err
	}
	diff := render(plan.Changes())
	got.Diff = diff
	again, err := res.Plan(ctx, h)
	if err != nil {
		p.breaks("a second look fails: %v", err)
	} else if other := render(again.Changes()); other != diff {
		p.breaks("two looks at the same host differ (-first +second):\n%s", cmp.Diff(diff, other))
	}
	made, err := plan.Apply(ctx)
	if err != nil {
		return err
	}
	if p.c.has("learnt") {
		got.Learnt = render(made)
	} else if other := render(made); other != diff {
		p.breaks("Apply made other changes than Plan promised (-promised +made):\n%s", cmp.Diff(diff, other))
	}
	_, later := res.(resource.Finisher) // may leave what it changes to the end of the run
	if wrote := p.m.Writes() > 0; wrote == plan.Empty() && (wrote || !later) {
		p.breaks("the plan promised %d changes, but the host saw the writes %v", len(plan.Changes()), p.m.Log())
	}
	after, err := res.Plan(ctx, h)
	switch {
	case err != nil:
		p.breaks("looking at the changed host: %v", err)
	case !after.Empty():
		p.breaks("not idempotent: a second plan wants\n%s", render(after.Changes()))
	}
	r, _ := res.(resource.Refresher)
	if got.Refresh, err = p.later("refresh", r != nil, func() error { return r.Refresh(ctx, h) }); err != nil {
		return err
	}
	f, _ := res.(resource.Finisher)
	got.Finish, err = p.later("finish", f != nil, func() error { return f.Finish(ctx, h) })
	return err
}

func (p *prover) decode() (resource.Resource, error) {
	identity, attrs, err := p.c.resource(p.kind.Name)
	if err != nil {
		return nil, err
	}
	static := func(any) bool { return false }
	res, problems := p.kind.Decode(identity, attrs)
	if checked := p.kind.Check(identity, attrs, static); checked.Err() == nil && problems.Err() != nil {
		p.breaks("Check finds nothing where Decode says: %v", problems)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if b, ok := res.(resource.Binder); ok {
		if err := b.Bind(p.c); err != nil {
			return nil, err
		}
	}
	if a, ok := res.(resource.Aware); ok {
		others, err := p.c.others()
		if err != nil {
			return nil, err
		}
		a.Aware(others)
	}
	if a, ok := res.(resource.Acquainted); ok {
		a.Acquaint([]resource.Resource{res}) // alone
	}
	if r, ok := res.(resource.Requirer); ok {
		for _, id := range r.Requires() {
			if id.Type == p.kind.Name && id.Name == identity {
				p.breaks("it requires itself: %s", id)
			}
		}
	}
	return res, nil
}

// later calls what comes after the changes, if the case has a section for it, and returns what it did to the machine.
func (p *prover) later(section string, can bool, do func() error) (string, error) {
	if !p.c.has(section) {
		return "", nil
	}
	if !can {
		return "", fmt.Errorf("there is a section %s, but the kind has nothing to do then", section)
	}
	seen := p.m.Writes()
	err := do()
	var b strings.Builder
	for _, line := range p.m.Log()[seen:] {
		b.WriteString(line + "\n")
	}
	return b.String(), err
}

func render(changes []change.Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}
