package resources

import (
	"context"
	"errors"
	"fmt"
	"path"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// PackageUpgrade keeps all packages of the machine at what the repositories offer, or only what repairs a known weakness.
// Each package that would be upgraded, and each new one that comes with it, is a line of the diff.
//
// An upgrade never removes a package that something needs, and never changes one that is held. With the key window, which
// every resource has, it is done at night; whether a reboot is due afterwards is the trait boot.reboot_required, and the
// type reboot does it.
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
}

var _ resource.Validator = (*PackageUpgrade)(nil)

// Validate implements [resource.Validator].
func (u *PackageUpgrade) Validate() error {
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
	if err != nil || len(pending) == 0 {
		return plan, err
	}
	changes := make([]change.Change, len(pending))
	for i, p := range pending {
		changes[i] = change.Of(p.Name, orWord(p.From, change.Absent), orWord(p.To, change.Absent))
	}
	plan.Do(func(ctx context.Context) error { return h.Upgrades.Upgrade(ctx, u.scope()) }, changes...)
	return plan, nil
}
