package hosttest

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

var _ host.Upgrades = packages{}

// Pending implements host.Upgrades.
func (p packages) Pending(_ context.Context, s host.UpgradeScope) ([]host.Upgrade, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	for _, word := range []string{"packages", "upgrade"} {
		if err := p.m.failure(word, "pending"); err != nil {
			return nil, err
		}
	}
	return p.m.pending(s), nil
}

func (m *Machine) pending(s host.UpgradeScope) []host.Upgrade {
	var all []host.Upgrade
	for _, name := range sortedKeys(m.packages) {
		is, c := m.packages[name], m.candidates[name]
		excluded := slices.ContainsFunc(s.Exclude, func(pattern string) bool {
			match, _ := path.Match(pattern, name)
			return match
		})
		if c != nil && !is.Held && !excluded {
			to := c.version
			if s.Security {
				to = c.security
			}
			if to != "" && to != is.Version {
				all = append(all, host.Upgrade{Name: name, From: is.Version, To: to})
				if c.needs != "" && m.packages[c.needs] == nil {
					all = append(all, host.Upgrade{Name: c.needs, To: m.candidates[c.needs].version})
				}
				continue
			}
		}
		if s.Autoremove && m.unneeded[name] {
			all = append(all, host.Upgrade{Name: name, From: is.Version})
		}
	}
	slices.SortFunc(all, func(a, b host.Upgrade) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Upgrade implements host.Upgrades: all or nothing.
func (p packages) Upgrade(_ context.Context, s host.UpgradeScope) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.wrote("upgrade packages")
	all := p.m.pending(s)
	for _, u := range all {
		if err := p.m.failure("install", u.Name); err != nil {
			return fmt.Errorf("package %s: %w", u.Name, err)
		}
	}
	for _, u := range all {
		if u.To == "" {
			delete(p.m.unneeded, u.Name)
		}
		p.m.apply(host.PackageChange{Name: u.Name, Version: u.To, Remove: u.To == ""})
		if c := p.m.candidates[u.Name]; c != nil && c.reboot && u.To != "" {
			p.m.imply("/run/reboot-required")
			p.m.nodes["/run/reboot-required"] = &node{kind: host.File, mode: 0o644, content: "*** System restart required ***\n"}
			pkgs := p.m.nodes["/run/reboot-required.pkgs"]
			if pkgs == nil {
				pkgs = &node{kind: host.File, mode: 0o644}
				p.m.nodes["/run/reboot-required.pkgs"] = pkgs
			}
			pkgs.content += u.Name + "\n"
		}
	}
	return nil
}

// never is when package lists were fetched that are not there.
func never() time.Time { return time.Unix(0, 0) }

// Fetched implements host.Upgrades.
func (p packages) Fetched(context.Context) (time.Time, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	switch {
	case p.m.fetched.IsZero():
		return p.m.now, nil
	case p.m.fetched.Equal(never()):
		return time.Time{}, notFound("package", "lists")
	}
	return p.m.fetched, nil
}

func (p *parser) lists(l *line) error {
	if err := l.want(1, 1, "fetched TIME, or fetched never"); err != nil {
		return err
	}
	if l.args[0] == "never" {
		p.m.fetched = never()
		return nil
	}
	at, err := time.Parse(time.RFC3339, l.args[0])
	p.m.fetched = at
	return err
}
