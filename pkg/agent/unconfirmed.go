package agent

import (
	"fmt"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// unconfirmed is the guard of a run without a service.
type unconfirmed struct {
	kept *guard.Keeper
	free bool // they are changed like others
}

var _ converge.Guard = unconfirmed{}

// Refused implements converge.Guard.
func (u unconfirmed) Refused(it resource.Item) string {
	switch {
	case u.kept.Waiting(it.Name()):
		return "it is guarded, and a change of it waits for a check-in of the agent"
	case !u.free:
		return fmt.Sprintf("it is guarded, and this run has no service whose check-in would confirm the change within %s; --no-guard changes it all the same",
			converge.Brief(it.Meta.Guard))
	}
	return ""
}

// Watch implements converge.Guard.
func (u unconfirmed) Watch(_ resource.Item, h *host.Host) *host.Host { return h }

// Waiting implements converge.Guard.
func (u unconfirmed) Waiting(string) bool { return false }

// Settle implements converge.Guard.
func (u unconfirmed) Settle() {}
