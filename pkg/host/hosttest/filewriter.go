package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"vigo.dev/pkg/host"
)

var errImmutable = errors.New("operation not permitted")

// Write implements host.FileWriter.
func (f files) Write(ctx context.Context, name string, content io.Reader, opt host.WriteOptions) error {
	body, err := io.ReadAll(content)
	if err != nil {
		if opt.Partial != "" && len(body) > 0 {
			f.put(opt.Partial, &node{kind: host.File, mode: 0o600, content: string(body)})
		}
		return fmt.Errorf("writing %s: %w", name, err)
	}
	at, n, err := f.prepare(name, body, opt)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	candidate := path.Join(path.Dir(at), "."+path.Base(at)+".vigo-candidate")
	if opt.Validate != nil {
		f.put(candidate, n)
		err := opt.Validate(ctx, candidate)
		f.put(candidate, nil)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if old := f.m.nodes[at]; old != nil && opt.Backup != "" && old.kind == host.File {
		kept := *old
		f.m.imply(opt.Backup)
		f.m.nodes[opt.Backup] = &kept
	}
	f.m.nodes[at] = n
	return nil
}

// prepare makes the node that Write puts in place.
func (f files) prepare(name string, body []byte, opt host.WriteOptions) (string, *node, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.wrote("write %s", name)
	if err := f.m.failure("write", name); err != nil {
		return "", nil, err
	}
	at, err := f.m.place(name)
	if err != nil {
		return "", nil, err
	}
	n := &node{kind: host.File, mode: 0o644, content: string(body)}
	if old := f.m.nodes[at]; old != nil {
		switch old.kind {
		case host.Dir:
			return "", nil, errors.New("is a directory")
		case host.File:
			if old.flags.Immutable {
				return "", nil, errImmutable
			}
			n.mode, n.uid, n.gid, n.xattrs = old.mode, old.uid, old.gid, old.xattrs
		}
	}
	n.set(opt.Attr)
	return at, n, nil
}

// place resolves a path that is to be written and makes sure that its directory exists.
func (m *Machine) place(name string) (string, error) {
	at, err := m.resolve(name, false)
	if err != nil {
		return "", err
	}
	if dir := m.nodes[path.Dir(at)]; dir == nil {
		return "", fmt.Errorf("directory %s: %w", path.Dir(name), host.ErrNotFound)
	} else if dir.kind != host.Dir {
		return "", fmt.Errorf("%s is not a directory", path.Dir(name))
	}
	return at, nil
}

func (f files) put(name string, n *node) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if n == nil {
		delete(f.m.nodes, name)
		return
	}
	f.m.nodes[name] = n
}

func (n *node) set(a host.Attr) {
	if a.Mode != nil {
		n.mode = *a.Mode
	}
	if a.UID != nil {
		n.uid = *a.UID
	}
	if a.GID != nil {
		n.gid = *a.GID
	}
}

// SetAttr implements host.FileWriter. The mode of a symbolic link cannot be set.
func (f files) SetAttr(_ context.Context, name string, a host.Attr) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.wrote("setattr %s", name)
	if err := f.m.failure("write", name); err != nil {
		return fmt.Errorf("setting attributes of %s: %w", name, err)
	}
	_, n, err := f.m.look("stat", name, false)
	if err != nil {
		return fmt.Errorf("setting attributes of %w", err)
	}
	if n.kind == host.Symlink && a.Mode != nil {
		return fmt.Errorf("setting attributes of %s: a symbolic link has no mode: %w", name, errors.ErrUnsupported)
	}
	if n.flags.Immutable {
		return fmt.Errorf("setting attributes of %s: %w", name, errImmutable)
	}
	n.set(a)
	n.implied = false
	return nil
}

// MakeDir implements host.FileWriter.
func (f files) MakeDir(_ context.Context, name string, a host.Attr) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.wrote("mkdir %s", name)
	if err := f.m.failure("write", name); err != nil {
		return fmt.Errorf("making directory %s: %w", name, err)
	}
	at, err := f.m.resolve(name, false)
	if err != nil {
		return fmt.Errorf("making directory %w", err)
	}
	for dir := at; ; dir = path.Dir(dir) {
		if n := f.m.nodes[dir]; n == nil {
			f.m.nodes[dir] = &node{kind: host.Dir, mode: 0o755}
		} else if n.kind != host.Dir {
			return fmt.Errorf("making directory %s: %s is a %s", name, dir, n.kind)
		} else {
			break
		}
	}
	f.m.nodes[at].set(a)
	f.m.nodes[at].implied = false
	return nil
}

// Link implements host.FileWriter.
func (f files) Link(_ context.Context, name, target string) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.wrote("link %s", name)
	if err := f.m.failure("write", name); err != nil {
		return fmt.Errorf("linking %s: %w", name, err)
	}
	at, err := f.m.place(name)
	if err != nil {
		return fmt.Errorf("linking %s: %w", name, err)
	}
	if old := f.m.nodes[at]; old != nil && old.kind == host.Dir {
		return fmt.Errorf("linking %s: is a directory", name)
	}
	f.m.nodes[at] = &node{kind: host.Symlink, mode: 0o777, target: target}
	return nil
}

// Remove implements host.FileWriter.
func (f files) Remove(_ context.Context, name string, all bool) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.wrote("remove %s", name)
	if err := f.m.failure("write", name); err != nil {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	at, n, err := f.m.look("stat", name, false)
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	if err == nil && n.flags.Immutable {
		err = errImmutable
	}
	if err != nil {
		return fmt.Errorf("removing %w", err)
	}
	if len(f.m.below(at)) > 0 && !all {
		return fmt.Errorf("removing %s: directory not empty", name)
	}
	f.m.removeTree(at)
	return nil
}

// below returns the paths of everything in a directory, at any depth.
func (m *Machine) below(dir string) []string {
	var below []string
	for other := range m.nodes {
		if strings.HasPrefix(other, dir+"/") {
			below = append(below, other)
		}
	}
	return below
}

func (m *Machine) removeTree(at string) {
	for _, other := range append(m.below(at), at) {
		delete(m.nodes, other)
	}
	m.forget()
}

// imply makes the parents of a path that the text or a backup names without naming them.
func (m *Machine) imply(name string) {
	for dir := path.Dir(name); m.nodes[dir] == nil; dir = path.Dir(dir) {
		m.nodes[dir] = &node{kind: host.Dir, mode: 0o755, implied: true}
	}
}
