//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/host"
)

// rpmDatabases are the files rpm keeps its database in: sqlite, ndb and Berkeley DB, in the place before and after it
// moved to /usr.
func rpmDatabases() []string {
	var all []string
	for _, dir := range []string{"/var/lib/rpm", "/usr/lib/sysimage/rpm"} {
		for _, name := range []string{"rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db", "Packages"} {
			all = append(all, dir+"/"+name)
		}
	}
	return all
}

// rpmQuery prints what of a package is wanted; the epoch is 0 where there is none.
const rpmQuery = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"

// rpm is the database; the program that installs differs.
func (p *packages) rpm() (manager, error) {
	for _, known := range []struct {
		program string
		man     manager
	}{
		{"zypper", zypper{}}, {"dnf", dnf{program: "dnf", query: []string{"dnf", "-q", "repoquery"}}},
		{"yum", dnf{program: "yum", query: []string{"repoquery", "-q"}}},
	} {
		_, err := p.m.runner.Find(known.program)
		if err == nil {
			return known.man, nil
		}
		if !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the packages are rpm's, but there is no zypper, dnf or yum: %w", errors.ErrUnsupported)
}

// readRPM asks rpm, whose database cannot be read without its library. The caller keeps the answer as long as the
// database is the same.
func readRPM(ctx context.Context, p *packages) ([]host.Package, error) {
	if !p.m.tree.live() {
		return nil, refuse("listing packages of rpm")
	}
	out, err := p.run(ctx, []string{"rpm", "-qa", "--qf", rpmQuery})
	if err != nil {
		return nil, err
	}
	return parseRPM(out), nil
}

// parseRPM reads lines of rpmQuery. Keys, which rpm counts as packages, are passed over.
func parseRPM(out []byte) []host.Package {
	var pkgs []host.Package
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 || fields[0] == "" || fields[1] == "" || fields[0] == "gpg-pubkey" {
			continue
		}
		pkgs = append(pkgs, host.Package{Name: fields[0], Version: strings.TrimPrefix(fields[1], "0:"), Arch: fields[2]})
	}
	return pkgs
}

// markHeld marks the packages with these names.
func markHeld(pkgs []host.Package, held map[string]bool) []host.Package {
	for i := range pkgs {
		pkgs[i].Held = held[pkgs[i].Name]
	}
	return pkgs
}

// holds are the steps that hold and release packages.
func holds(want []host.PackageChange, hold, release []string) []step {
	lock, unlock := step{argv: hold}, step{argv: release}
	for _, w := range want {
		switch {
		case w.Hold == nil || w.Remove:
		case *w.Hold:
			lock.want = append(lock.want, w)
		default:
			unlock.want = append(unlock.want, w)
		}
	}
	return []step{lock, unlock}
}
