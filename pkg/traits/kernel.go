package traits

import (
	"context"
	"strings"

	"vigo.dev/pkg/host"
)

// Kernel is the running kernel.
//
//	when: version(kernel.release) >= version("6.1")
type Kernel struct {
	// Name such as Linux.
	Name string `json:"name"`
	// Release such as 6.1.0-18-amd64.
	Release string `json:"release"`
	// Version is the build of the release.
	Version string `json:"version,omitempty"`
}

func collectKernel(_ context.Context, h *host.Host) (Kernel, error) {
	release, err := read(h, "/proc/sys/kernel/osrelease")
	if err != nil {
		return Kernel{}, missing(err)
	}
	name, _ := read(h, "/proc/sys/kernel/ostype")
	version, _ := read(h, "/proc/sys/kernel/version")
	return Kernel{Name: strings.TrimSpace(name), Release: strings.TrimSpace(release), Version: strings.TrimSpace(version)}, nil
}
