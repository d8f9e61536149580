package host

import "context"

// Units is what systemd has beside the services of other init systems: it reads its unit files only when told to. Where
// systemd does not run, all of it does nothing.
type Units interface {
	// Stale reports whether systemd works with another version of the unit, its drop-ins included, than the files hold
	// now. A reload that is owed counts as done.
	Stale(ctx context.Context, name string) (bool, error)
	// Owe says that a reload of the unit files is due. It is done once for all who owe it: before the next service is
	// started, stopped or restarted through the same Host, or by Settle.
	Owe()
	// Settle reloads the unit files if that is owed.
	Settle(ctx context.Context) error
}
