//go:build linux

package machine

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"vigo.dev/pkg/host"
)

const (
	apkInstalled = "/lib/apk/db/installed"
	apkWorld     = "/etc/apk/world"
)

// apk is the manager of Alpine. A package is held when the world file asks for one version of it (name=version).
// Format of the database: https://wiki.alpinelinux.org/wiki/Apk_spec
type apk struct{}

func (apk) files() (database, sources []string) {
	database = []string{apkInstalled, apkWorld}
	return database, append(database, "/etc/apk/repositories", "/etc/apk/repositories.d", "/var/cache/apk", "/etc/apk/cache")
}

func (apk) read(_ context.Context, p *packages) ([]host.Package, error) {
	file, err := p.fs.Open(apkInstalled)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	world, err := readIfThere(p.fs, apkWorld)
	if err != nil {
		return nil, err
	}
	pkgs, err := parseApk(io.LimitReader(file, statusLimit), world)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", apkInstalled, err)
	}
	return pkgs, nil
}

// parseApk reads paragraphs of lines such as "P:name", "V:version", "A:architecture"; most lines are files.
func parseApk(in io.Reader, world []byte) ([]host.Package, error) {
	pinned := map[string]bool{}
	for word := range strings.FieldsSeq(string(world)) {
		if name, _, ok := strings.Cut(word, "="); ok && !strings.ContainsAny(name, "<>~!") {
			pinned[name] = true
		}
	}
	var pkgs []host.Package
	var is host.Package
	flush := func() {
		if is.Name != "" && is.Version != "" {
			is.Held = pinned[is.Name]
			pkgs = append(pkgs, is)
		}
		is = host.Package{}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			flush()
			continue
		}
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "P":
			is.Name = string(value)
		case "V":
			is.Version = string(value)
		case "A":
			is.Arch = string(value)
		case "f":
			is.Broken = bytes.ContainsAny(value, "fs") // files or a script are missing
		}
	}
	flush()
	return pkgs, lines.Err()
}

// candidate asks for the newest version that the lists on this machine have; --no-network keeps a question from
// fetching them.
func (apk) candidate(ctx context.Context, p *packages, name string) (string, error) {
	out, err := p.run(ctx, []string{"apk", "--no-network", "search", "--exact", name})
	if err != nil {
		return "", err
	}
	return parseApkSearch(out, name), nil
}

func parseApkSearch(out []byte, name string) string {
	for line := range strings.Lines(string(out)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), name+"-"); ok && version != "" && version[0] >= '0' && version[0] <= '9' {
			return version
		}
	}
	return ""
}

func (apk) refresh(ctx context.Context, p *packages) error {
	_, err := p.run(ctx, []string{"apk", "--wait", "600", "update"})
	return err
}

// apply pins packages to versions only where they are to be held: a version in the world file stays there.
func (apk) apply(ctx context.Context, p *packages, want []host.PackageChange) error {
	s := sortWishes(want)
	apkRun := func(words ...string) []string {
		return append([]string{"apk", "--no-progress", "--wait", "600"}, words...)
	}
	if err := p.runAll(ctx, []step{
		{argv: apkRun("add", "--upgrade"), want: s.install, separator: "="},
		{argv: apkRun("del"), want: s.remove},
		{argv: apkRun("del", "--purge"), want: s.purge},
	}); err != nil {
		return err
	}
	return p.apkPins(ctx, want, apkRun("add"))
}

// apkPins settles what the world file should say: the version that is there if held, else the bare name.
func (p *packages) apkPins(ctx context.Context, want []host.PackageChange, add []string) error {
	p.forget()
	pins := step{argv: add, separator: "="}
	for _, w := range want {
		if w.Remove || w.Hold == nil && w.Version == "" {
			continue
		}
		pin := host.PackageChange{Name: w.Name}
		if w.Hold != nil && *w.Hold {
			is, err := p.Installed(ctx, w.Name)
			if err != nil {
				return err
			}
			pin.Version = is.Version
		} else if w.Hold == nil {
			continue
		}
		pins.want = append(pins.want, pin)
	}
	return p.runAll(ctx, []step{pins})
}

var _ upgrader = apk{}

func (apk) lists() []string { return []string{"/var/cache/apk", "/etc/apk/cache"} }

// apkUpgrade is the command that upgrades these packages, or all if there are none. Without the option, apk would upgrade
// itself first, in a transaction of its own.
func apkUpgrade(names []string, options ...string) []string {
	argv := append(append([]string{"apk", "--no-progress"}, options...), "upgrade", "--no-self-upgrade")
	return append(argv, names...)
}

// pending has apk simulate what upgrade does. What nothing needs any more apk always removes.
func (apk) pending(ctx context.Context, p *packages, s host.UpgradeScope) ([]host.Upgrade, error) {
	all, _, err := p.apkUpgrades(ctx, s)
	return all, err
}

func (p *packages) apkUpgrades(ctx context.Context, s host.UpgradeScope) (all []host.Upgrade, names []string, err error) {
	if err := noSecurity(s, "apk"); err != nil {
		return nil, nil, err
	}
	simulate := func(names []string) ([]host.Upgrade, error) {
		out, err := p.run(ctx, apkUpgrade(names, "--no-network", "--simulate"))
		return parseApkSteps(out), err
	}
	return foresee(s, simulate)
}

func (apk) upgrade(ctx context.Context, p *packages, s host.UpgradeScope) error {
	all, names, err := p.apkUpgrades(ctx, s)
	if err != nil || len(all) == 0 {
		return err
	}
	_, err = p.run(ctx, apkUpgrade(names, "--wait", "600"))
	return err
}

// parseApkSteps reads lines "(1/2) Upgrading busybox (1.36.1-r4 -> 1.36.1-r5)", "(2/2) Installing zlib (1.3-r0)".
func parseApkSteps(out []byte) []host.Upgrade {
	var all []host.Upgrade
	for line := range strings.Lines(string(out)) {
		_, step, numbered := strings.Cut(line, ") ")
		words := strings.Fields(step)
		if !numbered || !strings.HasPrefix(line, "(") || len(words) < 3 {
			continue
		}
		from, to := strings.Trim(words[2], "()"), strings.Trim(words[len(words)-1], "()")
		switch words[0] {
		case "Upgrading", "Downgrading":
		case "Installing":
			from = ""
		case "Purging":
			to = ""
		default:
			continue
		}
		if from != "" || to != "" {
			all = append(all, host.Upgrade{Name: words[1], From: from, To: to})
		}
	}
	return all
}
