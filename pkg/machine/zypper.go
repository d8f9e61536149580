//go:build linux

package machine

import (
	"context"
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
