package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// NodeName is how a host calls itself. A root folder calls itself what its /etc/hostname says, or else what a program in
// it would be told: the name of the running kernel.
func NodeName(ctx context.Context, h *host.Host) (string, error) {
	name, err := h.Kernel.Hostname(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		var data []byte
		if data, err = h.FS.Read("/etc/hostname", 1<<10); err == nil {
			name = strings.TrimSpace(string(data))
		} else if errors.Is(err, host.ErrNotFound) {
			name, err = os.Hostname()
		}
	}
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("asking for the host name: %w", err), "give it with --node")
	}
	if name == "" {
		return "", fault.WithHint(errors.New("this host has no name"), "give it with --node")
	}
	return name, nil
}
