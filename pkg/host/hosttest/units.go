package hosttest

import (
	"context"
	"fmt"
	"path"

	"vigo.dev/pkg/host"
)

// units implements host.Units for one run.
type units struct {
	m    *Machine
	owed bool
}

var _ host.Units = (*units)(nil)

// Stale implements host.Units.
func (u *units) Stale(_ context.Context, name string) (bool, error) {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	if err := u.m.failure("units", name); err != nil {
		return false, fmt.Errorf("unit %s: %w", name, err)
	}
	if path.Ext(name) == "" {
		name += ".service"
	}
	return !u.owed && u.m.stale[name], nil
}

// Owe implements host.Units.
func (u *units) Owe() {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	u.owed = true
	u.m.wrote("owe a reload")
}

// Settle implements host.Units.
func (u *units) Settle(context.Context) error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	if !u.owed {
		return nil
	}
	u.m.wrote("reload units")
	if err := u.m.failure("units", ""); err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	u.owed = false
	clear(u.m.stale)
	return nil
}

func (p *parser) stale(l *line) error {
	if err := l.want(1, 1, "stale UNIT"); err != nil {
		return err
	}
	p.m.stale[l.args[0]] = true
	return nil
}
