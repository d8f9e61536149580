package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"vigo.dev/pkg/host"
)

// files keeps what is at a path before it is written.
type files struct {
	host.FS
	r *recorder
}

// Write implements host.FS. What is there is kept when the candidate was found good, right before it takes its place.
func (w *files) Write(ctx context.Context, name string, content io.Reader, opt host.WriteOptions) error {
	if isCheck(ctx) {
		return w.FS.Write(ctx, name, content, opt)
	}
	if opt.Backup != "" {
		if err := w.keep(opt.Backup); err != nil {
			return err
		}
	}
	check := opt.Validate
	opt.Validate = func(ctx context.Context, candidate string) error {
		if check != nil {
			if err := check(context.WithValue(ctx, checking{}, true), candidate); err != nil {
				return err
			}
		}
		return w.keep(name)
	}
	return w.FS.Write(ctx, name, content, opt)
}

// SetAttr implements host.FS.
func (w *files) SetAttr(ctx context.Context, name string, a host.Attr) error {
	if isCheck(ctx) {
		return w.FS.SetAttr(ctx, name, a)
	}
	is, err := w.FS.Stat(name)
	if err != nil {
		return err
	}
	if err := w.r.keep([]undo{{Kind: undoAttr, Name: name, Mode: is.Mode, UID: is.UID, GID: is.GID}}); err != nil {
		return err
	}
	return w.FS.SetAttr(ctx, name, a)
}

// MakeDir implements host.FS.
func (w *files) MakeDir(ctx context.Context, name string, a host.Attr) error {
	if isCheck(ctx) {
		return w.FS.MakeDir(ctx, name, a)
	}
	is, err := w.FS.Stat(name)
	if err == nil && is.Kind == host.Dir {
		if a == (host.Attr{}) {
			return nil
		}
		return w.SetAttr(ctx, name, a)
	}
	var made []undo
	for dir := name; errors.Is(err, host.ErrNotFound) && dir != "/"; {
		made = append([]undo{{Kind: undoAbsent, Name: dir}}, made...)
		dir = path.Dir(dir)
		_, err = w.FS.Stat(dir)
	}
	if err != nil {
		return fmt.Errorf("keeping what is at %s: %w", name, err)
	}
	if err := w.r.keep(made); err != nil {
		return err
	}
	return w.FS.MakeDir(ctx, name, a)
}

// Link implements host.FS.
func (w *files) Link(ctx context.Context, name, target string) error {
	if isCheck(ctx) {
		return w.FS.Link(ctx, name, target)
	}
	if err := w.keep(name); err != nil {
		return err
	}
	return w.FS.Link(ctx, name, target)
}

// Remove implements host.FS.
func (w *files) Remove(ctx context.Context, name string, all bool) error {
	if isCheck(ctx) {
		return w.FS.Remove(ctx, name, all)
	}
	if err := w.keep(name); err != nil {
		return err
	}
	return w.FS.Remove(ctx, name, all)
}

// isCheck says whether a candidate is being looked at: what that writes is scratch.
func isCheck(ctx context.Context) bool { return ctx.Value(checking{}) != nil }

func (w *files) keep(name string) error {
	undos, err := w.image(name)
	if err != nil {
		return fmt.Errorf("keeping what is at %s: %w", name, err)
	}
	return w.r.keep(undos)
}

// image is what is at a path: what is in a directory, then the directory.
func (w *files) image(name string) ([]undo, error) {
	is, err := w.FS.Stat(name)
	if errors.Is(err, host.ErrNotFound) {
		return []undo{{Kind: undoAbsent, Name: name}}, nil
	}
	if err != nil {
		return nil, err
	}
	u := undo{Name: name, Mode: is.Mode, UID: is.UID, GID: is.GID}
	switch is.Kind {
	case host.File:
		u.Kind = undoFile
		u.Content, err = w.FS.Read(name, maxKept)
	case host.Symlink:
		u.Kind, u.Text = undoLink, is.Target
	case host.Dir:
		u.Kind = undoDir
		inside, err := w.FS.List(name)
		if err != nil {
			return nil, err
		}
		var all []undo
		for _, entry := range inside {
			below, err := w.image(path.Join(name, entry.Name))
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
		}
		return append(all, u), nil
	default:
		return nil, errors.New("it is neither a file, a directory nor a symbolic link")
	}
	return []undo{u}, err
}
