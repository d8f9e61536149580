package traits

import (
	"context"

	"vigo.dev/pkg/host"
)

// Package is one installed package.
type Package struct {
	// Version as the package manager has it.
	Version string `json:"version"`
	// Arch is the architecture.
	Arch string `json:"arch,omitempty"`
}

func collectPackages(ctx context.Context, h *host.Host) (map[string]Package, error) {
	all, err := h.Packages.All(ctx)
	if err != nil {
		return nil, missing(err)
	}
	packages := make(map[string]Package, len(all))
	for _, p := range all {
		packages[p.Name] = Package{Version: p.Version, Arch: p.Arch}
	}
	return packages, nil
}

// Service is one unit of the init system.
type Service struct {
	// Running says whether it runs now; not known where the init system does not run.
	Running bool `json:"running"`
	// Enabled says whether it starts at boot.
	Enabled bool `json:"enabled"`
	// Failed says whether it ended with an error.
	Failed bool `json:"failed"`
}

func collectServices(ctx context.Context, h *host.Host) (map[string]Service, error) {
	all, err := h.Services.All(ctx)
	if err != nil {
		return nil, missing(err)
	}
	services := make(map[string]Service, len(all))
	for _, s := range all {
		services[s.Name] = Service{Running: s.Live && s.Running, Enabled: s.Boot == host.Enabled, Failed: s.Live && s.Failed}
	}
	return services, nil
}
