//go:build linux

package machine

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"

	"vigo.dev/pkg/host"
)

const zypperLocks = "/etc/zypp/locks"

// zypper is the manager of SUSE. A package is held by a lock on its name.
type zypper struct{}

func (zypper) files() (database, sources []string) {
	database = append(rpmDatabases(), zypperLocks)
	return database, append(database, "/etc/zypp/repos.d", "/etc/zypp/zypp.conf", "/var/cache/zypp/solv", "/var/cache/zypp/raw")
}

func (zypper) read(ctx context.Context, p *packages) ([]host.Package, error) {
	pkgs, err := readRPM(ctx, p)
	if err != nil {
		return nil, err
	}
	locks, err := readIfThere(p.fs, zypperLocks)
	if err != nil {
		return nil, err
	}
	return markHeld(pkgs, zypperHeld(string(locks))), nil
}

// zypperHeld are the names in lines "solvable_name: name".
func zypperHeld(locks string) map[string]bool {
	held := map[string]bool{}
	for line := range strings.Lines(locks) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "solvable_name:"); ok {
			held[strings.TrimSpace(name)] = true
		}
	}
	return held
}

// zypp is the beginning of every command: no questions, and nothing that is fetched unasked.
func zypp(words ...string) []string {
	return append([]string{"zypper", "--non-interactive", "--quiet"}, words...)
}

func (zypper) candidate(ctx context.Context, p *packages, name string) (string, error) {
	argv := append([]string{"zypper", "--non-interactive", "--no-refresh"}, "info", "--type", "package", "--", strings.ReplaceAll(name, ":", "."))
	out, err := p.run(ctx, argv, 104) // 104: no such package
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(labelled(out, "Version"), "0:"), nil
}

func (zypper) refresh(ctx context.Context, p *packages) error {
	_, err := p.run(ctx, zypp("refresh"))
	return err
}

// apply installs and removes in one transaction: zypper install removes names that begin with "!". That a reboot or a
// restart is due (102, 103) is no fault.
func (zypper) apply(ctx context.Context, p *packages, want []host.PackageChange) error {
	s := sortWishes(want)
	held := holds(want, zypp("addlock", "--"), zypp("removelock", "--"))
	if err := p.runAll(ctx, held[1:]); err != nil {
		return err
	}
	argv := zypp("install", "--oldpackage", "--auto-agree-with-licenses", "--")
	all := names(names(argv, s.install, "="), append(s.remove, s.purge...), "")
	for i := len(argv) + len(s.install); i < len(all); i++ {
		all[i] = "!" + all[i]
	}
	if len(all) > len(argv) {
		if _, err := p.run(ctx, all, 102, 103); err != nil {
			return fmt.Errorf("changing packages: %w", err)
		}
	}
	return p.runAll(ctx, held[:1])
}

var _ upgrader = zypper{}

func (zypper) lists() []string { return []string{"/var/cache/zypp/raw"} }

// zypperUpgrade is the command that upgrades, or with the option --dry-run says what it would do.
func zypperUpgrade(s host.UpgradeScope, names []string, options ...string) []string {
	argv := []string{"zypper", "--non-interactive", "--no-refresh", "--xmlout"}
	if s.Security && len(names) == 0 {
		argv = append(argv, "patch", "--category", "security")
	} else {
		argv = append(argv, "update")
	}
	argv = append(append(argv, "--auto-agree-with-licenses"), options...)
	if len(names) > 0 {
		argv = append(append(argv, "--"), names...)
	}
	return argv
}

// pending has zypper simulate what upgrade does: first of everything, and where that leaves something out, again of the
// rest by name.
func (zypper) pending(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error) {
	all, _, err := p.zypperUpgrades(ctx, s)
	if err != nil {
		return nil, err
	}
	unneeded, err := p.zypperUnneeded(ctx, s)
	return append(all, unneeded...), err
}

func (p *packages) zypperUpgrades(ctx context.Context, s host.UpgradeScope) (all []host.Upgrade, names []string, err error) {
	// That a reboot or a restart is due, or updates are there (100 to 103), is no fault.
	simulate := func(names []string) ([]host.Upgrade, error) {
		out, err := p.run(ctx, zypperUpgrade(s, names, "--dry-run"), 100, 101, 102, 103)
		if err != nil {
			return nil, err
		}
		return parseZypperSummary(out)
	}
	return foresee(s, simulate)
}

func (zypper) upgrade(ctx context.Context, p *packages, s host.UpgradeScope) error {
	all, names, err := p.zypperUpgrades(ctx, s)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		if _, err := p.run(ctx, zypperUpgrade(s, names), 100, 101, 102, 103); err != nil {
			return err
		}
	}
	unneeded, err := p.zypperUnneeded(ctx, s)
	if err != nil || len(unneeded) == 0 {
		return err
	}
	argv := zypp("remove", "--")
	for _, u := range unneeded {
		argv = append(argv, u.Name)
	}
	_, err = p.run(ctx, argv, 102, 103)
	return err
}

func (p *packages) zypperUnneeded(ctx context.Context, s host.UpgradeScope) ([]host.Upgrade, error) {
	if !s.Autoremove {
		return nil, nil
	}
	out, err := p.run(ctx, []string{"zypper", "--non-interactive", "--no-refresh", "--quiet", "packages", "--unneeded"})
	if err != nil {
		return nil, err
	}
	return within(parseZypperTable(out), s), nil
}

// parseZypperSummary reads what "zypper --xmlout update --dry-run" says.
func parseZypperSummary(out []byte) ([]host.Upgrade, error) {
	type solvable struct {
		Type string `xml:"type,attr"`
		Name string `xml:"name,attr"`
		To   string `xml:"edition,attr"`
		From string `xml:"edition-old,attr"`
	}
	var said struct {
		Changed    []solvable `xml:"install-summary>to-upgrade>solvable"`
		Downgraded []solvable `xml:"install-summary>to-downgrade>solvable"`
		New        []solvable `xml:"install-summary>to-install>solvable"`
		Gone       []solvable `xml:"install-summary>to-remove>solvable"`
	}
	if err := xml.Unmarshal(out, &said); err != nil {
		return nil, fmt.Errorf("reading what zypper says: %w", err)
	}
	var all []host.Upgrade
	for _, it := range append(append(said.Changed, said.Downgraded...), said.New...) {
		if it.Type == "package" && it.Name != "" && it.To != "" {
			all = append(all, host.Upgrade{Name: it.Name, From: it.From, To: it.To})
		}
	}
	for _, it := range said.Gone {
		if it.Type == "package" && it.Name != "" && it.To != "" {
			all = append(all, host.Upgrade{Name: it.Name, From: it.To})
		}
	}
	return all, nil
}

// parseZypperTable reads the packages of a table with the columns status, repository, name, version, architecture.
func parseZypperTable(out []byte) []host.Upgrade {
	var all []host.Upgrade
	for line := range strings.Lines(string(out)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(line, "i") {
			continue
		}
		if name, version := strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3]); name != "" && version != "" {
			all = append(all, host.Upgrade{Name: name, From: version})
		}
	}
	return all
}
