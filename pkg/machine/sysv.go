//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"vigo.dev/pkg/host"
)

// sysV is init scripts alone. Whether one runs is read from its file in /run; a script without such a file is asked, once a
// run and after each change.
type sysV struct {
	fs  host.FS
	run host.Runner

	mu    sync.Mutex
	asked map[string]host.Service
}

func (s *sysV) names() ([]string, error) { return scriptNames(s.fs, initDir) }

func (s *sysV) argv(name, verb string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, name)
	return []string{path.Join(initDir, name), verb}
}

func (s *sysV) describe(ctx context.Context, name string) (host.Service, error) {
	boot, err := s.boot(name)
	if err != nil {
		return host.Service{}, err
	}
	svc := host.Service{Boot: boot, State: "stopped"}
	for _, file := range []string{"/run/" + name + ".pid", "/run/" + name + "/" + name + ".pid"} {
		alive, known, err := pidAlive(s.fs, file)
		if err != nil {
			return svc, err
		}
		if known {
			if svc.Running = alive; alive {
				svc.State = "running"
			}
			return svc, nil
		}
	}
	return s.ask(ctx, name, svc)
}

// ask runs the script with status, whose exit code the Linux Standard Base defines: 0 runs, 1 and 2 have died, 3 is stopped.
func (s *sysV) ask(ctx context.Context, name string, svc host.Service) (host.Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.asked[name]; ok {
		known.Boot = svc.Boot
		return known, nil
	}
	res, err := s.run.Run(ctx, host.Command{Argv: []string{path.Join(initDir, name), "status"}})
	if err != nil {
		return svc, err
	}
	switch res.Code {
	case 0:
		svc.Running, svc.State = true, "running"
	case 1, 2:
		svc.Failed, svc.State = true, "dead"
	case 3:
	default:
		return svc, fmt.Errorf("the init script ended with status %d for status: %s", res.Code, lastWords(append(res.Stdout, res.Stderr...)))
	}
	if s.asked == nil {
		s.asked = map[string]host.Service{}
	}
	s.asked[name] = svc
	return svc, nil
}

// boot looks for a start link in the runlevels with several users.
func (s *sysV) boot(name string) (host.Boot, error) {
	for _, pattern := range []string{"/etc/rc%d.d", "/etc/rc.d/rc%d.d"} {
		for level := 2; level <= 5; level++ {
			links, err := s.fs.List(fmt.Sprintf(pattern, level))
			if errors.Is(err, host.ErrNotFound) {
				continue
			}
			if err != nil {
				return "", err
			}
			for _, l := range links {
				if len(l.Name) > 3 && l.Name[0] == 'S' && l.Name[3:] == name {
					return host.Enabled, nil
				}
			}
		}
	}
	return host.Disabled, nil
}

// setBoot leaves the links to the program of the distribution, which knows the order.
func (s *sysV) setBoot(ctx context.Context, name string, on bool) error {
	var commands [][]string
	if _, err := s.run.Find("update-rc.d"); err == nil {
		commands = [][]string{{"update-rc.d", name, "disable"}}
		if on {
			commands = [][]string{{"update-rc.d", name, "defaults"}, {"update-rc.d", name, "enable"}}
		}
	} else if !errors.Is(err, host.ErrNotFound) {
		return err
	} else {
		commands = [][]string{{"chkconfig", name, map[bool]string{true: "on", false: "off"}[on]}}
	}
	for _, argv := range commands {
		res, err := s.run.Run(ctx, host.Command{Argv: argv})
		if err != nil {
			return err
		}
		if res.Code != 0 {
			return fmt.Errorf("%s ended with status %d: %s", strings.Join(argv, " "), res.Code, lastWords(append(res.Stdout, res.Stderr...)))
		}
	}
	return nil
}
