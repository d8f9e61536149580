//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vigo.dev/pkg/host"
)

// A packageCache keeps the package database from run to run, as long as its files are the same, and candidates as
// long as nothing that the package manager decides by has changed.
type packageCache struct {
	mu         sync.Mutex
	status     string // fingerprint of the files the packages were read from
	pkgs       []host.Package
	sources    string // fingerprint of what the candidates depend on
	candidates map[string]string
	offered    string                    // fingerprint of what the upgrades depend on
	upgrades   map[string][]host.Upgrade // by scope
}

// packages is host.Packages: what is the same for every package manager.
type packages struct {
	m         *Machine
	fs        *files
	mu        sync.Mutex
	manager   func() (manager, error)
	read      func() ([]host.Package, error) // nil: to be read again
	refreshed string                         // fingerprint of what candidates depend on after the last refresh
}

func newPackages(m *Machine, fsys *files) *packages {
	p := &packages{m: m, fs: fsys}
	p.manager = sync.OnceValues(p.detect)
	return p
}

var _ host.Packages = (*packages)(nil)

// readLimit bounds how long a package database may take to be read by a program. The answer serves the whole run, so
// that the deadline of the resource that happens to ask first must not end it.
const readLimit = 2 * time.Minute

func (p *packages) list(ctx context.Context) ([]host.Package, error) {
	p.mu.Lock()
	if p.read == nil {
		p.read = sync.OnceValues(func() ([]host.Package, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
			defer cancel()
			return p.load(ctx)
		})
	}
	read := p.read
	p.mu.Unlock()
	return read()
}

func (p *packages) forget() {
	p.mu.Lock()
	p.read = nil
	p.mu.Unlock()
}

func (p *packages) load(ctx context.Context) ([]host.Package, error) {
	man, err := p.manager()
	if err != nil {
		return nil, err
	}
	database, _ := man.files()
	print, err := p.fingerprint(database...)
	if err != nil {
		return nil, err
	}
	c := p.m.packages
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == print && print != "" {
		return c.pkgs, nil
	}
	pkgs, err := man.read(ctx, p)
	if err != nil {
		return nil, err
	}
	sortPackages(pkgs)
	c.status, c.pkgs = print, pkgs
	return c.pkgs, nil
}

// fingerprint is a text that changes whenever one of the files does; empty if none of them is there.
func (p *packages) fingerprint(names ...string) (string, error) {
	print := ""
	for _, name := range names {
		info, err := p.fs.Stat(name)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		print += fmt.Sprintf("%s %d %d %d\n", name, info.Size, info.ModTime.UnixNano(), info.Links)
	}
	return print, nil
}

// Installed implements [host.Packages].
func (p *packages) Installed(ctx context.Context, name string) (host.Package, error) {
	pkgs, err := p.list(ctx)
	if err != nil {
		return host.Package{}, fmt.Errorf("looking for package %s: %w", name, err)
	}
	if pkg, ok := findPackage(pkgs, name); ok {
		return pkg, nil
	}
	return host.Package{}, fmt.Errorf("package %s: %w", name, host.ErrNotFound)
}

// All implements [host.Packages].
func (p *packages) All(ctx context.Context) ([]host.Package, error) {
	pkgs, err := p.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w", err)
	}
	return append([]host.Package(nil), pkgs...), nil
}

// Candidate implements [host.Packages]. It asks the package manager, and remembers the answer until something that
// decides changes, in later runs too.
func (p *packages) Candidate(ctx context.Context, name string) (string, error) {
	man, err := p.ready("looking for a candidate of package "+name, name)
	if err != nil {
		return "", err
	}
	_, sources := man.files()
	print, err := p.fingerprint(sources...)
	if err != nil {
		return "", fmt.Errorf("looking for a candidate of package %s: %w", name, err)
	}
	c := p.m.packages
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sources != print || c.candidates == nil {
		c.sources, c.candidates = print, map[string]string{}
	}
	version, known := c.candidates[name]
	if !known {
		if version, err = man.candidate(ctx, p, name); err != nil {
			return "", err
		}
		c.candidates[name] = version
	}
	if version == "" {
		return "", fmt.Errorf("candidate of package %s: %w", name, host.ErrNotFound)
	}
	return version, nil
}

// Refresh implements [host.Packages]. Lists that were fetched in this run, from sources that are the same still, are
// not fetched again.
func (p *packages) Refresh(ctx context.Context) error {
	man, err := p.ready("refreshing package lists")
	if err != nil {
		return err
	}
	_, sources := man.files()
	print, err := p.fingerprint(sources...)
	if err != nil {
		return fmt.Errorf("refreshing package lists: %w", err)
	}
	p.mu.Lock()
	fresh := p.refreshed == print && print != ""
	p.mu.Unlock()
	if fresh {
		return nil
	}
	c := p.m.packages
	c.mu.Lock()
	c.candidates = nil
	c.mu.Unlock()
	if err := man.refresh(ctx, p); err != nil {
		return err
	}
	if err := p.markFetched(man); err != nil {
		return err
	}
	print, err = p.fingerprint(sources...)
	p.mu.Lock()
	p.refreshed = print
	p.mu.Unlock()
	return err
}

// Apply implements [host.Packages].
func (p *packages) Apply(ctx context.Context, want ...host.PackageChange) error {
	if len(want) == 0 {
		return nil
	}
	var names []string
	for _, w := range want {
		names = append(names, w.Name)
	}
	man, err := p.ready("changing packages", names...)
	if err != nil {
		return err
	}
	defer p.forget()
	return man.apply(ctx, p, want)
}
