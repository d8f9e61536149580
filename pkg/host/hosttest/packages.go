package hosttest

import (
	"context"
	"fmt"
	"slices"

	"vigo.dev/pkg/host"
)

// candidate is what the repositories offer of one package.
type candidate struct {
	version   string   // "" until the lists are fetched
	others    []string // further versions that can be installed by name
	refreshed string   // the version once the lists have been fetched again
	service   string   // a service that the package brings, enabled and running
	security  string   // the newest version that repairs a weakness
	needs     string   // a package that comes with an upgrade
	reboot    bool     // an upgrade asks for a reboot
}

// packages implements host.Packages.
type packages struct{ m *Machine }

var _ host.Packages = packages{}

// Installed implements host.Packages.
func (p packages) Installed(_ context.Context, name string) (host.Package, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if err := p.m.failure("packages", name); err != nil {
		return host.Package{}, fmt.Errorf("package %s: %w", name, err)
	}
	pkg := p.m.packages[name]
	if pkg == nil {
		return host.Package{}, notFound("package", name)
	}
	return *pkg, nil
}

// All implements host.Packages.
func (p packages) All(context.Context) ([]host.Package, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if err := p.m.failure("packages", ""); err != nil {
		return nil, err
	}
	var all []host.Package
	for _, name := range sortedKeys(p.m.packages) {
		all = append(all, *p.m.packages[name])
	}
	return all, nil
}

// Candidate implements host.Packages.
func (p packages) Candidate(_ context.Context, name string) (string, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if err := p.m.failure("packages", name); err != nil {
		return "", fmt.Errorf("package %s: %w", name, err)
	}
	c := p.m.candidates[name]
	if c == nil || c.version == "" {
		return "", notFound("package", name)
	}
	return c.version, nil
}

// Apply implements host.Packages: all or nothing.
func (p packages) Apply(_ context.Context, want ...host.PackageChange) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	for _, w := range want {
		p.m.wrote("package %s", w.Name)
	}
	for _, w := range want {
		if err := p.m.allowed(w); err != nil {
			return fmt.Errorf("package %s: %w", w.Name, err)
		}
	}
	for _, w := range want {
		p.m.apply(w)
	}
	return nil
}

// allowed says why a wish cannot be fulfilled.
func (m *Machine) allowed(w host.PackageChange) error {
	for _, word := range []string{"packages", "install"} {
		if err := m.failure(word, w.Name); err != nil {
			return err
		}
	}
	is, c := m.packages[w.Name], m.candidates[w.Name]
	switch {
	case w.HoldOnly && is == nil:
		return fmt.Errorf("is not installed: %w", host.ErrNotFound)
	case w.HoldOnly:
		return nil
	case is != nil && is.Held && w.Hold == nil && (w.Remove || w.Version != is.Version):
		return fmt.Errorf("is held at %s", is.Version)
	case w.Remove:
		return nil
	case is != nil && w.Version == is.Version:
		return nil
	case c == nil || c.version == "":
		return host.ErrNotFound
	case w.Version != "" && w.Version != c.version && !slices.Contains(c.others, w.Version):
		return fmt.Errorf("version %s: %w", w.Version, host.ErrNotFound)
	}
	return nil
}

// apply fulfils an allowed wish.
func (m *Machine) apply(w host.PackageChange) {
	is, c := m.packages[w.Name], m.candidates[w.Name]
	switch {
	case w.HoldOnly:
	case w.Remove:
		delete(m.packages, w.Name)
		if c != nil && c.service != "" {
			delete(m.services, c.service)
		}
		return
	default:
		if is == nil {
			is = &host.Package{Name: w.Name}
			m.packages[w.Name] = is
		}
		is.Broken = false
		if is.Version = w.Version; w.Version == "" {
			is.Version = c.version
		}
		if c != nil && c.service != "" && m.services[c.service] == nil {
			m.services[c.service] = &service{Service: host.Service{Name: c.service, Boot: host.Enabled, Running: true, Live: true}}
		}
	}
	set(&is.Held, w.Hold)
}

// Refresh implements host.Packages.
func (p packages) Refresh(context.Context) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.wrote("refresh packages")
	for _, word := range []string{"packages", "refresh"} {
		if err := p.m.failure(word, ""); err != nil {
			return err
		}
	}
	p.m.fetched = p.m.now
	for _, c := range p.m.candidates {
		if c.refreshed != "" {
			c.version, c.refreshed = c.refreshed, ""
		}
	}
	return nil
}
