//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"vigo.dev/pkg/host"
)

const (
	statusFile = "/var/lib/dpkg/status"
	// statusLimit bounds the package database: a machine with every package of a distribution has about 100 MB.
	statusLimit = 256 << 20
)

// A packageCache keeps the parsed package database from run to run, as long as its file is the same, and candidates
// as long as nothing that apt decides by has changed.
type packageCache struct {
	mu         sync.Mutex
	status     string // fingerprint of the file the packages were read from
	pkgs       []host.Package
	sources    string // fingerprint of what the candidates depend on
	candidates map[string]string
}

// packages is host.Packages for dpkg and apt.
type packages struct {
	m         *Machine
	fs        *files
	mu        sync.Mutex
	read      func() ([]host.Package, error) // nil: to be read again
	refreshed string                         // fingerprint of what candidates depend on after the last refresh
}

func newPackages(m *Machine, fsys *files) *packages { return &packages{m: m, fs: fsys} }

var _ host.Packages = (*packages)(nil)

func (p *packages) list() ([]host.Package, error) {
	p.mu.Lock()
	if p.read == nil {
		p.read = sync.OnceValues(p.load)
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

func (p *packages) load() ([]host.Package, error) {
	print, err := p.fingerprint(statusFile)
	if err != nil {
		return nil, err
	}
	if print == "" {
		return nil, fmt.Errorf("reading packages: no package manager that is known (looked for %s): %w", statusFile, errors.ErrUnsupported)
	}
	c := p.m.packages
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == print {
		return c.pkgs, nil
	}
	file, err := p.fs.Open(statusFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	limited := &io.LimitedReader{R: file, N: statusLimit + 1}
	pkgs, err := parseStatus(limited)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", statusFile, err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("reading %s: more than the limit of %d bytes", statusFile, int64(statusLimit))
	}
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
func (p *packages) Installed(_ context.Context, name string) (host.Package, error) {
	pkgs, err := p.list()
	if err != nil {
		return host.Package{}, fmt.Errorf("looking for package %s: %w", name, err)
	}
	if pkg, ok := findPackage(pkgs, name); ok {
		return pkg, nil
	}
	return host.Package{}, fmt.Errorf("package %s: %w", name, host.ErrNotFound)
}

// All implements [host.Packages].
func (p *packages) All(context.Context) ([]host.Package, error) {
	pkgs, err := p.list()
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w", err)
	}
	return append([]host.Package(nil), pkgs...), nil
}
