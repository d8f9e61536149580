//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// An initSystem is one of those beside systemd. What it is asked, it reads from files where it can.
type initSystem interface {
	// names lists the services there are.
	names() ([]string, error)
	// describe describes one; host.ErrNotFound if there is none.
	describe(ctx context.Context, name string) (host.Service, error)
	setBoot(ctx context.Context, name string, on bool) error
	// prepare does what the command for a verb takes for granted.
	prepare(ctx context.Context, name, verb string) error
	// argv is the command for a verb: start, stop, restart, reload or status.
	argv(name, verb string) []string
}

// initScripts is host.Services for such a system.
type initScripts struct {
	system  initSystem
	scripts *sysV // the system itself, or what it has beside its own services
	run     host.Runner
	live    bool // it is the machine that runs, not another root folder
	settle  time.Duration
}

var _ host.Services = (*initScripts)(nil)

// otherInit is the init system beside systemd that has booted the machine, or would boot it; nil if that is systemd, or
// nothing that is known. live says that the folder is the root of a machine that runs.
func otherInit(fsys host.FS, run host.Runner, live bool) (*initScripts, error) {
	var is host.Init
	var err error
	if live {
		is, err = host.RunningInit(fsys)
	}
	booted := is != ""
	if err == nil && !booted {
		is, err = host.InstalledInit(fsys)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the init system: %w", err)
	}
	scripts := &sysV{fs: fsys, run: run}
	s := &initScripts{scripts: scripts, run: run, live: booted, settle: settleTime}
	switch is {
	case host.OpenRC:
		s.system = &openRC{fs: fsys, run: run, scripts: scripts}
	case host.Runit:
		s.system = &runit{fs: fsys, run: run, scripts: scripts, live: booted}
	case host.SysV:
		s.system = scripts
	default:
		return nil, nil
	}
	return s, nil
}

const initDir = "/etc/init.d"

// Service implements [host.Services].
func (s *initScripts) Service(ctx context.Context, name string) (host.Service, error) {
	_, svc, err := s.find(ctx, name)
	if err != nil {
		return host.Service{}, fmt.Errorf("looking for service %s: %w", name, err)
	}
	svc.Name = name
	if svc.Live = s.live; !s.live {
		svc.Running, svc.Failed, svc.Unknown, svc.State = false, false, false, string(svc.Boot)
	}
	return svc, nil
}

// find describes a service, and returns its name without the suffix of systemd.
func (s *initScripts) find(ctx context.Context, name string) (string, host.Service, error) {
	if _, err := unitName(name); err != nil || strings.Contains(name, `\`) {
		return "", host.Service{}, fmt.Errorf("%q is not the name of a service", name)
	}
	short := strings.TrimSuffix(name, ".service")
	svc, err := s.system.describe(ctx, short)
	return short, svc, err
}

// All implements [host.Services].
func (s *initScripts) All(ctx context.Context) ([]host.Service, error) {
	names, err := s.system.names()
	if err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	all := map[string]host.Service{}
	for _, name := range names {
		if all[name], err = s.Service(ctx, name); err != nil {
			return nil, err
		}
	}
	return sorted(all), nil
}

// SetBoot implements [host.Services]. Only systemd has masks.
func (s *initScripts) SetBoot(ctx context.Context, name string, boot host.Boot) error {
	short, _, err := s.find(ctx, name)
	if err == nil && boot != host.Enabled && boot != host.Disabled {
		err = fmt.Errorf("only systemd can: %w", errors.ErrUnsupported)
	}
	if err == nil {
		err = s.system.setBoot(ctx, short, boot == host.Enabled)
	}
	if err == nil {
		var is host.Service
		if _, is, err = s.find(ctx, name); err == nil && is.Boot != boot {
			err = fmt.Errorf("it is %s still", is.Boot)
		}
	}
	if err != nil {
		return fmt.Errorf("making service %s %s at boot: %w", name, boot, err)
	}
	return nil
}

// SetRunning implements [host.Services].
func (s *initScripts) SetRunning(ctx context.Context, name string, running bool) error {
	if running {
		return s.act(ctx, name, "start", "starting", true)
	}
	return s.act(ctx, name, "stop", "stopping", false)
}

// Restart implements [host.Services].
func (s *initScripts) Restart(ctx context.Context, name string, reload bool) error {
	if reload {
		return s.act(ctx, name, "reload", "reloading", true)
	}
	return s.act(ctx, name, "restart", "restarting", true)
}

// act runs a command and looks whether it helped.
func (s *initScripts) act(ctx context.Context, name, verb, doing string, want bool) error {
	short, _, err := s.find(ctx, name)
	if err == nil && !s.live {
		err = fmt.Errorf("the init system is not running here: %w", errors.ErrUnsupported)
	}
	if err == nil {
		err = s.system.prepare(ctx, short, verb)
	}
	if err != nil {
		return fmt.Errorf("%s service %s: %w", doing, name, err)
	}
	res, err := s.run.Run(ctx, host.Command{Argv: s.system.argv(short, verb)})
	var is host.Service
	if err == nil {
		is, err = s.outcome(ctx, short, want)
	}
	if err != nil {
		return fmt.Errorf("%s service %s: %w", doing, name, err)
	}
	if res.Code == 0 && (is.Unknown || is.Running == want) {
		return nil
	}
	err = fmt.Errorf("%s service %s: status %d, now %s%s", doing, name, res.Code, is.State, lastSaid(res))
	return fault.WithHint(err, strings.Join(s.system.argv(short, "status"), " ")+" says more")
}

// looks is how often a service is looked at before it is said not to have done what it was told: a script may be done before the
// service has gone, or has left a trace. One that has failed may be started again by what supervises it, a second later.
const (
	looks       = 10
	looksFailed = 4
)

// outcome is the state of a service after a command. One that was started has first had time to end: a script is done as soon as
// there is a process, which may not like its configuration.
func (s *initScripts) outcome(ctx context.Context, name string, want bool) (host.Service, error) {
	for i := 0; ; i++ {
		if want || i > 0 {
			if err := pause(ctx, s.settle); err != nil {
				return host.Service{}, err
			}
		}
		s.scripts.forget(name)
		is, err := s.system.describe(ctx, name)
		if err != nil || is.Running == want || is.Unknown || is.Failed && i >= looksFailed || i == looks {
			return is, err
		}
	}
}

// lastSaid is the last words of a program, after a colon; nothing if it said nothing.
func lastSaid(res host.Result) string {
	words := lastWords(append(res.Stdout, res.Stderr...))
	if words == "" {
		return ""
	}
	return ": " + words
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// scriptNames lists the init scripts of a folder that are of services: those left out are of the init system itself.
func scriptNames(fsys host.FileReader, dir string) ([]string, error) {
	entries, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	own := []string{"functions.sh", "halt", "killprocs", "rc", "rcS", "reboot", "sendsigs", "single", "skeleton"}
	var names []string
	for _, e := range entries {
		if _, err := unitName(e.Name); err != nil || slices.Contains(own, e.Name) {
			continue
		}
		if e, err = behind(fsys, path.Join(dir, e.Name), e); err != nil {
			return nil, err
		}
		if e.Kind == host.File && e.Mode&0o111 != 0 {
			names = append(names, e.Name)
		}
	}
	return names, nil
}

// behind follows the links of a script: it may belong to a program that is installed elsewhere, and a README to the documentation.
// A link that leads nowhere stays one. The name stays as it is.
func behind(fsys host.FileReader, name string, is host.Info) (host.Info, error) {
	const most = 8
	for i := 0; is.Kind == host.Symlink && i < most; i++ {
		target := is.Target
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		next, err := fsys.Stat(path.Clean(target))
		if errors.Is(err, host.ErrNotFound) {
			return is, nil
		}
		if err != nil {
			return is, err
		}
		next.Name = is.Name
		name, is = path.Clean(target), next
	}
	return is, nil
}

// pidAlive reads a file with the number of a process; known is false if there is no such file.
func pidAlive(fsys host.FileReader, name string) (alive, known bool, err error) {
	text, err := fsys.Read(name, 1<<10)
	if errors.Is(err, host.ErrNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return false, false, nil // half written, or made for something else
	}
	_, err = fsys.Stat("/proc/" + strconv.Itoa(pid))
	if errors.Is(err, host.ErrNotFound) {
		return false, true, nil
	}
	return err == nil, err == nil, err
}
