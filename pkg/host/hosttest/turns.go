package hosttest

import (
	"context"
	"time"

	"vigo.dev/pkg/host"
)

// turns gives every turn, unless the text says `fail turn`: then the machine has to wait for what that says.
type turns struct{ m *Machine }

// Reboot implements host.Turns.
func (t turns) Reboot(_ context.Context, why string, delay time.Duration) error {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.wrote("turn to reboot in %s: %s", delay, why)
	if err := t.m.failure("turn", ""); err != nil {
		return &host.Wait{Reason: err.Error()}
	}
	return nil
}

// Back implements host.Turns.
func (t turns) Back(context.Context) error {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.wrote("turn back")
	return nil
}
