package hosttest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
)

// service is one service and how it behaves.
type service struct {
	host.Service
	startFails bool
	file       string // its unit file, if it was found by that
}

// services implements host.Services.
type services struct{ m *Machine }

var _ host.Services = services{}

func unit(name string) string { return strings.TrimSuffix(name, ".service") }

// get finds a service; the caller holds the lock.
func (m *Machine) service(name string) (*service, error) {
	if err := m.failure("services", unit(name)); err != nil {
		return nil, fmt.Errorf("service %s: %w", name, err)
	}
	s := m.services[unit(name)]
	if s == nil {
		s = m.fromFile(unit(name))
	}
	if s == nil {
		return nil, notFound("service", name)
	}
	return s, nil
}

// fromFile makes a service of a unit file of the administrator, as systemd does when it is asked for one.
func (m *Machine) fromFile(name string) *service {
	file := name
	if path.Ext(name) == "" {
		file += ".service"
	}
	n := m.nodes["/etc/systemd/system/"+file]
	if n == nil || n.kind != host.File {
		return nil
	}
	s := &service{Service: host.Service{Name: name, Boot: host.Static, Live: m.nodes["/run/systemd/system"] != nil}, file: "/etc/systemd/system/" + file}
	if strings.Contains(n.content, "[Install]") {
		s.Boot = host.Disabled
	}
	m.services[name] = s
	return s
}

// forget drops the services whose unit files are gone; the caller holds the lock.
func (m *Machine) forget() {
	for name, s := range m.services {
		if s.file != "" && m.nodes[s.file] == nil && !s.Running {
			delete(m.services, name)
		}
	}
}

// Service implements host.Services.
func (v services) Service(_ context.Context, name string) (host.Service, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	s, err := v.m.service(name)
	if err != nil {
		return host.Service{}, err
	}
	return s.export(), nil
}

func (s *service) export() host.Service {
	c := s.Service
	if c.State == "" {
		switch {
		case !c.Live:
			c.State = "unknown"
		case c.Failed:
			c.State = "failed"
		case c.Running:
			c.State = "active (running)"
		default:
			c.State = "inactive (dead)"
		}
	}
	return c
}

// All implements host.Services.
func (v services) All(context.Context) ([]host.Service, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if err := v.m.failure("services", ""); err != nil {
		return nil, err
	}
	var all []host.Service
	for _, name := range sortedKeys(v.m.services) {
		all = append(all, v.m.services[name].export())
	}
	return all, nil
}

// SetBoot implements host.Services.
func (v services) SetBoot(_ context.Context, name string, boot host.Boot) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	v.m.wrote("boot %s %s", unit(name), boot)
	s, err := v.m.service(name)
	if err != nil {
		return err
	}
	if s.Boot == host.Static && boot == host.Enabled {
		return fmt.Errorf("enabling service %s: it has no install section", name)
	}
	s.Boot = boot
	return nil
}

// SetRunning implements host.Services.
func (v services) SetRunning(_ context.Context, name string, running bool) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	verb := "stop"
	if running {
		verb = "start"
	}
	v.m.wrote("%s %s", verb, unit(name))
	s, err := v.m.service(name)
	if err != nil {
		return err
	}
	return s.run(running)
}

// run starts or stops a service.
func (s *service) run(running bool) error {
	switch {
	case !s.Live:
		return fmt.Errorf("service %s: the init system is not running: %w", s.Name, errors.ErrUnsupported)
	case running && s.Boot == host.Masked:
		return fmt.Errorf("starting service %s: it is masked", s.Name)
	case running && s.startFails:
		s.Running, s.Failed, s.State = false, true, ""
		return fmt.Errorf("starting service %s: it failed", s.Name)
	}
	s.Running, s.Failed, s.State = running, false, ""
	return nil
}

// Restart implements host.Services.
func (v services) Restart(_ context.Context, name string, reload bool) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	verb := "restart"
	if reload {
		verb = "reload"
	}
	v.m.wrote("%s %s", verb, unit(name))
	s, err := v.m.service(name)
	if err != nil {
		return err
	}
	if reload && s.Live && !s.Running {
		return fmt.Errorf("reloading service %s: it is not running", name)
	}
	return s.run(true)
}
