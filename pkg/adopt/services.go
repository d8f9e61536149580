package adopt

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

var unitKinds = []string{".service", ".socket", ".timer", ".path"}

const unitDir = "/etc/systemd/system"

// services adopts units that people brought, switched on or off, or got with a package they chose.
func (c *collector) services() error {
	if !c.asked("service") {
		return nil
	}
	all, err := c.h.Services.All(c.ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at services: %w", err)
	}
	units := map[string]host.Service{}
	for _, s := range all {
		if !strings.Contains(s.Name, ".") || path.Ext(s.Name) == ".service" {
			s.Name = strings.TrimSuffix(s.Name, ".service") + ".service"
		}
		units[s.Name] = s
	}
	own, linked, err := c.ownUnits()
	if err != nil {
		return err
	}
	for name := range own {
		if s, err := c.h.Services.Service(c.ctx, name); err == nil {
			units[name] = s
		} else if !errors.Is(err, host.ErrNotFound) {
			return fmt.Errorf("looking at services: %w", err)
		}
	}
	delivered, err := c.enabledByPackages()
	if err != nil {
		return err
	}
	chosen := c.chosenUnits()
	for _, name := range slices.Sorted(maps.Keys(units)) {
		s := units[name]
		usual := own[name] && s.Boot != host.Static || chosen[name] && (s.Boot == host.Enabled || s.Boot == host.Disabled) ||
			s.Boot == host.Enabled && linked[name] && !delivered[name] || s.Boot == host.Disabled && delivered[name]
		short := strings.TrimSuffix(name, ".service")
		if strings.HasPrefix(name, "vigo") || !c.wants("service", short, usual) {
			continue
		}
		if err := c.service(short, name, s); err != nil {
			return err
		}
	}
	return nil
}

// service adopts a unit. Whether it runs is said where it is meant to last: not of one that does its work and ends.
func (c *collector) service(short, name string, s host.Service) error {
	attrs := map[string]any{}
	switch s.Boot {
	case host.Masked:
		attrs["masked"] = true
	case host.Enabled, host.Disabled:
		attrs["enabled"] = s.Boot == host.Enabled
	}
	ways := []Resource{{Module: moduleName(unitBase(name)), Type: "service", Identity: short, Attrs: attrs}}
	ends, err := c.endsByItself(name)
	if err != nil {
		return err
	}
	if s.Live && !ends && s.Boot != host.Masked {
		more := maps.Clone(attrs)
		more["running"] = s.Running
		ways = append([]Resource{{Module: ways[0].Module, Type: "service", Identity: short, Attrs: more}}, ways...)
	}
	if s.Failed {
		c.leaveOut("service", short, "has failed; only whether it starts at boot is adopted")
		ways = ways[len(ways)-1:]
	}
	if len(ways[0].Attrs) > 0 {
		c.offer(ways...)
	}
	return nil
}

// endsByItself reports whether a service is of a kind that does its work and ends.
func (c *collector) endsByItself(name string) (bool, error) {
	for _, dir := range []string{unitDir, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		file := path.Join(dir, name)
		info, err := c.h.FS.Stat(file)
		if errors.Is(err, host.ErrNotFound) || err == nil && info.Kind == host.Symlink && info.Target == "/dev/null" {
			continue
		}
		data, err := c.h.FS.Read(file, 1<<20)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("looking at service %s: %w", name, err)
		}
		return strings.Contains("\n"+string(data), "\nType=oneshot"), nil
	}
	return false, nil
}

// ownUnits is the units whose files, or the links that mask them, are in the folder that is for people, and those that links
// in it switch on. What is switched on without one is by what its package brings.
func (c *collector) ownUnits() (own, linked map[string]bool, err error) {
	own, linked = map[string]bool{}, map[string]bool{}
	entries, err := c.h.FS.List(unitDir)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, nil, fmt.Errorf("looking at services: %w", err)
	}
	for _, e := range entries {
		switch ext := path.Ext(e.Name); {
		case (e.Kind == host.File || e.Target == "/dev/null") && slices.Contains(unitKinds, ext) && !strings.Contains(e.Name, "@."):
			own[e.Name] = true
		case e.Kind == host.Dir && (ext == ".wants" || ext == ".requires"):
			links, err := c.h.FS.List(path.Join(unitDir, e.Name))
			if err != nil {
				return nil, nil, fmt.Errorf("looking at services: %w", err)
			}
			for _, l := range links {
				linked[l.Name] = true
			}
		}
	}
	return own, linked, nil
}

// chosenUnits is the units of packages that somebody chose, and of those they brought: that of nginx-light is in nginx-common.
func (c *collector) chosenUnits() map[string]bool {
	units := map[string]bool{}
	for _, p := range c.db.packages {
		if p.base {
			continue
		}
		for _, unit := range p.units {
			units[unit] = path.Ext(unit) == ".service"
		}
	}
	return units
}

// enabledByPackages is the units that are switched on when their packages are installed: deb-systemd-helper(1p) and
// systemd.preset(5) say so.
func (c *collector) enabledByPackages() (map[string]bool, error) {
	const helper = "/var/lib/systemd/deb-systemd-helper-enabled"
	on := map[string]bool{}
	entries, err := c.h.FS.List(helper)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, fmt.Errorf("looking at services: %w", err)
	}
	for _, e := range entries {
		if e.Kind != host.Dir {
			on[e.Name] = true // an alias
			continue
		}
		wanted, err := c.h.FS.List(path.Join(helper, e.Name))
		if err != nil {
			return nil, fmt.Errorf("looking at services: %w", err)
		}
		for _, w := range wanted {
			on[w.Name] = true
		}
	}
	const presets = "/usr/lib/systemd/system-preset"
	files, err := c.h.FS.List(presets)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, fmt.Errorf("looking at services: %w", err)
	}
	for _, f := range files {
		data, err := optional(c.h.FS, path.Join(presets, f.Name))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			if word := strings.Fields(line); len(word) == 2 && word[0] == "enable" {
				on[word[1]] = true
			}
		}
	}
	return on, nil
}
