//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
)

const (
	pacmanLocal = "/var/lib/pacman/local"
	pacmanConf  = "/etc/pacman.conf"
)

// pacman is the manager of Arch. A package is held when IgnorePkg in its configuration names it.
type pacman struct{}

func (pacman) files() (database, sources []string) {
	database = []string{pacmanLocal, pacmanConf}
	return database, append(database, "/var/lib/pacman/sync", "/etc/pacman.d")
}

// read takes names and versions from the names of the folders of the local database: name-version-release. The folder
// of a package is renamed with each upgrade, so that the time of the folder they are in changes.
func (pacman) read(_ context.Context, p *packages) ([]host.Package, error) {
	entries, err := p.fs.List(pacmanLocal)
	if err != nil {
		return nil, err
	}
	conf, err := readIfThere(p.fs, pacmanConf)
	if err != nil {
		return nil, err
	}
	ignored := map[string]bool{}
	for _, name := range pacmanIgnored(string(conf)) {
		ignored[name] = true
	}
	var pkgs []host.Package
	for _, e := range entries {
		name, version, ok := splitPacman(e.Name)
		if e.Kind == host.Dir && ok {
			pkgs = append(pkgs, host.Package{Name: name, Version: version, Held: ignored[name]})
		}
	}
	return pkgs, nil
}

// splitPacman splits name-version-release; the name may hold dashes, the others not.
func splitPacman(entry string) (name, version string, ok bool) {
	release := strings.LastIndexByte(entry, '-')
	if release <= 0 {
		return "", "", false
	}
	at := strings.LastIndexByte(entry[:release], '-')
	if at <= 0 {
		return "", "", false
	}
	return entry[:at], entry[at+1:], true
}

func (pacman) candidate(ctx context.Context, p *packages, name string) (string, error) {
	res, err := p.m.runner.Run(ctx, host.Command{Argv: []string{"pacman", "-Si", name}})
	if err != nil {
		return "", err
	}
	if res.Code != 0 && strings.Contains(string(res.Stderr), "was not found") {
		return "", nil
	}
	if res.Code != 0 {
		return "", fmt.Errorf("asking pacman for %s: exit status %d: %s", name, res.Code, lastWords(res.Stderr))
	}
	return labelled(res.Stdout, "Version"), nil
}

// labelled is the value of the first line "Label : value".
func labelled(out []byte, label string) string {
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == label {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (pacman) refresh(ctx context.Context, p *packages) error {
	_, err := p.run(ctx, []string{"pacman", "-Sy", "--noconfirm"})
	return err
}

func (man pacman) apply(ctx context.Context, p *packages, want []host.PackageChange) error {
	s := sortWishes(want)
	if err := p.onlyCandidates(ctx, man, s.install); err != nil {
		return err
	}
	if err := p.runAll(ctx, []step{
		{argv: []string{"pacman", "-S", "--noconfirm", "--noprogressbar", "--"}, want: s.install},
		{argv: []string{"pacman", "-R", "--noconfirm", "--noprogressbar", "--"}, want: s.remove},
		{argv: []string{"pacman", "-Rn", "--noconfirm", "--noprogressbar", "--"}, want: s.purge},
	}); err != nil {
		return err
	}
	return p.pacmanHolds(ctx, want)
}

func (p *packages) pacmanHolds(ctx context.Context, want []host.PackageChange) error {
	old, err := p.fs.Read(pacmanConf, 0)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	conf := string(old)
	for _, w := range want {
		if w.Hold != nil && !w.Remove {
			conf = pacmanIgnore(conf, w.Name, *w.Hold)
		}
	}
	if conf == string(old) {
		return nil
	}
	if err := p.fs.Write(ctx, pacmanConf, strings.NewReader(conf), host.WriteOptions{}); err != nil {
		return fmt.Errorf("holding packages: %w", err)
	}
	return nil
}

// pacmanIgnored are the packages that lines "IgnorePkg = a b" name. Included files are not followed.
func pacmanIgnored(conf string) []string {
	var all []string
	for line := range strings.Lines(conf) {
		if words, ok := ignoreLine(line); ok {
			all = append(all, words...)
		}
	}
	return all
}

func ignoreLine(line string) ([]string, bool) {
	key, value, ok := strings.Cut(line, "=")
	return strings.Fields(value), ok && strings.TrimSpace(key) == "IgnorePkg"
}

// pacmanIgnore adds a name to IgnorePkg of the section [options], or takes it out of every such line. The last line need
// not have an end.
func pacmanIgnore(conf, name string, hold bool) string {
	if conf != "" && !strings.HasSuffix(conf, "\n") {
		conf += "\n"
	}
	var b strings.Builder
	for line := range strings.Lines(conf) {
		words, ok := ignoreLine(line)
		var kept []string
		for _, word := range words {
			if word != name {
				kept = append(kept, word)
			}
		}
		switch {
		case !ok || len(kept) == len(words):
			b.WriteString(line)
		case len(kept) > 0:
			b.WriteString("IgnorePkg = " + strings.Join(kept, " ") + "\n")
		}
		if hold && strings.TrimSpace(line) == "[options]" {
			b.WriteString("IgnorePkg = " + name + "\n")
			hold = false
		}
	}
	if hold {
		b.WriteString("[options]\nIgnorePkg = " + name + "\n")
	}
	return b.String()
}

// readIfThere reads a file that need not be there.
func readIfThere(fs *files, name string) ([]byte, error) {
	data, err := fs.Read(path.Clean(name), 0)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	return data, err
}

var _ upgrader = pacman{}

func (pacman) lists() []string { return []string{"/var/lib/pacman/sync"} }

// pacmanUpgrade is the command that upgrades, without what is excluded.
func pacmanUpgrade(s host.UpgradeScope, options ...string) []string {
	argv := append([]string{"pacman", "-Su"}, options...)
	for _, pattern := range s.Exclude {
		argv = append(argv, "--ignore", pattern)
	}
	return argv
}

// pending has pacman print the packages that it would install.
func (pacman) pending(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error) {
	if err := noSecurity(s, "pacman"); err != nil {
		return nil, err
	}
	out, err := p.run(ctx, pacmanUpgrade(s, "--print-format", "%n %v"))
	if err != nil {
		return nil, err
	}
	var all []host.Upgrade
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) != 2 || !startsWithDigit(words[1]) {
			continue
		}
		is, err := p.Installed(ctx, words[0])
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
		all = append(all, host.Upgrade{Name: words[0], From: is.Version, To: words[1]})
	}
	unneeded, err := p.pacmanUnneeded(ctx, s)
	return append(all, unneeded...), err
}

func (pacman) upgrade(ctx context.Context, p *packages, s host.UpgradeScope) error {
	if _, err := p.run(ctx, pacmanUpgrade(s, "--noconfirm", "--noprogressbar")); err != nil {
		return err
	}
	unneeded, err := p.pacmanUnneeded(ctx, s)
	if err != nil || len(unneeded) == 0 {
		return err
	}
	argv := []string{"pacman", "-Rs", "--noconfirm", "--noprogressbar", "--"}
	for _, u := range unneeded {
		argv = append(argv, u.Name)
	}
	_, err = p.run(ctx, argv)
	return err
}

// pacmanUnneeded lists what was installed for others and nothing needs: exit status 1 says that there is none.
func (p *packages) pacmanUnneeded(ctx context.Context, s host.UpgradeScope) ([]host.Upgrade, error) {
	if !s.Autoremove {
		return nil, nil
	}
	out, err := p.run(ctx, []string{"pacman", "-Qdt"}, 1)
	if err != nil {
		return nil, err
	}
	var all []host.Upgrade
	for line := range strings.Lines(string(out)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "" && version != "" {
			all = append(all, host.Upgrade{Name: name, From: version})
		}
	}
	return within(all, s), nil
}

func startsWithDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
