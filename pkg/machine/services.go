//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"vigo.dev/pkg/host"
)

// services is host.Services for systemd: over D-Bus where it runs, and from its folders where it does not.
type services struct {
	m    *Machine
	fs   *files
	live bool

	mu   sync.Mutex
	owed bool // a reload of the unit files
}

// newServices looks for a running systemd as sd_booted(3) does.
func newServices(m *Machine, fsys *files) *services {
	s := &services{m: m, fs: fsys}
	if m.tree.live() {
		info, err := fsys.Stat("/run/systemd/system")
		s.live = err == nil && info.Kind == host.Dir
	}
	return s
}

var _ host.Services = (*services)(nil)

// Service implements [host.Services].
func (s *services) Service(ctx context.Context, name string) (host.Service, error) {
	unit, err := unitName(name)
	if err != nil {
		return host.Service{}, err
	}
	if !s.live {
		u, err := findUnit(s.fs, unit)
		if err != nil {
			return host.Service{}, fmt.Errorf("looking for service %s: %w", name, err)
		}
		boot, err := bootState(s.fs, u)
		return host.Service{Name: name, Boot: boot, State: string(boot)}, err
	}
	svc, err := s.ask(ctx, unit)
	svc.Name = name
	if err != nil {
		return svc, fmt.Errorf("looking for service %s: %w", name, err)
	}
	return svc, nil
}

// ask asks systemd about one unit.
func (s *services) ask(ctx context.Context, unit string) (host.Service, error) {
	var at dbus.ObjectPath
	if err := s.m.bus.call(ctx, "LoadUnit", []any{unit}, &at); err != nil {
		return host.Service{}, err
	}
	props, err := s.m.bus.properties(ctx, at, ifUnit)
	if err != nil {
		return host.Service{}, err
	}
	load, active, sub := text(props["LoadState"]), text(props["ActiveState"]), text(props["SubState"])
	if load == "not-found" {
		return host.Service{}, fmt.Errorf("unit %s: %w", unit, host.ErrNotFound)
	}
	svc := host.Service{
		Name: unit, Live: true, Running: running(active, sub, jobID(props["Job"])), Failed: active == "failed",
		State: active + " (" + sub + ")",
	}
	// The property UnitFileState is as old as the last reload of systemd; this call looks at the files.
	var state string
	err = s.m.bus.call(ctx, "GetUnitFileState", []any{unit}, &state)
	if errors.Is(err, host.ErrNotFound) {
		state, err = "static", nil // made at run time, without a file
	}
	if err != nil {
		return svc, err
	}
	svc.Boot = bootOf(state)
	if state == "generated" {
		svc.Boot = s.sysvBoot(unit)
	}
	return svc, nil
}

// jobID is the number in the property Job of a unit; 0 if it has no job.
func jobID(v dbus.Variant) uint32 {
	pair, _ := v.Value().([]any)
	if len(pair) == 0 {
		return 0
	}
	id, _ := pair[0].(uint32)
	return id
}

func text(v dbus.Variant) string {
	s, _ := v.Value().(string)
	return s
}

// running counts what is starting, too, and what has a job that will start it: the agent looks at services while the machine
// boots, when the turn of some has not come. A unit that waits to be started again because it failed does not run.
func running(active, sub string, job uint32) bool {
	switch active {
	case "active", "reloading", "refreshing":
		return true
	case "activating":
		return !strings.HasPrefix(sub, "auto-restart")
	}
	return active == "inactive" && job != 0
}

// bootOf turns a state of systemctl(1) is-enabled into ours.
func bootOf(state string) host.Boot {
	switch state {
	case "enabled", "enabled-runtime", "linked", "linked-runtime", "alias":
		return host.Enabled
	case "masked", "masked-runtime":
		return host.Masked
	case "disabled":
		return host.Disabled
	}
	return host.Static // static, indirect, generated, transient
}

// sysvBoot looks for the start link of an init script.
func (s *services) sysvBoot(unit string) host.Boot {
	name := strings.TrimSuffix(unit, ".service")
	for _, level := range []string{"2", "3", "4", "5"} {
		links, err := s.fs.List("/etc/rc" + level + ".d")
		if err != nil {
			continue
		}
		for _, l := range links {
			if len(l.Name) > 3 && l.Name[0] == 'S' && l.Name[3:] == name {
				return host.Enabled
			}
		}
	}
	return host.Disabled
}

// All implements [host.Services].
func (s *services) All(ctx context.Context) ([]host.Service, error) {
	if !s.live {
		return s.allFromFiles()
	}
	var unitFiles []struct{ Path, State string }
	if err := s.m.bus.call(ctx, "ListUnitFilesByPatterns", []any{[]string{}, []string{"*.service"}}, &unitFiles); err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	var units []struct {
		Name, Description, Load, Active, Sub, Followed string
		Path                                           dbus.ObjectPath
		JobID                                          uint32
		JobType                                        string
		JobPath                                        dbus.ObjectPath
	}
	if err := s.m.bus.call(ctx, "ListUnitsByPatterns", []any{[]string{}, []string{"*.service"}}, &units); err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	all := map[string]host.Service{}
	for _, f := range unitFiles {
		name := path.Base(f.Path)
		if strings.Contains(name, "@.") {
			continue // a template is no service
		}
		all[name] = host.Service{Name: name, Boot: bootOf(f.State), State: "inactive (dead)", Live: true}
	}
	for _, u := range units {
		if u.Load == "not-found" {
			continue
		}
		svc, known := all[u.Name]
		if !known {
			svc.Boot = host.Static
		}
		svc.Name, svc.Live, svc.State = u.Name, true, u.Active+" ("+u.Sub+")"
		svc.Running, svc.Failed = running(u.Active, u.Sub, u.JobID), u.Active == "failed"
		all[u.Name] = svc
	}
	return sorted(all), nil
}

func (s *services) allFromFiles() ([]host.Service, error) {
	all := map[string]host.Service{}
	for _, dir := range unitDirs() {
		entries, err := s.fs.List(dir)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing services: %w", err)
		}
		for _, e := range entries {
			_, seen := all[e.Name]
			if seen || !strings.HasSuffix(e.Name, ".service") || strings.Contains(e.Name, "@.") || e.Kind == host.Dir {
				continue
			}
			u, err := findUnit(s.fs, e.Name)
			if errors.Is(err, host.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("listing services: %w", err)
			}
			boot, err := bootState(s.fs, u)
			if err != nil {
				return nil, fmt.Errorf("listing services: %w", err)
			}
			all[e.Name] = host.Service{Name: e.Name, Boot: boot, State: string(boot)}
		}
	}
	return sorted(all), nil
}

func sorted(all map[string]host.Service) []host.Service {
	list := make([]host.Service, 0, len(all))
	for _, s := range all {
		list = append(list, s)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}
