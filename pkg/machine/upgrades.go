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
	"time"

	"golang.org/x/sys/unix"

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
	// lists are the folders that change when package lists are fetched, the one to mark first.
	lists() []string
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
	all, known := c.upgrades[key]
	known = known && c.offered == print
	c.mu.Unlock()
	if known {
		return slices.Clone(all), nil
	}
	// Without the lock: the manager may ask for what is installed.
	if all, err = up.pending(ctx, p, s); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	all = sortUpgrades(all)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.offered != print || c.upgrades == nil {
		c.offered, c.upgrades = print, map[string][]host.Upgrade{}
	}
	c.upgrades[key] = all
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

// Fetched implements [host.Upgrades].
func (p *packages) Fetched(context.Context) (time.Time, error) {
	const doing = "looking when the package lists were fetched"
	var at time.Time
	_, up, err := p.upgrader(doing)
	if err != nil {
		return at, err
	}
	for _, name := range up.lists() {
		info, err := p.fs.Stat(name)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return at, fmt.Errorf("%s: %w", doing, err)
		}
		if err == nil && info.ModTime.After(at) {
			at = info.ModTime
		}
	}
	if at.IsZero() {
		return at, fmt.Errorf("package lists: %w", host.ErrNotFound)
	}
	return at, nil
}

// markFetched gives the folder of the package lists the time of now: where no list was newer than what is there, nothing
// else tells that they were fetched.
func (p *packages) markFetched(man manager) error {
	up, ok := man.(upgrader)
	if !ok {
		return nil
	}
	for _, name := range up.lists() {
		fd, err := p.m.tree.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return failed("marking", name, err)
		}
		now := unix.NsecToTimeval(p.m.now().UnixNano())
		err = unix.Futimes(fd, []unix.Timeval{now, now})
		unix.Close(fd)
		if err != nil {
			return failed("marking", name, err)
		}
		return nil
	}
	return nil
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

// within leaves out what the scope excludes.
func within(all []host.Upgrade, s host.UpgradeScope) []host.Upgrade {
	return slices.DeleteFunc(all, func(u host.Upgrade) bool { return u.From != "" && excluded(s.Exclude, u.Name) })
}

// foresee has a manager simulate an upgrade: of everything first, and where the scope leaves something of that out, again of
// the rest by name. The manager is to be given the names too when it does it; without any it upgrades everything.
func foresee(s host.UpgradeScope, simulate func(names []string) ([]host.Upgrade, error)) (all []host.Upgrade, names []string, err error) {
	if all, err = simulate(nil); err != nil {
		return nil, nil, err
	}
	rest := within(slices.Clone(all), s)
	if len(rest) == len(all) {
		return all, nil, nil
	}
	if names = upgradeNames(nil, rest); len(names) == 0 {
		return nil, nil, nil
	}
	all, err = simulate(names)
	return all, names, err
}

// upgradeNames appends the names of what is there already and is upgraded.
func upgradeNames(argv []string, all []host.Upgrade) []string {
	for _, u := range all {
		if u.From != "" && u.To != "" {
			argv = append(argv, u.Name)
		}
	}
	return argv
}

// noSecurity refuses what a manager whose repositories do not say which packages are for security cannot tell.
func noSecurity(s host.UpgradeScope, program string) error {
	if !s.Security {
		return nil
	}
	err := fmt.Errorf("the repositories of %s do not say which upgrades are for security: %w", program, errors.ErrUnsupported)
	return fault.WithHint(err, "upgrade everything, or name what to leave out in exclude")
}

// noAutoremove is the same for packages that nothing needs any more.
func noAutoremove(s host.UpgradeScope, program string) error {
	if !s.Autoremove {
		return nil
	}
	return fmt.Errorf("%s does not know which packages nothing needs any more: %w", program, errors.ErrUnsupported)
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
