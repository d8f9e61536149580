package host

import (
	"context"
	"time"
)

// Processes is what runs on a machine.
type Processes interface {
	// All describes the processes, by number; threads of the kernel, the caller itself and what
	// ends meanwhile are left out.
	All(ctx context.Context) ([]Process, error)
	// End sends a signal, such as "TERM", and waits until the process has ended, for as long as grace; then it sends
	// KILL. A process that is gone is no error, and another one that got its number is left alone.
	End(ctx context.Context, p Process, signal string, grace time.Duration) error
}

// A Process is one process.
type Process struct {
	PID     int
	Name    string   // as the kernel shows it, at most 15 bytes
	Exe     string   // path of the executable; empty if it may not be read
	Args    []string // command line; a process may change its own
	UID     int
	Started uint64 // clock ticks between boot and start: with the PID, it names the process
}
