package traits

import (
	"context"
	"errors"
	"fmt"

	"pault.ag/go/debian/version"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// Updates is what the package lists that were fetched last offer for the installed packages. Nothing is fetched for it.
// Packages that are held are counted apart. Repositories that apt takes nothing from by itself, such as backports, do
// not count; pins in apt_preferences(5) are not looked at.
//
//	when: updates.security == 0
//	when: has(updates.packages.openssl) and updates.packages.openssl.security
type Updates struct {
	// Pending is the number of packages that can be upgraded.
	Pending int `json:"pending"`
	// Security is how many of them a security repository has a newer version of.
	Security int `json:"security"`
	// Held is the number of packages that would be upgraded if they were not held.
	Held int `json:"held"`
	// Newest is the date of the newest package list, in UTC: how current all this is.
	Newest string `json:"newest"`
	// Packages that can be upgraded, by name; at most 500.
	Packages map[string]Update `json:"packages"`
}

// Update is the upgrade of one package.
type Update struct {
	// Installed version.
	Installed string `json:"installed"`
	// Candidate is the newest version on offer.
	Candidate string `json:"candidate"`
	// Security says whether a security repository has a version that is newer than the installed one.
	Security bool `json:"security"`
}

const (
	aptListsDir = "/var/lib/apt/lists"
	maxUpdates  = 500
)

// An offer is what the lists have of one installed package that is newer.
type offer struct {
	installed host.Package
	have      version.Version
	newest    version.Version // no newer than have: there is nothing
	security  bool
}

func collectUpdates(ctx context.Context, h *host.Host) (Updates, error) {
	lists, newest, err := aptLists(h)
	if err != nil {
		return Updates{}, missing(err)
	}
	if len(lists) == 0 {
		return Updates{}, trait.ErrNone
	}
	installed, err := h.Packages.All(ctx)
	if err != nil {
		return Updates{}, missing(err)
	}
	offers := make(map[string]*offer, len(installed))
	for _, p := range installed {
		if have, err := version.Parse(p.Version); err == nil && offers[p.Name] == nil {
			offers[p.Name] = &offer{installed: p, have: have, newest: have}
		}
	}
	var problems []error
	for _, list := range lists {
		if err := list.scan(ctx, h, offers); err != nil {
			problems = append(problems, fmt.Errorf("reading package list %s: %w", list.name, err))
		}
	}
	if len(problems) == len(lists) {
		return Updates{}, errors.Join(problems...)
	}
	u := summarize(offers)
	u.Newest = utc(newest.Unix())
	return u, partly(problems...)
}

func summarize(offers map[string]*offer) Updates {
	u := Updates{Packages: map[string]Update{}}
	for _, name := range sortedKeys(offers) {
		o := offers[name]
		if version.Compare(o.newest, o.have) <= 0 {
			continue
		}
		if o.installed.Held {
			u.Held++
			continue
		}
		u.Pending++
		if o.security {
			u.Security++
		}
		if len(u.Packages) < maxUpdates {
			u.Packages[name] = Update{Installed: o.installed.Version, Candidate: o.newest.String(), Security: o.security}
		}
	}
	return u
}

// take compares one entry of a list with what is installed.
func (o *offer) take(e entry, security bool) {
	if e.arch != o.installed.Arch && e.arch != "all" && o.installed.Arch != "all" {
		return
	}
	v, err := version.Parse(e.version)
	if err != nil || version.Compare(v, o.have) <= 0 {
		return
	}
	o.security = o.security || security
	if version.Compare(v, o.newest) > 0 {
		o.newest = v
	}
}
