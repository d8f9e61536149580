//go:build linux

package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// aptEnv keeps apt and what it starts from asking questions.
func aptEnv() []string {
	return []string{"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_MODE=l", "UCF_FORCE_CONFFOLD=1"}
}

// aptOptions: wait for the lock of another apt for ten minutes, keep configuration files that were changed here.
func aptOptions() []string {
	return []string{
		"-y", "-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0",
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
	}
}

// sourcesOfCandidates is all that apt decides candidates by.
func sourcesOfCandidates() []string {
	return []string{
		"/var/lib/apt/lists", "/var/lib/apt/extended_states", statusFile, "/etc/apt/sources.list", "/etc/apt/sources.list.d",
		"/etc/apt/preferences", "/etc/apt/preferences.d", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d",
	}
}

// apt is the manager of Debian and its kin: the database of dpkg, changed by apt-get.
type apt struct{}

func (apt) files() (database, sources []string) { return []string{statusFile}, sourcesOfCandidates() }

func (apt) read(_ context.Context, p *packages) ([]host.Package, error) {
	return readParagraphs(p, statusFile)
}

func (apt) candidate(ctx context.Context, p *packages, name string) (string, error) {
	res, err := p.m.runner.Run(ctx, host.Command{Argv: []string{"apt-cache", "policy", "--", name}})
	if err != nil {
		return "", err
	}
	if res.Code != 0 {
		return "", fmt.Errorf("asking apt-cache for %s: exit status %d: %s", name, res.Code, lastWords(res.Stderr))
	}
	return parsePolicy(res.Stdout)[name], nil
}

func (apt) refresh(ctx context.Context, p *packages) error { return p.apt(ctx, "update") }

func (apt) apply(ctx context.Context, p *packages, want []host.PackageChange) error {
	for _, w := range want {
		if err := packageName(w.Name); err != nil {
			return err
		}
	}
	if err := p.transaction(ctx, want); err != nil {
		return err
	}
	return p.hold(ctx, want)
}

// transaction installs and removes. Packages to be purged beside others that are only removed go in a second one,
// because --purge means all.
func (p *packages) transaction(ctx context.Context, want []host.PackageChange) error {
	argv := []string{"install"}
	var purge, names []string
	exact, release := false, false
	for _, w := range want {
		switch {
		case w.HoldOnly:
		case w.Remove && w.Purge:
			purge = append(purge, w.Name)
		case w.Remove:
			names = append(names, w.Name+"-")
		case w.Version != "":
			exact = true
			names = append(names, w.Name+"="+w.Version)
		default:
			names = append(names, w.Name)
		}
		release = release || w.Hold != nil
	}
	if exact {
		argv = append(argv, "--allow-downgrades")
	}
	if release {
		argv = append(argv, "--allow-change-held-packages")
	}
	if len(names) > 0 {
		if err := p.apt(ctx, append(append(argv, "--"), names...)...); err != nil {
			return err
		}
	}
	if len(purge) > 0 {
		return p.apt(ctx, append([]string{"purge", "--"}, purge...)...)
	}
	return nil
}

func (p *packages) hold(ctx context.Context, want []host.PackageChange) error {
	var selections strings.Builder
	for _, w := range want {
		switch {
		case w.Hold == nil || w.Remove:
		case *w.Hold:
			fmt.Fprintf(&selections, "%s hold\n", w.Name)
		default:
			fmt.Fprintf(&selections, "%s install\n", w.Name)
		}
	}
	if selections.Len() == 0 {
		return nil
	}
	res, err := p.m.runner.Run(ctx, host.Command{Argv: []string{"dpkg", "--set-selections"}, Stdin: strings.NewReader(selections.String())})
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("holding packages: dpkg: exit status %d: %s", res.Code, lastWords(res.Stderr))
	}
	return err
}

// apt runs apt-get; if dpkg was interrupted before, it is made to finish first.
func (p *packages) apt(ctx context.Context, args ...string) error {
	argv := append([]string{"apt-get"}, aptOptions()...)
	argv = append(argv, args...)
	res, err := p.m.runner.Run(ctx, host.Command{Argv: argv, Env: aptEnv()})
	if err == nil && res.Code != 0 && bytes.Contains(res.Stderr, []byte("dpkg was interrupted")) {
		fix := []string{"dpkg", "--force-confdef", "--force-confold", "--configure", "-a"}
		if _, err := p.m.runner.Run(ctx, host.Command{Argv: fix, Env: aptEnv()}); err != nil {
			return err
		}
		res, err = p.m.runner.Run(ctx, host.Command{Argv: argv, Env: aptEnv()})
	}
	if said := lastWords(append(res.Stdout, res.Stderr...)); err != nil && said != "" {
		return fmt.Errorf("%w; it said last: %s", err, said) // who holds the lock it waited for
	}
	if err != nil || res.Code == 0 {
		return err
	}
	err = fmt.Errorf("apt-get %s: exit status %d: %s", args[0], res.Code, lastWords(res.Stderr))
	switch {
	case bytes.Contains(res.Stderr, []byte("Could not get lock")), bytes.Contains(res.Stderr, []byte("Unable to acquire the dpkg frontend lock")):
		err = fmt.Errorf("%w: %w", host.ErrBusy, err)
	case bytes.Contains(res.Stderr, []byte("Unable to locate package")):
		err = fault.WithHint(fmt.Errorf("%w: %w", host.ErrNotFound, err), "is its repository declared, and the name right?")
	}
	return err
}

// packageName refuses what is no package name of Debian policy 5.6.1, with an optional architecture: it would be read
// as an option or a pattern.
func packageName(name string) error {
	base, arch, _ := strings.Cut(name, ":")
	for i, r := range base + arch {
		letter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("+-.", r)) {
			return fmt.Errorf("%q is not the name of a package", name)
		}
	}
	if base == "" {
		return errors.New("a package has no name")
	}
	return nil
}
