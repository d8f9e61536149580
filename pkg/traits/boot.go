package traits

import (
	"context"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// Boot is the present boot of the machine.
//
//	when: not boot.reboot_required
type Boot struct {
	// ID of the boot; another one after each reboot.
	ID string `json:"id,omitempty"`
	// RebootRequired says that an update waits for a reboot.
	RebootRequired bool `json:"reboot_required"`
}

func collectBoot(_ context.Context, h *host.Host) (Boot, error) {
	id, err := read(h, "/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Boot{}, missing(err)
	}
	_, err = h.FS.Stat("/run/reboot-required")
	if err != nil && missing(err) != trait.ErrNone {
		return Boot{}, err
	}
	return Boot{ID: strings.TrimSpace(id), RebootRequired: err == nil}, nil
}
