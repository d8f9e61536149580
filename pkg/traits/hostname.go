package traits

import (
	"context"
	"strings"

	"vigo.dev/pkg/host"
)

// Hostname is how the machine calls itself.
//
//	when: hostname.short == "web-1"
type Hostname struct {
	// Short name, up to the first dot.
	Short string `json:"short"`
	// Full is the name as it is set.
	Full string `json:"full"`
}

func collectHostname(ctx context.Context, h *host.Host) (Hostname, error) {
	name, err := h.Kernel.Hostname(ctx)
	if err != nil {
		return Hostname{}, missing(err)
	}
	short, _, _ := strings.Cut(name, ".")
	return Hostname{Short: short, Full: name}, nil
}
