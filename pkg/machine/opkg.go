//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/host"
)

// opkgDatabases are where OpenWrt and Yocto keep the database.
func opkgDatabases() []string { return []string{"/usr/lib/opkg/status", "/var/lib/opkg/status"} }

// opkg is the manager of OpenWrt and Yocto. Its database is in the format of dpkg.
type opkg struct{ database string }

func (p *packages) opkg() (manager, error) {
	for _, name := range opkgDatabases() {
		_, err := p.fs.Stat(name)
		if err == nil {
			return opkg{name}, nil
		}
		if !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("database of opkg: %w", host.ErrNotFound)
}

func (o opkg) files() (database, sources []string) {
	return []string{o.database}, []string{o.database, "/etc/opkg.conf", "/etc/opkg", "/var/opkg-lists", "/var/lib/opkg/lists"}
}

// read marks as held what has the flag hold; opkg keeps it where dpkg keeps whether a package is damaged.
func (o opkg) read(_ context.Context, p *packages) ([]host.Package, error) {
	return readParagraphs(p, o.database)
}

func (o opkg) candidate(ctx context.Context, p *packages, name string) (string, error) {
	out, err := p.run(ctx, []string{"opkg", "list", name})
	if err != nil {
		return "", err
	}
	return parseOpkgList(out, name), nil
}

func (o opkg) refresh(ctx context.Context, p *packages) error {
	_, err := p.run(ctx, []string{"opkg", "update"})
	return err
}

func (o opkg) apply(ctx context.Context, p *packages, want []host.PackageChange) error {
	s := sortWishes(want)
	if err := p.onlyCandidates(ctx, o, s.install); err != nil {
		return err
	}
	steps := []step{
		{argv: []string{"opkg", "install"}, want: s.install},
		{argv: []string{"opkg", "remove"}, want: append(s.remove, s.purge...)},
	}
	return p.runAll(ctx, append(steps, holds(want, []string{"opkg", "flag", "hold"}, []string{"opkg", "flag", "user"})...))
}

// parseOpkgList finds the newest version among lines "name - version - description"; opkg lists it last.
func parseOpkgList(out []byte, name string) string {
	newest := ""
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSpace(line), " - ", 3)
		if len(fields) > 1 && fields[0] == name {
			newest = fields[1]
		}
	}
	return newest
}

var _ upgrader = opkg{}

func (opkg) lists() []string { return []string{"/var/opkg-lists", "/var/lib/opkg/lists"} }

// pending takes those that are held out of the list, which opkg leaves in it.
func (o opkg) pending(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error) {
	if err := errors.Join(noSecurity(s, "opkg"), noAutoremove(s, "opkg")); err != nil {
		return nil, err
	}
	out, err := p.run(ctx, []string{"opkg", "list-upgradable"})
	if err != nil {
		return nil, err
	}
	var all []host.Upgrade
	for _, u := range within(parseOpkgUpgradable(out), s) {
		is, err := p.Installed(ctx, u.Name)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
		if !is.Held {
			all = append(all, u)
		}
	}
	return all, nil
}

func (o opkg) upgrade(ctx context.Context, p *packages, s host.UpgradeScope) error {
	all, err := o.pending(ctx, p, s)
	if err != nil || len(all) == 0 {
		return err
	}
	_, err = p.run(ctx, upgradeNames([]string{"opkg", "upgrade"}, all))
	return err
}

// parseOpkgUpgradable reads lines "name - installed version - new version".
func parseOpkgUpgradable(out []byte) []host.Upgrade {
	var all []host.Upgrade
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), " - ")
		if len(fields) == 3 && fields[0] != "" && fields[1] != "" && fields[2] != "" {
			all = append(all, host.Upgrade{Name: fields[0], From: fields[1], To: fields[2]})
		}
	}
	return all
}
