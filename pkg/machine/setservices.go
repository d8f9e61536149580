//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// SetBoot implements [host.Services].
func (s *services) SetBoot(ctx context.Context, name string, boot host.Boot) error {
	unit, err := unitName(name)
	if err != nil {
		return err
	}
	if boot == host.Static {
		return fmt.Errorf("changing service %s: static is a property of its unit file: %w", name, errors.ErrUnsupported)
	}
	if s.live {
		err = s.setBootLive(ctx, unit, boot)
	} else {
		err = setBoot(ctx, s.fs, unit, boot)
	}
	if err != nil {
		return fmt.Errorf("making service %s %s at boot: %w", name, boot, err)
	}
	return nil
}

func (s *services) setBootLive(ctx context.Context, unit string, boot host.Boot) error {
	call := func(method string, args ...any) error {
		return s.m.bus.call(ctx, method, append([]any{[]string{unit}}, args...))
	}
	var state string
	if err := s.m.bus.call(ctx, "GetUnitFileState", []any{unit}, &state); err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	const forever, force = false, true
	var err error
	switch {
	case boot == host.Masked:
		err = call("MaskUnitFiles", forever, force)
	case strings.HasPrefix(state, "masked"):
		if err = call("UnmaskUnitFiles", forever); err == nil {
			err = s.reload(ctx)
		}
		if err == nil {
			return s.setBootLive(ctx, unit, boot) // what is under the mask counts now
		}
	case state == "generated":
		err = s.sysvInstall(ctx, unit, boot)
	case boot == host.Enabled:
		err = call("EnableUnitFiles", forever, force)
	default:
		err = call("DisableUnitFiles", forever)
	}
	if err != nil {
		return err
	}
	return s.reload(ctx)
}

// sysvInstall enables an init script as systemctl does.
func (s *services) sysvInstall(ctx context.Context, unit string, boot host.Boot) error {
	verb := "disable"
	if boot == host.Enabled {
		verb = "enable"
	}
	name := strings.TrimSuffix(unit, ".service")
	res, err := s.m.runner.Run(ctx, host.Command{Argv: []string{"/lib/systemd/systemd-sysv-install", verb, name}})
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("systemd-sysv-install: exit status %d: %s", res.Code, lastWords(res.Stderr))
	}
	return err
}

// SetRunning implements [host.Services].
func (s *services) SetRunning(ctx context.Context, name string, run bool) error {
	method, doing := "StopUnit", "stopping"
	if run {
		method, doing = "StartUnit", "starting"
	}
	return s.jobFor(ctx, name, method, doing, run)
}

// Restart implements [host.Services].
func (s *services) Restart(ctx context.Context, name string, reload bool) error {
	method, doing := "RestartUnit", "restarting"
	if reload {
		method, doing = "ReloadOrRestartUnit", "reloading"
	}
	return s.jobFor(ctx, name, method, doing, true)
}

func (s *services) jobFor(ctx context.Context, name, method, doing string, run bool) error {
	unit, err := unitName(name)
	if err != nil {
		return err
	}
	if !s.live {
		return fmt.Errorf("%s service %s: the init system is not running here: %w", doing, name, errors.ErrUnsupported)
	}
	if err := s.act(ctx, unit, method, run); err != nil {
		err = fmt.Errorf("%s service %s: %w", doing, name, err)
		return fault.WithHint(err, "systemctl status "+unit+" says more")
	}
	return nil
}

// act reloads systemd if the unit file has changed, runs the job, and looks whether it helped.
func (s *services) act(ctx context.Context, unit, method string, run bool) error {
	if err := s.Settle(ctx); err != nil {
		return err
	}
	var at dbus.ObjectPath
	if err := s.m.bus.call(ctx, "LoadUnit", []any{unit}, &at); err != nil {
		return err
	}
	props, err := s.m.bus.properties(ctx, at, ifUnit)
	if err != nil {
		return err
	}
	if stale, _ := props["NeedDaemonReload"].Value().(bool); stale || text(props["LoadState"]) == "not-found" {
		if err := s.reload(ctx); err != nil {
			return err
		}
	}
	if run && text(props["ActiveState"]) == "failed" {
		// It may have been started so often while it was broken that systemd does not try again, also not with what mends it:
		// systemd.unit(5), StartLimitIntervalSec=.
		if err := s.m.bus.call(ctx, "ResetFailedUnit", []any{unit}); err != nil {
			return err
		}
	}
	result, err := s.m.bus.job(ctx, method, unit)
	if err != nil {
		return err
	}
	is, err := s.ask(ctx, unit)
	if err == nil && run && is.Running && s.unproved(ctx, at) {
		is, err = s.settled(ctx, unit)
	}
	if err != nil {
		return err
	}
	// A one-shot service is inactive again as soon as it is done.
	if result == "done" && (is.Running == run || run && !is.Failed && s.oneshot(ctx, at)) {
		return nil
	}
	return fmt.Errorf("job %s, now %s, result %s%s", result, is.State, s.result(ctx, at), s.journal(ctx, unit))
}

// settleTime is how long a service must stay up after its start where systemd takes it for started as soon as it is a process:
// most that do not like their configuration end sooner.
const settleTime = 500 * time.Millisecond

// unproved says whether the unit is of a type that does not tell when it is ready, see systemd.service(5), Type=.
func (s *services) unproved(ctx context.Context, at dbus.ObjectPath) bool {
	props, err := s.m.bus.properties(ctx, at, ifService)
	return err == nil && slices.Contains([]string{"simple", "exec", "idle"}, text(props["Type"]))
}

// settled is the state of a service after it had time to end.
func (s *services) settled(ctx context.Context, unit string) (host.Service, error) {
	if err := pause(ctx, settleTime); err != nil {
		return host.Service{}, err
	}
	return s.ask(ctx, unit)
}

func (s *services) oneshot(ctx context.Context, at dbus.ObjectPath) bool {
	props, err := s.m.bus.properties(ctx, at, ifService)
	return err == nil && text(props["Type"]) == "oneshot"
}

// result is why the service ended, in the words of systemd: success, exit-code, signal, timeout, …
func (s *services) result(ctx context.Context, at dbus.ObjectPath) string {
	props, err := s.m.bus.properties(ctx, at, ifService)
	if err != nil {
		return "unknown"
	}
	return text(props["Result"])
}

// journal is the last words of a unit; nothing if they cannot be had. Only after a failure, so a program may be started.
func (s *services) journal(ctx context.Context, unit string) string {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=5", "--unit", path.Base(unit)}
	res, err := s.m.runner.Run(ctx, host.Command{Argv: argv, Limit: 2048})
	if err != nil || res.Code != 0 || len(res.Stdout) == 0 {
		return ""
	}
	return ": " + lastWords(res.Stdout)
}
