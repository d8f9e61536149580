package host

import "context"

// Services is the init system of a machine.
type Services interface {
	// Service describes one service, by its name as the init system knows it, with or without a suffix such as
	// ".service". ErrNotFound if the init system does not know it.
	Service(ctx context.Context, name string) (Service, error)
	// All describes all services the init system knows.
	All(ctx context.Context) ([]Service, error)
	// SetBoot says whether a service starts at boot.
	SetBoot(ctx context.Context, name string, boot Boot) error
	// SetRunning starts or stops a service and waits until it has; an error if it did not.
	SetRunning(ctx context.Context, name string, running bool) error
	// Restart restarts a service, or reloads its configuration, and waits; an error if it is not running afterwards.
	Restart(ctx context.Context, name string, reload bool) error
}

// Boot is whether a service starts at boot.
type Boot string

// The boot states.
const (
	Enabled  Boot = "enabled"
	Disabled Boot = "disabled"
	Masked   Boot = "masked" // cannot be started at all
	Static   Boot = "static" // has no install section; started by others
)

// A Service is one unit of the init system.
type Service struct {
	Name    string
	Boot    Boot
	Running bool
	Failed  bool
	State   string // the init system's own words, such as "active (running)"
	// Live is false when only the boot state could be read, because the init system is not running (another root
	// folder, a container being built); Running and Failed then mean nothing.
	Live bool
	// Unknown says that nobody can tell whether it runs: Running and Failed then mean nothing, and State says why. Only init
	// scripts of System V are like that.
	Unknown bool
}
