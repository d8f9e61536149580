package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Package is a package of the machine's package manager: apt, dnf, yum, zypper, apk, opkg or pacman, whichever database
// the machine has.
//
// What is installed is read from the database; of rpm, which cannot be read so, by "rpm -qa", once for as long as the
// database is the same. Where a package manager can do less than the attributes say: dnf and yum hold with their plugin
// versionlock; opkg and pacman install no version but the one that the repositories offer; dnf, yum, zypper and opkg
// keep configuration files that were changed, so that purge means no more to them than removal; apk holds by the version
// in its world file, pacman by IgnorePkg in /etc/pacman.conf.
//
//	resources:
//	  - package: nginx
//	    ensure: latest
type Package struct {
	// Name of the package, with an architecture after a colon where that matters (apt, dnf, zypper): libc6:i386.
	Name string `vigo:"identity"`

	// Ensure says what should be: present (the default), absent, latest (what the repositories offer now), or held
	// (present, and kept at its version).
	Ensure string `yaml:"ensure" vigo:"enum=present|absent|latest|held"`

	// Version to install, exactly as the repository has it. Without it any version will do.
	Version string `yaml:"version"`

	// Purge removes the configuration files too when the package is removed.
	Purge bool `yaml:"purge"`

	// Hold keeps the package at its version, or releases it. If unset, a hold is left alone, and respected: a package
	// that somebody has held is not changed.
	Hold *bool `yaml:"hold"`
}

var (
	_ resource.Validator = (*Package)(nil)
	_ resource.Joiner    = (*Package)(nil)
)

// Validate implements [resource.Validator].
func (p *Package) Validate() error {
	switch {
	case strings.ContainsAny(p.Name, " \t\n=") || strings.HasPrefix(p.Name, "-"):
		return fmt.Errorf("%q is not the name of a package", p.Name)
	case strings.ContainsAny(p.Version, " \t\n"):
		return fmt.Errorf("%q is not a version", p.Version)
	case p.Version != "" && (p.Ensure == "latest" || p.Ensure == "absent"):
		return fmt.Errorf("version and ensure: %s exclude each other", p.Ensure)
	case p.Purge && p.Ensure != "absent":
		return fault.WithHint(errors.New("purge is only for packages that are removed"), "add ensure: absent")
	case p.Ensure == "held" && p.Hold != nil && !*p.Hold:
		return errors.New("hold: false and ensure: held exclude each other")
	case p.Ensure == "absent" && p.Hold != nil && *p.Hold:
		return errors.New("a package that is removed cannot be held")
	}
	return nil
}

// Plan implements [resource.Resource].
func (p *Package) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	want, changes, err := p.wish(ctx, h)
	if err == nil && len(changes) > 0 {
		plan.Do(func(ctx context.Context) error { return p.apply(ctx, h, want) }, changes...)
	}
	return plan, err
}

// wish is what is asked of the package manager, and what that changes; nothing if the package is as it should be.
func (p *Package) wish(ctx context.Context, h *host.Host) (want host.PackageChange, changes []change.Change, err error) {
	is, err := h.Packages.Installed(ctx, p.Name)
	installed := err == nil
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return want, nil, err
	}
	if p.Ensure == "absent" {
		if !installed {
			return want, nil, nil
		}
		want = host.PackageChange{Name: p.Name, Remove: true, Purge: p.Purge, Hold: p.Hold}
		return want, []change.Change{change.Of("ensure", is.Version, change.Absent)}, p.respectHold(is)
	}
	target, err := p.target(ctx, h, is, installed)
	if err != nil {
		return want, nil, err
	}
	want = host.PackageChange{Name: p.Name, Version: target, Hold: p.hold()}
	switch {
	case !installed:
		want.Version = p.Version
		changes = append(changes, change.Of("ensure", change.Absent, orWord(target, "present")))
	case is.Version != target:
		changes = append(changes, change.Of("version", is.Version, target))
	case is.Broken:
		changes = append(changes, change.Of("ensure", "half installed", target))
	default:
		want.HoldOnly = true
	}
	if len(changes) > 0 && installed {
		if err := p.respectHold(is); err != nil {
			return want, nil, err
		}
	}
	if want.Hold != nil && *want.Hold != is.Held {
		changes = append(changes, change.Of("hold", is.Held, *want.Hold))
	}
	return want, changes, nil
}

// Join implements [resource.Joiner]: one call of the package manager for all that are installed or removed. What is held or
// released, and what no repository has, is left.
func (*Package) Join(ctx context.Context, h *host.Host, all []resource.Resource) error {
	var wanted []host.PackageChange
	fetched := false
	for _, res := range all {
		want, changes, err := res.(*Package).wish(ctx, h)
		if err != nil {
			return err
		}
		if len(changes) == 0 || want.Hold != nil {
			continue
		}
		if !want.Remove {
			_, err := h.Packages.Candidate(ctx, want.Name)
			if errors.Is(err, host.ErrNotFound) && !fetched {
				if err := h.Packages.Refresh(ctx); err != nil {
					return err
				}
				fetched = true
				_, err = h.Packages.Candidate(ctx, want.Name)
			}
			if errors.Is(err, host.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
		}
		wanted = append(wanted, want)
	}
	if len(wanted) == 0 {
		return nil
	}
	return h.Packages.Apply(ctx, wanted...)
}

// target is the version that should be there; empty if that is only known once the package lists are fetched.
func (p *Package) target(ctx context.Context, h *host.Host, is host.Package, installed bool) (string, error) {
	if p.Version != "" {
		return p.Version, nil
	}
	if installed && p.Ensure != "latest" {
		return is.Version, nil
	}
	candidate, err := h.Packages.Candidate(ctx, p.Name)
	if errors.Is(err, host.ErrNotFound) {
		return is.Version, nil
	}
	return candidate, err
}

func (p *Package) hold() *bool {
	if p.Ensure == "held" {
		yes := true
		return &yes
	}
	return p.Hold
}

// respectHold refuses to change a package that somebody has held, unless the policy says something about holding it.
func (p *Package) respectHold(is host.Package) error {
	if !is.Held || p.hold() != nil {
		return nil
	}
	err := fmt.Errorf("package %s: is held at %s on the host", p.Name, is.Version)
	return fault.WithHint(err, "say hold: false (or true) to let the policy decide")
}

// apply carries out the change. When no repository is known to have the package, the lists may be old, or none were
// ever fetched: they are fetched once.
func (p *Package) apply(ctx context.Context, h *host.Host, want host.PackageChange) error {
	if !want.Remove && !want.HoldOnly {
		_, err := h.Packages.Candidate(ctx, p.Name)
		if errors.Is(err, host.ErrNotFound) {
			err = h.Packages.Refresh(ctx)
		}
		if err != nil {
			return err
		}
	}
	return h.Packages.Apply(ctx, want)
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
