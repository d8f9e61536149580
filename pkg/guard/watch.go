package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vigo.dev/pkg/host"
)

// checking marks a program that only looks at a candidate.
type checking struct{}

// maxStdin bounds what is kept of the input of a program, in bytes.
const maxStdin = 1 << 20

type runner struct {
	host.Runner
	r *recorder
}

// Run implements host.Runner: the program is one that makes files effective, and is run again when they are put back.
func (w *runner) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if isCheck(ctx) {
		return w.Runner.Run(ctx, c)
	}
	a := action{Argv: c.Argv, Dir: c.Dir, Env: c.Env, User: c.User, Umask: c.Umask}
	if c.Stdin != nil {
		data, err := io.ReadAll(io.LimitReader(c.Stdin, maxStdin+1))
		if err == nil && len(data) > maxStdin {
			err = errors.New("it is longer than 1 MiB")
		}
		if err != nil {
			return host.Result{}, fmt.Errorf("keeping the input of %s: %w", c.Argv[0], err)
		}
		a.Stdin, c.Stdin = data, bytes.NewReader(data)
	}
	if err := w.r.keep(nil, a); err != nil {
		return host.Result{}, err
	}
	return w.Runner.Run(ctx, c)
}

type services struct {
	host.Services
	r *recorder
}

// SetBoot implements host.Services.
func (w *services) SetBoot(ctx context.Context, name string, boot host.Boot) error {
	err := w.r.service(ctx, name, func(is host.Service) undo { return undo{Kind: undoBoot, Name: name, Text: string(is.Boot)} })
	if err != nil {
		return err
	}
	return w.Services.SetBoot(ctx, name, boot)
}

// SetRunning implements host.Services.
func (w *services) SetRunning(ctx context.Context, name string, running bool) error {
	err := w.r.service(ctx, name, func(is host.Service) undo { return undo{Kind: undoRunning, Name: name, Running: is.Running} })
	if err != nil {
		return err
	}
	return w.Services.SetRunning(ctx, name, running)
}

// Restart implements host.Services: it makes files effective, and is done again when they are put back.
func (w *services) Restart(ctx context.Context, name string, reload bool) error {
	if err := w.r.keep(nil, action{Service: name, Reload: reload}); err != nil {
		return err
	}
	return w.Services.Restart(ctx, name, reload)
}

type units struct {
	host.Units
	r *recorder
}

// Owe implements host.Units. The file that it is about was kept already: if this cannot be, the reload is owed all the same.
func (w *units) Owe() {
	w.r.unkept = errors.Join(w.r.unkept, w.r.keep(nil, action{Units: true}))
	w.Units.Owe()
}

type kernel struct {
	host.Kernel
	r *recorder
}

// SetSysctl implements host.Kernel.
func (w *kernel) SetSysctl(ctx context.Context, key, value string) error {
	is, err := w.Kernel.Sysctl(ctx, key)
	if err != nil {
		return err
	}
	if err := w.r.keep([]undo{{Kind: undoSysctl, Name: key, Text: is}}); err != nil {
		return err
	}
	return w.Kernel.SetSysctl(ctx, key, value)
}

// SetHostname implements host.Kernel.
func (w *kernel) SetHostname(context.Context, string) error { return errNotKept }

type firewall struct {
	host.Firewall
	r *recorder
}

// Load implements host.Firewall.
func (w *firewall) Load(ctx context.Context, family, table, path string) error {
	is, err := w.Firewall.Dump(ctx, family, table)
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
		is, err = "", nil
	}
	if err != nil {
		return err
	}
	if err := w.r.keep([]undo{{Kind: undoTable, Name: table, Text: family, Content: []byte(is)}}); err != nil {
		return err
	}
	return w.Firewall.Load(ctx, family, table, path)
}

var errNotKept = errors.New("a guarded resource cannot change this: it could not be put back")

type extended struct{ host.Extended }

// SetXattr implements host.Extended.
func (extended) SetXattr(context.Context, string, string, []byte) error { return errNotKept }

// SetFlags implements host.Extended.
func (extended) SetFlags(context.Context, string, host.FileFlags) error { return errNotKept }

// refusing is host.Below that changes nothing.
type refusing struct{}

// RemoveBelow implements host.Below.
func (refusing) RemoveBelow(context.Context, string, string, bool) error { return errNotKept }

// SetAttrBelow implements host.Below.
func (refusing) SetAttrBelow(context.Context, string, string, host.Info, host.Attr) error {
	return errNotKept
}

// SetXattrBelow implements host.Below.
func (refusing) SetXattrBelow(context.Context, string, string, host.Info, string, []byte) error {
	return errNotKept
}
