//go:build linux

package machine

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"

	"vigo.dev/pkg/host"
)

var _ host.Units = (*services)(nil)

// Stale implements [host.Units].
func (s *services) Stale(ctx context.Context, name string) (bool, error) {
	unit, err := unitName(name)
	if err != nil || !s.live || s.owes() {
		return false, err
	}
	var at dbus.ObjectPath
	if err := s.m.bus.call(ctx, "LoadUnit", []any{unit}, &at); err != nil {
		return false, fmt.Errorf("looking for unit %s: %w", name, err)
	}
	props, err := s.m.bus.properties(ctx, at, ifUnit)
	if err != nil {
		return false, fmt.Errorf("looking for unit %s: %w", name, err)
	}
	stale, _ := props["NeedDaemonReload"].Value().(bool)
	return stale, nil
}

// Owe implements [host.Units].
func (s *services) Owe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = s.live
}

func (s *services) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owed
}

// Settle implements [host.Units].
func (s *services) Settle(ctx context.Context) error {
	if !s.owes() {
		return nil
	}
	if err := s.reload(ctx); err != nil {
		return fmt.Errorf("having systemd read its unit files: %w", err)
	}
	return nil
}

// reload has systemd read its unit files.
func (s *services) reload(ctx context.Context) error {
	if err := s.m.bus.call(ctx, "Reload", nil); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = false
	return nil
}
