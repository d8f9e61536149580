package host

import "context"

// Packages is the package manager of a machine.
type Packages interface {
	// Installed describes an installed package; ErrNotFound if it is not installed (configuration files left
	// behind do not count).
	Installed(ctx context.Context, name string) (Package, error)
	// All describes all installed packages, sorted by name.
	All(ctx context.Context) ([]Package, error)
	// Candidate returns the version that would be installed now; ErrNotFound if no repository has the package.
	Candidate(ctx context.Context, name string) (string, error)
	// Apply carries out the wanted changes in one transaction.
	Apply(ctx context.Context, want ...PackageChange) error
	// Refresh fetches the package lists of all repositories.
	Refresh(ctx context.Context) error
}

// A Package is an installed package.
type Package struct {
	Name    string
	Version string
	Arch    string
	Held    bool // kept at its version
	Broken  bool // unpacked but not configured, or half installed
}

// A PackageChange is one wish to the package manager.
type PackageChange struct {
	Name     string
	Version  string // exact version to install; empty: the candidate
	Remove   bool
	Purge    bool  // with Remove: its configuration too
	Hold     *bool // hold or release
	HoldOnly bool  // change nothing but Hold
}
