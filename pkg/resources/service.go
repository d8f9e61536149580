package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"weak"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Service is a service of the machine's init system: a unit of systemd, or a service of OpenRC, runit or the init scripts of
// System V, whichever the machine has. Where the init system is not running (an image being built), only what happens at boot
// is seen to.
//
// What runs is asked of systemd by its own protocol, and read from the files of OpenRC and runit. An init script of System V
// without a file in /run that tells its process is run with "status", once a run; so are those that OpenRC and runit run beside
// their own services. A script that ends with 0 and says nothing is taken for stopped, as service(8) does. With runit a service
// that is not enabled is held by a file "down" in its folder.
//
//	resources:
//	  - service: ssh
//	    running: true
//	    enabled: true
//	    on_notify: reload
type Service struct {
	// Name of the service as the init system knows it; ".service" may be left out.
	Name string `vigo:"identity"`

	// Running says whether the service should run now. If unset, that is left alone. One that has failed is started also when
	// systemd would not try again because it was started too often.
	Running *bool `yaml:"running"`

	// Enabled says whether the service starts at boot. If unset, that is left alone.
	Enabled *bool `yaml:"enabled"`

	// Masked makes it impossible to start the service at all, or takes a mask away. If unset, that is left alone. Only
	// systemd has masks.
	Masked *bool `yaml:"masked"`

	// OnNotify says what to do when a resource that notifies the service has changed: restart (the default) or
	// reload. A service that was started in the same run is left alone, and so is one that is
	// stopped; one that has failed is tried again.
	OnNotify string `yaml:"on_notify" vigo:"enum=restart|reload"`

	// startedOn is the host, and with it the run, on which the service was started.
	startedOn weak.Pointer[host.Host]
}

var (
	_ resource.Validator = (*Service)(nil)
	_ resource.Refresher = (*Service)(nil)
	_ resource.Requirer  = (*Service)(nil)
)

// Validate implements [resource.Validator].
func (s *Service) Validate() error {
	switch {
	case strings.ContainsAny(s.Name, "/ \t\n"):
		return fmt.Errorf("%q is not the name of a service", s.Name)
	case !isTrue(s.Masked):
		return nil
	case isTrue(s.Running):
		return errors.New("a masked service cannot be running")
	case isTrue(s.Enabled):
		return errors.New("a masked service cannot be enabled")
	}
	return nil
}

// Requires implements [resource.Requirer]: the package of the same name and its own unit file come first.
func (s *Service) Requires() []resource.ID {
	base := strings.TrimSuffix(s.Name, ".service")
	return []resource.ID{
		{Type: "package", Name: base},
		{Type: "systemd_unit", Name: base + ".service"},
		{Type: "file", Name: "/etc/systemd/system/" + base + ".service"},
		{Type: "file", Name: "/lib/systemd/system/" + base + ".service"},
	}
}

// Plan implements [resource.Resource].
func (s *Service) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	is, err := h.Services.Service(ctx, s.Name)
	if errors.Is(err, host.ErrNotFound) && !isTrue(s.Running) && !isTrue(s.Enabled) {
		return plan, nil // what is not there does not run and cannot be started
	}
	if errors.Is(err, host.ErrNotFound) {
		return plan, fault.WithHint(err, "declare the package or unit file that brings it, and require that")
	}
	if err != nil {
		return plan, err
	}
	if is.Live && is.Unknown && s.Running != nil {
		err := fmt.Errorf("telling whether service %s runs: %s", s.Name, is.State)
		return plan, fault.WithHint(err, "leave running out, or give its init script an action status that ends with 0, 1 or 3")
	}
	stop := is.Live && is.Running && s.Running != nil && !*s.Running || is.Live && is.Running && isTrue(s.Masked)
	if stop {
		plan.Do(s.setRunning(h, false), change.Of("running", true, false))
	}
	if isTrue(s.Masked) && is.Boot != host.Masked {
		if err := s.maskable(h); err != nil {
			return resource.Plan{}, err
		}
	}
	if err := s.planBoot(h, is, &plan); err != nil {
		return resource.Plan{}, err
	}
	if is.Live && isTrue(s.Running) && !is.Running {
		plan.Do(s.setRunning(h, true), change.Of("running", false, true))
	}
	return plan, nil
}

// maskable says why a unit cannot be masked: the mask is a link where its own file is.
func (s *Service) maskable(h *host.Host) error {
	name := s.Name
	if path.Ext(name) == "" {
		name += ".service"
	}
	own, err := look(h, path.Join(unitFolder, name))
	if err != nil || own == nil || own.Kind != host.File {
		return err
	}
	err = fmt.Errorf("masking service %s: its own unit file is in the way at %s", s.Name, path.Join(unitFolder, name))
	return fault.WithHint(err, "remove it by a systemd_unit with ensure: absent, or say enabled: false")
}

// planBoot plans what should happen at boot: unmask, then enable or disable, then mask.
func (s *Service) planBoot(h *host.Host, is host.Service, plan *resource.Plan) error {
	set := func(boot host.Boot) func(context.Context) error {
		return func(ctx context.Context) error { return h.Services.SetBoot(ctx, s.Name, boot) }
	}
	if is.Boot == host.Masked {
		if isTrue(s.Masked) || s.Masked == nil && !isTrue(s.Enabled) {
			return nil
		}
		if s.Masked == nil {
			err := fmt.Errorf("enabling service %s: it is masked on the host", s.Name)
			return fault.WithHint(err, "say masked: false to take the mask away")
		}
		if s.Enabled == nil || !*s.Enabled {
			plan.Do(set(host.Disabled), change.Of("masked", true, false))
			return nil
		}
		plan.Do(set(host.Enabled), change.Of("masked", true, false), change.Of("enabled", false, true))
		return nil
	}
	if isTrue(s.Masked) {
		plan.Do(set(host.Masked), change.Of("masked", false, true))
		return nil
	}
	enabled := is.Boot == host.Enabled
	if s.Enabled == nil || *s.Enabled == enabled {
		return nil
	}
	if is.Boot == host.Static {
		if !*s.Enabled {
			return nil
		}
		err := fmt.Errorf("enabling service %s: its unit has no install section; other units start it", s.Name)
		return fault.WithHint(err, "leave enabled out, or enable its socket or timer")
	}
	boot := host.Disabled
	if *s.Enabled {
		boot = host.Enabled
	}
	plan.Do(set(boot), change.Of("enabled", enabled, *s.Enabled))
	return nil
}

func (s *Service) setRunning(h *host.Host, run bool) func(context.Context) error {
	return func(ctx context.Context) error {
		err := h.Services.SetRunning(ctx, s.Name, run)
		if err == nil && run {
			s.startedOn = weak.Make(h)
		}
		return err
	}
}

// Refresh implements [resource.Refresher].
func (s *Service) Refresh(ctx context.Context, h *host.Host) error {
	if s.startedOn == weak.Make(h) {
		return nil
	}
	is, err := h.Services.Service(ctx, s.Name)
	if errors.Is(err, host.ErrNotFound) && !isTrue(s.Running) {
		return nil
	}
	if err != nil {
		return err
	}
	if !is.Live || !is.Running && !is.Failed && !isTrue(s.Running) {
		return nil
	}
	return h.Services.Restart(ctx, s.Name, s.OnNotify == "reload" && is.Running)
}

func isTrue(b *bool) bool { return b != nil && *b }
