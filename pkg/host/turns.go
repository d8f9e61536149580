package host

import (
	"context"
	"time"
)

// Turns says when it is the turn of this machine to do what many machines must not do at once.
type Turns interface {
	// Reboot asks for the turn to be booted again so soon after now, and says why. An error that is a [*Wait] says that it has
	// to wait; nothing may be done with any other either. It may be asked again.
	Reboot(ctx context.Context, why string, delay time.Duration) error
	// Back gives the turn back: the machine is not booted after all.
	Back(ctx context.Context) error
}

// A Wait is the error of what is not possible yet, and is no failure: a later run tries again.
type Wait struct{ Reason string }

// Error implements error.
func (w *Wait) Error() string { return w.Reason }

// AnyTime is the [Turns] of a machine that asks nobody.
type AnyTime struct{}

var _ Turns = AnyTime{}

// Reboot implements [Turns].
func (AnyTime) Reboot(context.Context, string, time.Duration) error { return nil }

// Back implements [Turns].
func (AnyTime) Back(context.Context) error { return nil }
