package traits

import (
	"context"

	"vigo.dev/pkg/host"
)

// Packages are the installed packages, by name. Of a package that is installed for several architectures the first is
// shown; their versions may not differ. There are at most 20,000.
//
//	when: has(packages.openssl) and version(packages.openssl.version) < version("3.0.17")
type Packages map[string]Package

// Package is one installed package.
type Package struct {
	// Version as the package manager has it.
	Version string `json:"version"`
	// Arch is the architecture.
	Arch string `json:"arch,omitempty"`
}

const maxPackages = 20_000

func collectPackages(ctx context.Context, h *host.Host) (Packages, error) {
	all, err := h.Packages.All(ctx)
	if err != nil {
		return nil, missing(err)
	}
	packages := Packages{}
	for _, p := range all[:min(len(all), maxPackages)] {
		if _, again := packages[p.Name]; !again {
			packages[p.Name] = Package{Version: p.Version, Arch: p.Arch}
		}
	}
	return packages, nil
}
