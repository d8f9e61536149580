//go:build linux

package machine

import (
	"context"
	"errors"
	"strings"

	"vigo.dev/pkg/host"
)

const (
	dnfLocks     = "/etc/dnf/plugins/versionlock.list"
	dnfLocksTOML = "/etc/dnf/versionlock.toml" // dnf 5
	yumLocks     = "/etc/yum/pluginconf.d/versionlock.list"
)

// dnf is the manager of Fedora and its kin, and yum, its predecessor. Holding needs the versionlock plugin.
type dnf struct {
	program string
	query   []string
}

func (dnf) files() (database, sources []string) {
	database = append(rpmDatabases(), dnfLocks, dnfLocksTOML, yumLocks)
	return database, append(database, "/etc/yum.repos.d", "/etc/dnf/dnf.conf", "/etc/yum.conf", "/var/cache/dnf", "/var/cache/yum", "/var/cache/libdnf5")
}

func (dnf) read(ctx context.Context, p *packages) ([]host.Package, error) {
	pkgs, err := readRPM(ctx, p)
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for _, name := range []string{dnfLocks, yumLocks} {
		text, err := readIfThere(p.fs, name)
		if err != nil {
			return nil, err
		}
		for _, name := range versionlocks(string(text)) {
			held[name] = true
		}
	}
	text, err := readIfThere(p.fs, dnfLocksTOML)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "name" {
			held[strings.Trim(strings.TrimSpace(value), `"'`)] = true
		}
	}
	return markHeld(pkgs, held), nil
}

// versionlocks are the names of lines such as "bash-0:5.1.8-6.el9.*" (dnf) and "0:bash-5.1.8-6.el7.*" (yum). Lines that
// begin with "!" exclude a version and hold nothing.
func versionlocks(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		name, _, ok := splitPacman(line) // name-version-release here too
		if !ok {
			continue
		}
		if epoch, rest, ok := strings.Cut(name, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
			name = rest
		}
		all = append(all, name)
	}
	return all
}

func (d dnf) candidate(ctx context.Context, p *packages, name string) (string, error) {
	argv := append(append([]string{}, d.query...), "--latest-limit=1", "--qf", "%{arch} %{evr}\\n", strings.ReplaceAll(name, ":", "."))
	if d.program == "yum" {
		argv = append(append([]string{}, d.query...), "--qf", "%{arch} %{epoch}:%{version}-%{release}", strings.ReplaceAll(name, ":", "."))
	}
	out, err := p.run(ctx, argv)
	if err != nil {
		return "", err
	}
	return parseRepoquery(out), nil
}

// parseRepoquery reads lines "architecture version". Of several architectures one that is not for 32 bits is taken.
func parseRepoquery(out []byte) string {
	version := ""
	for line := range strings.Lines(strings.ReplaceAll(string(out), `\n`, "\n")) {
		arch, evr, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && arch != "src" && (version == "" || arch != "i686") {
			version = strings.TrimPrefix(evr, "0:")
		}
	}
	return version
}

// refresh says yes to the keys that the files of repositories name: an index that must be signed needs its key now.
func (d dnf) refresh(ctx context.Context, p *packages) error {
	argv := []string{d.program, "-y", "-q", "makecache", "--refresh"}
	if d.program == "yum" {
		argv = []string{"yum", "-y", "-q", "makecache"}
	}
	_, err := p.run(ctx, argv)
	return err
}

func (d dnf) apply(ctx context.Context, p *packages, want []host.PackageChange) error {
	s := sortWishes(want)
	steps := []step{
		{argv: []string{d.program, "-y", "-q", "install"}, separator: "-"},
		{argv: []string{d.program, "-y", "-q", "upgrade"}},
		{argv: []string{d.program, "-y", "-q", "remove"}, want: append(s.remove, s.purge...)},
	}
	for _, w := range s.install {
		// "install" leaves a package that is there at its version unless one is named.
		_, err := p.Installed(ctx, w.Name)
		switch {
		case err == nil && w.Version == "":
			steps[1].want = append(steps[1].want, w)
		case err == nil || errors.Is(err, host.ErrNotFound):
			steps[0].want = append(steps[0].want, w)
		default:
			return err
		}
	}
	// A lock would stop the change that comes with releasing it.
	held := holds(want, []string{d.program, "-q", "versionlock", "add"}, []string{d.program, "-q", "versionlock", "delete"})
	return p.runAll(ctx, append(append(held[1:], steps...), held[0]))
}

var _ upgrader = dnf{}

func (dnf) lists() []string {
	return []string{"/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum"}
}

// pending asks for the newest version of everything that is installed. New packages that come with an upgrade are not named.
func (d dnf) pending(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error) {
	const some = 100 // exit status if there are upgrades
	out, err := p.run(ctx, d.scoped(s, "-q", "check-update"), some)
	if err != nil {
		return nil, err
	}
	all := parseCheckUpdate(out)
	for i, u := range all {
		is, err := p.Installed(ctx, u.Name)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
		all[i].From = is.Version
	}
	unneeded, err := d.unneeded(ctx, p, s)
	return append(all, unneeded...), err
}

func (d dnf) upgrade(ctx context.Context, p *packages, s host.UpgradeScope) error {
	if _, err := p.run(ctx, d.scoped(s, "-y", "-q", "upgrade")); err != nil || !s.Autoremove {
		return err
	}
	_, err := p.run(ctx, []string{d.program, "-y", "-q", "autoremove"})
	return err
}

// scoped is a command for the packages of a scope.
func (d dnf) scoped(s host.UpgradeScope, words ...string) []string {
	argv := append([]string{d.program}, words...)
	if s.Security {
		argv = append(argv, "--security")
	}
	for _, pattern := range s.Exclude {
		argv = append(argv, "--exclude="+pattern)
	}
	return argv
}

func (d dnf) unneeded(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error) {
	if d.program == "yum" {
		return nil, noAutoremove(s, d.program)
	}
	if !s.Autoremove {
		return nil, nil
	}
	out, err := p.run(ctx, append(append([]string{}, d.query...), "--unneeded", "--qf", "%{name} %{evr}\\n"))
	if err != nil {
		return nil, err
	}
	var all []host.Upgrade
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) == 2 {
			all = append(all, host.Upgrade{Name: words[0], From: strings.TrimPrefix(words[1], "0:")})
		}
	}
	return all, nil
}

// parseCheckUpdate reads lines "name.architecture version repository", which yum breaks where they are long. Headings end
// what is an upgrade.
func parseCheckUpdate(out []byte) []host.Upgrade {
	var all []host.Upgrade
	var words []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Obsoleting") || strings.HasPrefix(line, "Security:") {
			break
		}
		if !strings.HasPrefix(line, " ") {
			words = nil
		}
		words = append(words, strings.Fields(line)...)
		if len(words) != 3 {
			continue
		}
		dot := strings.LastIndexByte(words[0], '.')
		if dot > 0 {
			all = append(all, host.Upgrade{Name: words[0][:dot], To: strings.TrimPrefix(words[1], "0:")})
		}
	}
	return all
}
