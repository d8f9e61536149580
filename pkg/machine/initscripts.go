//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// An initSystem is one of those beside systemd. What it is asked, it reads from files where it can.
type initSystem interface {
	// names lists the services there are.
	names() ([]string, error)
	// describe describes one that is known to be there.
	describe(ctx context.Context, name string) (host.Service, error)
	setBoot(ctx context.Context, name string, on bool) error
	// argv is the command for a verb: start, stop, restart or reload.
	argv(name, verb string) []string
}

// initScripts is host.Services for such a system.
type initScripts struct {
	system initSystem
	dir    string // has an entry for each service
	fs     host.FS
	run    host.Runner
	live   bool // it is the machine that runs, not another root folder
}

var _ host.Services = (*initScripts)(nil)

// otherInit finds an init system beside systemd; nil if systemd is installed, or nothing that is known.
func otherInit(fsys host.FS, run host.Runner, live bool) *initScripts {
	there := func(names ...string) bool {
		for _, name := range names {
			if _, err := fsys.Stat(name); err == nil {
				return true
			}
		}
		return false
	}
	s := &initScripts{fs: fsys, run: run, live: live}
	switch {
	case there("/lib/systemd/systemd", "/usr/lib/systemd/systemd"):
		return nil
	case there("/sbin/openrc-run", "/usr/sbin/openrc-run", "/usr/bin/openrc-run"):
		s.system, s.dir = &openRC{fs: fsys}, initDir
	case there("/etc/runit/2", "/etc/sv"):
		s.system, s.dir = &runit{fs: fsys}, "/etc/sv"
	case there("/etc/rc2.d", "/etc/rc.d/rc3.d") && there(initDir):
		s.system, s.dir = &sysV{fs: fsys, run: run}, initDir
	default:
		return nil
	}
	return s
}

const initDir = "/etc/init.d"

// Service implements [host.Services].
func (s *initScripts) Service(ctx context.Context, name string) (host.Service, error) {
	short, err := s.find(name)
	if err != nil {
		return host.Service{}, fmt.Errorf("looking for service %s: %w", name, err)
	}
	svc, err := s.system.describe(ctx, short)
	if err != nil {
		return host.Service{}, fmt.Errorf("looking for service %s: %w", name, err)
	}
	svc.Name = name
	if svc.Live = s.live; !s.live {
		svc.Running, svc.Failed, svc.State = false, false, string(svc.Boot)
	}
	return svc, nil
}

// find returns the name without the suffix of systemd, if there is such a service.
func (s *initScripts) find(name string) (string, error) {
	if _, err := unitName(name); err != nil || strings.Contains(name, `\`) {
		return "", fmt.Errorf("%q is not the name of a service", name)
	}
	short := strings.TrimSuffix(name, ".service")
	_, err := s.fs.Stat(path.Join(s.dir, short))
	return short, err
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
	short, err := s.find(name)
	if err == nil && boot != host.Enabled && boot != host.Disabled {
		err = fmt.Errorf("only systemd can: %w", errors.ErrUnsupported)
	}
	if err == nil {
		err = s.system.setBoot(ctx, short, boot == host.Enabled)
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
	short, err := s.find(name)
	if err == nil && !s.live {
		err = fmt.Errorf("the init system is not running here: %w", errors.ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("%s service %s: %w", doing, name, err)
	}
	argv := s.system.argv(short, verb)
	res, err := s.run.Run(ctx, host.Command{Argv: argv})
	if err != nil {
		return fmt.Errorf("%s service %s: %w", doing, name, err)
	}
	is, err := s.system.describe(ctx, short)
	if err != nil {
		return fmt.Errorf("%s service %s: %w", doing, name, err)
	}
	if res.Code == 0 && is.Running == want {
		return nil
	}
	err = fmt.Errorf("%s service %s: status %d, now %s: %s", doing, name, res.Code, is.State, lastWords(append(res.Stdout, res.Stderr...)))
	return fault.WithHint(err, strings.Join(s.system.argv(short, "status"), " ")+" says more")
}

// scriptNames lists the init scripts of a folder.
func scriptNames(fsys host.FileReader, dir string) ([]string, error) {
	entries, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Mode&0o111 != 0 && e.Kind != host.Dir && !strings.HasPrefix(e.Name, ".") && e.Name != "functions.sh" && e.Name != "rc" && e.Name != "rcS" {
			names = append(names, e.Name)
		}
	}
	return names, nil
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
