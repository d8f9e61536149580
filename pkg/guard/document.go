package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/converge"
)

// maxKept bounds what is kept of all changes together, in bytes: it is written anew with each of them.
const maxKept = 8 << 20

// document is the file of a Keeper.
type document struct {
	Format    int                 `json:"format"` // 1
	Next      int                 `json:"next"`   // number of the newest change
	Held      []*held             `json:"held,omitempty"`
	Reverting string              `json:"reverting,omitempty"` // why the changes are being put back
	Reverted  map[string]Reverted `json:"reverted,omitempty"`  // by resource
}

// held is what one resource has changed since the last check-in.
type held struct {
	Resource string `json:"resource"` // module/type:identity
	Digest   string `json:"digest"`   // of its declaration
	Bundle   string `json:"bundle"`
	Number   int    `json:"number"` // rises with every change
	wait
	Undo []undo   `json:"undo,omitempty"`
	Redo []action `json:"redo,omitempty"`
}

// Reverted is a declaration that was put back and is not tried again.
type Reverted struct {
	Digest string `json:"digest"`
	Bundle string `json:"bundle"`
	Reason string `json:"reason"`
}

// undo is one thing as it was before.
type undo struct {
	Kind    string      `json:"kind"`
	Name    string      `json:"name"` // path, service, parameter or table
	Mode    fs.FileMode `json:"mode,omitempty"`
	UID     int         `json:"uid,omitempty"`
	GID     int         `json:"gid,omitempty"`
	Content []byte      `json:"content,omitempty"`
	Text    string      `json:"text,omitempty"` // target, boot state, value or family
	Running bool        `json:"running,omitempty"`
}

// The kinds of undo.
const (
	undoFile    = "file"
	undoLink    = "link"
	undoDir     = "directory"
	undoAbsent  = "absent"
	undoAttr    = "attributes" // of a file whose content was left alone
	undoBoot    = "boot"
	undoRunning = "running"
	undoSysctl  = "sysctl"
	undoTable   = "table"
)

// covers reports whether what is kept of a thing is all that another undo would say of it.
func (u undo) covers(other undo) bool {
	file := func(kind string) bool {
		return kind == undoFile || kind == undoLink || kind == undoDir || kind == undoAbsent
	}
	if u.Name != other.Name {
		return false
	}
	return u.Kind == other.Kind || file(u.Kind) && (file(other.Kind) || other.Kind == undoAttr)
}

// action is what made a change effective.
type action struct {
	Argv    []string `json:"argv,omitempty"` // a program
	Dir     string   `json:"dir,omitempty"`
	Env     []string `json:"env,omitempty"`
	Stdin   []byte   `json:"stdin,omitempty"`
	User    string   `json:"user,omitempty"`
	Umask   string   `json:"umask,omitempty"`
	Service string   `json:"service,omitempty"` // a restart
	Reload  bool     `json:"reload,omitempty"`
	Units   bool     `json:"units,omitempty"` // systemd has read its unit files again
}

func (d document) clone() document {
	d.Held = slices.Clone(d.Held)
	d.Reverted = maps.Clone(d.Reverted)
	return d
}

func (d document) size() int {
	n := 0
	for _, h := range d.Held {
		for _, u := range h.Undo {
			n += len(u.Content) + len(u.Text)
		}
		for _, a := range h.Redo {
			n += len(a.Stdin)
		}
	}
	return n
}

// Open reads what is kept at path. What cannot be understood is put aside as path.damaged and said in the error, beside a
// Keeper that can be used; with look nothing is put aside.
func Open(path string, clock Clock, look bool) (*Keeper, error) {
	k := &Keeper{path: path, clock: clock, doc: document{Format: 1}, changed: make(chan struct{}, 1)}
	doc, err := read(path)
	if err == nil {
		k.doc = doc
		return k, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	err = fmt.Errorf("%w; it is put aside, and what guarded resources changed last stays as it is", err)
	if look {
		return k, err
	}
	return k, errors.Join(err, os.Rename(path, path+".damaged"))
}

func read(path string) (document, error) {
	doc := document{Format: 1}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return doc, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &doc)
	}
	if err == nil && doc.Format != 1 {
		err = errors.New("it is of no format that is known here")
	}
	if err == nil && slices.Contains(doc.Held, nil) {
		err = errors.New("a change in it says nothing")
	}
	if err != nil {
		return doc, fmt.Errorf("reading what guarded resources have changed: %w", err)
	}
	return doc, nil
}

// save makes doc what is kept; on an error what was kept before still is. The file is gone when there is nothing to keep,
// which also a full disk allows.
func (k *Keeper) save(doc document) error {
	if len(doc.Held) == 0 && len(doc.Reverted) == 0 {
		if err := atomicfile.Remove(k.path); err != nil {
			return err
		}
		k.doc = doc
		return nil
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(k.path, data, 0o600); err != nil {
		return err
	}
	k.doc = doc
	return nil
}

// The states of a guarded resource.
const (
	StateWaiting  = "waiting"
	StateReverted = "reverted"
)

// A State is what a guard knows of one resource, for people.
type State struct {
	Resource string        `json:"resource"`
	State    string        `json:"state"` // waiting or reverted
	Timeout  time.Duration `json:"timeout,omitempty"`
	Reason   string        `json:"reason"`
}

// Read says what is kept at path, by resource, and changes nothing.
func Read(path string) ([]State, error) {
	doc, err := read(path)
	if err != nil {
		return nil, err
	}
	var all []State
	for _, h := range doc.Held {
		s := State{Resource: h.Resource, State: StateWaiting, Timeout: h.Timeout, Reason: converge.Pending(h.Timeout)}
		if doc.Reverting != "" {
			s.Reason = doc.Reverting + "; some of it could not be put back yet"
		}
		all = append(all, s)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Reverted)) {
		all = append(all, State{Resource: name, State: StateReverted, Reason: doc.Reverted[name].Reason})
	}
	return all, nil
}
