package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// PackageUpgrade keeps all packages of the machine at what the repositories offer, or only what repairs a known weakness.
// Each package that would be upgraded, and each new one that comes with it, is a line of the diff.
//
// An upgrade never removes a package that something needs, and never changes one that is held. With the key window, which
// every resource has, it is done at night; a reboot that is due afterwards is
// reported; the type reboot does it.
//
// What is on offer is asked of the package manager, once for as long as its lists and its database are the same. apt, dnf,
// yum and zypper know which upgrades are for security; pacman, apk and opkg do not.
//
//	resources:
//	  - package_upgrade: security
//	    only: security
//	    exclude: [postgresql-*]
//	    window: nightly
type PackageUpgrade struct {
	// Name in the policy, free to choose.
	Name string `vigo:"identity"`

	// Only security upgrades what the repositories call a security update, and what that needs. If it is not given,
	// everything is upgraded.
	Only string `yaml:"only" vigo:"enum=security"`

	// Exclude names installed packages that stay at their version; * and ? stand for any characters and for one. What needs
	// a newer version of one of them stays, too.
	Exclude []string `yaml:"exclude"`

	// Autoremove removes packages that were installed only because others needed them, and none does any more, such as old
	// kernels.
	Autoremove bool `yaml:"autoremove"`

	// Refresh is how old the package lists may become before they are fetched again; 24h by default. What is upgraded after
	// that is only known, and reported, when it is done.
	Refresh *resource.Duration `yaml:"refresh"`
}

var _ resource.Validator = (*PackageUpgrade)(nil)

// Validate implements [resource.Validator].
func (u *PackageUpgrade) Validate() error {
	if u.Refresh != nil && u.Refresh.Duration < time.Minute {
		return errors.New("refresh: want at least 1m; the package lists are fetched when they are older")
	}
	for _, pattern := range u.Exclude {
		if _, err := path.Match(pattern, ""); err != nil || !plainWord(pattern, "+.:*?[]^") {
			return fmt.Errorf("exclude: %q is neither the name of a package nor a pattern of names", pattern)
		}
		if pattern == "*" {
			return fault.WithHint(errors.New("exclude: * leaves nothing to upgrade"), "take the resource out of the policy")
		}
	}
	return nil
}

func (u *PackageUpgrade) scope() host.UpgradeScope {
	return host.UpgradeScope{Security: u.Only == "security", Exclude: u.Exclude, Autoremove: u.Autoremove}
}

// Plan implements [resource.Resource].
func (u *PackageUpgrade) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	pending, err := h.Upgrades.Pending(ctx, u.scope())
	if err != nil {
		return plan, err
	}
	fetch, err := u.fetch(ctx, h)
	if err != nil {
		return plan, err
	}
	promised := append(fetch, upgradeChanges(pending)...)
	if len(fetch) > 0 {
		promised = append(promised, change.Change{Field: "upgrades", To: change.Unknown})
	}
	if len(promised) > 0 {
		plan.Learn(func(ctx context.Context) ([]change.Change, error) { return u.upgrade(ctx, h, fetch, pending) }, promised...)
	}
	return plan, nil
}

// fetch is what is said of package lists that are too old; nothing if they are not.
func (u *PackageUpgrade) fetch(ctx context.Context, h *host.Host) ([]change.Change, error) {
	most := 24 * time.Hour
	if u.Refresh != nil {
		most = u.Refresh.Duration
	}
	at, err := h.Upgrades.Fetched(ctx)
	switch {
	case errors.Is(err, host.ErrNotFound):
		return []change.Change{change.Of("package lists", change.Absent, "fetched")}, nil
	case err != nil:
		return nil, err
	case h.Clock.Now().Sub(at) <= most:
		return nil, nil
	}
	return []change.Change{change.Of("package lists", "of "+at.UTC().Format("2006-01-02 15:04 UTC"), "fetched")}, nil
}

// upgrade does what is pending once the lists are fetched, if they are to be, and says what that was; also that a reboot
// is due because of it.
func (u *PackageUpgrade) upgrade(ctx context.Context, h *host.Host, fetch []change.Change, pending []host.Upgrade) (made []change.Change, err error) {
	if len(fetch) > 0 {
		if err := h.Packages.Refresh(ctx); err != nil {
			return nil, fmt.Errorf("fetching the package lists: %w", err)
		}
		if pending, err = h.Upgrades.Pending(ctx, u.scope()); err != nil {
			return nil, err
		}
	}
	before, err := rebootReason(h)
	if err != nil {
		return nil, err
	}
	if len(pending) > 0 {
		if err := h.Upgrades.Upgrade(ctx, u.scope()); err != nil {
			return nil, err
		}
	}
	made = append(slices.Clone(fetch), upgradeChanges(pending)...)
	after, err := rebootReason(h)
	if err == nil && after != before && after != "" {
		made = append(made, change.Of("reboot", orWord(before, "not due"), "due: "+after))
	}
	return made, err
}

func upgradeChanges(all []host.Upgrade) []change.Change {
	changes := make([]change.Change, len(all))
	for i, u := range all {
		changes[i] = change.Of(u.Name, orWord(u.From, change.Absent), orWord(u.To, change.Absent))
	}
	return changes
}
