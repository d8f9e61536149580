//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

var _ host.Upgrades = (*packages)(nil)

// An upgrader is a manager that can upgrade all packages at once.
type upgrader interface {
	// pending is what upgrade would do, in any order; it may name a package more than once.
	pending(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error)
	// upgrade does it.
	upgrade(ctx context.Context, p *packages, s host.UpgradeScope) error
}

// upgrader returns the manager, if upgrades can be asked for here.
func (p *packages) upgrader(doing string) (manager, upgrader, error) {
	man, err := p.ready(doing)
	if err != nil {
		return nil, nil, err
	}
	up, ok := man.(upgrader)
	if !ok {
		return nil, nil, fmt.Errorf("%s: %w", doing, errors.ErrUnsupported)
	}
	return man, up, nil
}

// Pending implements [host.Upgrades]. It asks the package manager, and remembers the answer until something that decides
// changes, in later runs too.
func (p *packages) Pending(ctx context.Context, s host.UpgradeScope) ([]host.Upgrade, error) {
	const doing = "looking for upgrades"
	man, up, err := p.upgrader(doing)
	if err != nil {
		return nil, err
	}
	_, sources := man.files()
	print, err := p.fingerprint(sources...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	key := fmt.Sprintf("%t %t %q", s.Security, s.Autoremove, s.Exclude)
	c := p.m.packages
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.offered != print || c.upgrades == nil {
		c.offered, c.upgrades = print, map[string][]host.Upgrade{}
	}
	all, known := c.upgrades[key]
	if !known {
		if all, err = up.pending(ctx, p, s); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		all = sortUpgrades(all)
		c.upgrades[key] = all
	}
	return slices.Clone(all), nil
}

// sortUpgrades sorts by name; what is named twice, as for two architectures, is once in it if it is the same.
func sortUpgrades(all []host.Upgrade) []host.Upgrade {
	slices.SortFunc(all, func(a, b host.Upgrade) int {
		return strings.Compare(a.Name+" "+a.From+" "+a.To, b.Name+" "+b.From+" "+b.To)
	})
	return slices.Compact(all)
}

// Upgrade implements [host.Upgrades].
func (p *packages) Upgrade(ctx context.Context, s host.UpgradeScope) error {
	_, up, err := p.upgrader("upgrading packages")
	if err != nil {
		return err
	}
	defer p.forget()
	defer p.forgetUpgrades()
	return up.upgrade(ctx, p, s)
}

func (p *packages) forgetUpgrades() {
	c := p.m.packages
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upgrades = nil
}

// excluded reports whether one of the patterns means the package, whose name may end in an architecture.
func excluded(patterns []string, name string) bool {
	base, _, _ := strings.Cut(name, ":")
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		short, _ := path.Match(pattern, base)
		long, _ := path.Match(pattern, name)
		return short || long
	})
}

// noSecurity refuses what a manager whose repositories do not say which packages are for security cannot tell.
func noSecurity(s host.UpgradeScope, program string) error {
	if !s.Security {
		return nil
	}
	err := fmt.Errorf("the repositories of %s do not say which upgrades are for security: %w", program, errors.ErrUnsupported)
	return fault.WithHint(err, "upgrade everything, or name what to leave out in exclude")
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
