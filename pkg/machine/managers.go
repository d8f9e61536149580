//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// A manager is what differs from package manager to package manager. Its methods are given names that are plain.
type manager interface {
	// files are what the installed packages are read from, and what candidates depend on.
	files() (database, sources []string)
	// read lists the installed packages, in any order.
	read(ctx context.Context, p *packages) ([]host.Package, error)
	// candidate is the version that the repositories offer; empty if none has the package.
	candidate(ctx context.Context, p *packages, name string) (string, error)
	// refresh fetches the package lists.
	refresh(ctx context.Context, p *packages) error
	// apply makes the changes.
	apply(ctx context.Context, p *packages, want []host.PackageChange) error
}

// detect finds the package manager by its database. The one of dpkg comes first: machines that have it may have the
// tools and empty databases of others too.
func (p *packages) detect() (manager, error) {
	rpms := rpmDatabases()
	for _, known := range []struct {
		databases []string
		open      func() (manager, error)
	}{
		{[]string{statusFile}, func() (manager, error) { return apt{}, nil }},
		{[]string{apkInstalled}, func() (manager, error) { return apk{}, nil }},
		{opkgDatabases(), p.opkg},
		{[]string{pacmanLocal}, func() (manager, error) { return pacman{}, nil }},
		{rpms, p.rpm},
	} {
		print, err := p.fingerprint(known.databases...)
		if err != nil {
			return nil, fmt.Errorf("looking for the package manager: %w", err)
		}
		if print != "" {
			return known.open()
		}
	}
	return nil, fmt.Errorf("looking for the package manager: no database of dpkg, apk, opkg, pacman or rpm: %w", errors.ErrUnsupported)
}

// ready returns the manager if packages can be changed or asked for here, and the names are names.
func (p *packages) ready(doing string, names ...string) (manager, error) {
	if !p.m.tree.live() {
		return nil, refuse(doing)
	}
	for _, name := range names {
		if err := plainPackage(name); err != nil {
			return nil, err
		}
	}
	man, err := p.manager()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return man, nil
}

// plainPackage refuses what a package manager would read as an option, a pattern, a version or a file.
func plainPackage(name string) error {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 && r != '_' || !strings.ContainsRune("+-._:", r)) {
			return fmt.Errorf("%q is not the name of a package", name)
		}
	}
	if name == "" {
		return errors.New("a package has no name")
	}
	return nil
}

// run runs a program of a package manager. An exit status that is neither 0 nor one of fine is an error.
func (p *packages) run(ctx context.Context, argv []string, fine ...int) ([]byte, error) {
	res, err := p.m.runner.Run(ctx, host.Command{Argv: argv, Limit: 16 << 20})
	said := lastWords(append(append([]byte{}, res.Stdout...), res.Stderr...))
	if err != nil && said != "" {
		return nil, fmt.Errorf("%w; it said last: %s", err, said)
	}
	if err != nil {
		return nil, err
	}
	for _, code := range append(fine, 0) {
		if res.Code == code {
			return res.Stdout, nil
		}
	}
	if words := lastWords(res.Stderr); words != "" {
		said = words
	}
	return nil, complaint(argv, res.Code, said)
}

// complaint tells apart what can be told apart by what a package manager says when it fails.
func complaint(argv []string, code int, said string) error {
	verb := ""
	for _, word := range argv[1:] {
		if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" {
			verb = " " + word
			break
		}
	}
	err := fmt.Errorf("%s%s: exit status %d: %s", argv[0], verb, code, said)
	has := func(phrases ...string) bool {
		return slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(strings.ToLower(said), p) })
	}
	switch {
	// In the order apk and pacman, opkg, zypper, dnf.
	case has("unable to lock database", "could not lock", "system management is locked", "failed to obtain the transaction lock"):
		return fmt.Errorf("%w: %w", host.ErrBusy, err)
	// apk, pacman, opkg, zypper, dnf, yum.
	case has("no such package", "target not found", "unknown package", "no provider of", "unable to find a match", "no package "):
		return fault.WithHint(fmt.Errorf("%w: %w", host.ErrNotFound, err), "is its repository declared, and the name right?")
	}
	return err
}

// wishes are what is asked for, by what is to be done; those that only hold are in none.
type wishes struct{ install, remove, purge []host.PackageChange }

func sortWishes(want []host.PackageChange) wishes {
	var s wishes
	for _, w := range want {
		switch {
		case w.HoldOnly:
		case w.Remove && w.Purge:
			s.purge = append(s.purge, w)
		case w.Remove:
			s.remove = append(s.remove, w)
		default:
			s.install = append(s.install, w)
		}
	}
	return s
}

// names appends the name of each package, and its version after the separator where one is wanted.
func names(argv []string, want []host.PackageChange, separator string) []string {
	for _, w := range want {
		name := strings.ReplaceAll(w.Name, ":", ".") // an architecture, as rpm writes it
		if w.Version != "" && !w.Remove && separator != "" {
			name += separator + w.Version
		}
		argv = append(argv, name)
	}
	return argv
}

// runAll runs each program that has anything to do: argv longer than its fixed part.
func (p *packages) runAll(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if len(s.want) == 0 {
			continue
		}
		if _, err := p.run(ctx, names(s.argv, s.want, s.separator), s.fine...); err != nil {
			return err
		}
	}
	return nil
}

// A step is one program and the packages it is for.
type step struct {
	argv      []string
	want      []host.PackageChange
	separator string // between name and version; empty if the program cannot choose versions
	fine      []int  // exit statuses that are success too
}

// onlyCandidates refuses a version that is not the candidate, for managers that can install nothing else.
func (p *packages) onlyCandidates(ctx context.Context, man manager, want []host.PackageChange) error {
	for _, w := range want {
		if w.Version == "" {
			continue
		}
		offered, err := man.candidate(ctx, p, w.Name)
		if err != nil {
			return err
		}
		if offered != w.Version {
			err := fmt.Errorf("package %s: version %s: %w", w.Name, w.Version, host.ErrNotFound)
			return fault.WithHint(err, "the repositories have "+wordOr(offered, "no version")+"; this package manager installs no other")
		}
	}
	return nil
}

func wordOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
