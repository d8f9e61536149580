package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
)

func (a action) equal(b action) bool {
	return slices.Equal(a.Argv, b.Argv) && a.Dir == b.Dir && slices.Equal(a.Env, b.Env) && bytes.Equal(a.Stdin, b.Stdin) && a.User == b.User &&
		a.Umask == b.Umask && a.Service == b.Service && a.Reload == b.Reload && a.Units == b.Units
}

func (a action) String() string {
	switch {
	case a.Service != "" && a.Reload:
		return "reloading " + a.Service
	case a.Service != "":
		return "restarting " + a.Service
	case a.Units:
		return "reloading the units"
	}
	return strings.Join(a.Argv, " ")
}

// Revert puts back all that was not confirmed, if the time of some of it is over, and returns the resources whose change was
// taken back. All changes since the last check-in go together: a later one was made on top of the earlier ones. On an error
// it is to be called again; it may be killed and repeated at any moment.
func (k *Keeper) Revert(ctx context.Context, h *host.Host) (resources []string, err error) {
	doc, due := k.begin()
	if !due {
		return nil, nil
	}
	for i := len(doc.Held) - 1; i >= 0; i-- {
		changes := doc.Held[i].Undo
		for j := len(changes) - 1; j >= 0; j-- {
			u := changes[j]
			if failed := u.restore(ctx, h); failed != nil {
				err = errors.Join(err, fmt.Errorf("putting %s of %s back: %w", u.Name, doc.Held[i].Resource, failed))
			}
		}
	}
	if err != nil {
		return nil, err
	}
	reason := doc.Reverting
	if again := repeat(ctx, h, doc.Held); again != nil {
		if ctx.Err() != nil {
			return nil, again
		}
		reason = fmt.Sprintf("%s; what was there is back, but not all is as before: %v", reason, again)
	}
	return k.finish(reason)
}

// begin makes it durable that all is put back from now on, whatever comes.
func (k *Keeper) begin() (doc document, due bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	left, timeout, waiting := k.left()
	if !waiting || left > 0 {
		return document{}, false
	}
	if k.doc.Reverting == "" {
		next := k.doc.clone()
		next.Reverting = "reverted: no check-in within " + converge.Brief(timeout)
		if k.unsaved = k.save(next); k.unsaved != nil { // a full disk must not keep the machine cut off
			k.doc = next
		}
	}
	return k.doc.clone(), true
}

// finish remembers what was put back.
func (k *Keeper) finish(reason string) (resources []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.doc.clone()
	next.Reverted = maps.Clone(next.Reverted)
	if next.Reverted == nil {
		next.Reverted = map[string]Reverted{}
	}
	for _, h := range next.Held {
		next.Reverted[h.Resource] = Reverted{Digest: h.Digest, Bundle: h.Bundle, Reason: reason}
		resources = append(resources, h.Resource)
	}
	next.Held, next.Reverting = nil, ""
	defer k.tell()
	return resources, k.save(next)
}

// restore makes a thing what it was, and does nothing where it is.
func (u undo) restore(ctx context.Context, h *host.Host) error {
	mode, uid, gid := u.Mode, u.UID, u.GID
	attr := host.Attr{Mode: &mode, UID: &uid, GID: &gid}
	switch u.Kind {
	case undoBoot, undoRunning:
		return u.restoreService(ctx, h)
	case undoSysctl:
		return h.Kernel.SetSysctl(ctx, u.Name, u.Text)
	case undoTable:
		err := h.Firewall.Restore(ctx, u.Text, u.Name, string(u.Content))
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return err
	case undoAttr:
		return h.FS.SetAttr(ctx, u.Name, attr)
	}
	is, err := h.FS.Stat(u.Name)
	there := err == nil
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	if u.Kind == undoAbsent {
		return u.removeNew(ctx, h, is, there)
	}
	if there && (is.Kind == host.Dir) != (u.Kind == undoDir) {
		if err := h.FS.Remove(ctx, u.Name, true); err != nil {
			return err
		}
	}
	switch u.Kind {
	case undoFile:
		return h.FS.Write(ctx, u.Name, bytes.NewReader(u.Content), host.WriteOptions{Attr: attr})
	case undoLink:
		return h.FS.Link(ctx, u.Name, u.Text)
	case undoDir:
		if err := h.FS.MakeDir(ctx, u.Name, attr); err != nil {
			return err
		}
		return h.FS.SetAttr(ctx, u.Name, attr)
	}
	return fmt.Errorf("%q is kept, which is not known here", u.Kind)
}

// removeNew removes what was not there before. A directory in which there is something of others by now stays.
func (u undo) removeNew(ctx context.Context, h *host.Host, is host.Info, there bool) error {
	if !there {
		return nil
	}
	if is.Kind == host.Dir {
		if inside, err := h.FS.List(u.Name); err != nil || len(inside) > 0 {
			return err
		}
	}
	return h.FS.Remove(ctx, u.Name, false)
}

func (u undo) restoreService(ctx context.Context, h *host.Host) error {
	is, err := h.Services.Service(ctx, u.Name)
	if errors.Is(err, host.ErrNotFound) { // its unit file was new, and is gone
		return nil
	}
	if err != nil {
		return err
	}
	if u.Kind == undoRunning {
		if is.Running == u.Running {
			return nil
		}
		return h.Services.SetRunning(ctx, u.Name, u.Running)
	}
	if is.Boot == host.Boot(u.Text) || u.Text == string(host.Static) {
		return nil
	}
	return h.Services.SetBoot(ctx, u.Name, host.Boot(u.Text))
}

// repeat does again what made the changes effective, now for what was there before.
func repeat(ctx context.Context, h *host.Host, all []*held) (failed error) {
	var done []action
	for _, held := range all {
		for _, a := range held.Redo {
			if slices.ContainsFunc(done, a.equal) {
				continue
			}
			done = append(done, a)
			if err := a.run(ctx, h); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", a, err))
			}
		}
	}
	return errors.Join(failed, h.Units.Settle(ctx))
}

func (a action) run(ctx context.Context, h *host.Host) error {
	switch {
	case a.Units:
		h.Units.Owe()
		return nil
	case a.Service != "":
		err := h.Services.Restart(ctx, a.Service, a.Reload)
		if errors.Is(err, host.ErrNotFound) {
			return nil
		}
		return err
	}
	c := host.Command{Argv: a.Argv, Dir: a.Dir, Env: a.Env, User: a.User, Umask: a.Umask}
	if a.Stdin != nil {
		c.Stdin = bytes.NewReader(a.Stdin)
	}
	res, err := h.Run.Run(ctx, c)
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("it ended with status %d", res.Code)
	}
	return err
}
