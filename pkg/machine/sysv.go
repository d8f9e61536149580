//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"

	"vigo.dev/pkg/host"
)

// sysV is init scripts alone. Whether one runs is read from its file in /run; a script without such a file is asked, once a
// run and after each change. Some scripts do not look at what they are told: one is asked only if its text has a branch for
// status.
type sysV struct {
	fs  host.FS
	run host.Runner

	mu    sync.Mutex
	asked map[string]host.Service
}

// scriptLimit is how long an init script may be, in bytes, and what init systems keep of a service.
const scriptLimit = 1 << 20

// statusBranch is what service(8) of Debian looks for, too, with quotes and alternatives; init-d-script(5) brings its own.
var statusBranch = regexp.MustCompile(`\bstatus["']?[ \t]*[|)]|init-d-script`)

// names leaves out what is only a step of starting or stopping the machine, such as mounting: it does not run, and to ask it may
// be to do it.
func (s *sysV) names() ([]string, error) {
	all, err := scriptNames(s.fs, initDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		_, step, err := s.boot(name)
		if err != nil {
			return nil, err
		}
		if !step {
			names = append(names, name)
		}
	}
	return names, nil
}

func (s *sysV) argv(name, verb string) []string { return []string{path.Join(initDir, name), verb} }

func (s *sysV) prepare(context.Context, string, string) error { return nil }

// forget has a script be asked again.
func (s *sysV) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, name)
}

func (s *sysV) describe(ctx context.Context, name string) (host.Service, error) {
	if _, err := s.fs.Stat(path.Join(initDir, name)); err != nil {
		return host.Service{}, err
	}
	boot, _, err := s.boot(name)
	if err != nil {
		return host.Service{}, err
	}
	svc, err := s.state(ctx, name)
	svc.Boot = boot
	return svc, err
}

// pidNames is where a daemon usually leaves the number of its process.
func pidNames(name string) []string {
	return []string{"/run/" + name + ".pid", "/run/" + name + "/" + name + ".pid"}
}

// state tells whether a service runs.
func (s *sysV) state(ctx context.Context, name string) (host.Service, error) {
	for _, file := range pidNames(name) {
		alive, known, err := pidAlive(s.fs, file)
		switch {
		case err != nil:
			return host.Service{}, err
		case known && alive:
			return host.Service{Running: true, State: "running"}, nil
		case known:
			return host.Service{Failed: true, State: "dead"}, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if svc, ok := s.asked[name]; ok {
		return svc, nil
	}
	svc, err := s.ask(ctx, name)
	if err != nil {
		return svc, err
	}
	if s.asked == nil {
		s.asked = map[string]host.Service{}
	}
	s.asked[name] = svc
	return svc, nil
}

// ask runs the script with status, whose exit code the Linux Standard Base defines: 0 runs, 1 and 2 have died, 3 is stopped. One
// that says nothing and ends with 0 does not run: a script whose program was removed ends so, and service(8) of Debian has it so.
func (s *sysV) ask(ctx context.Context, name string) (host.Service, error) {
	script := path.Join(initDir, name)
	text, err := s.fs.Read(script, scriptLimit)
	if err != nil {
		return host.Service{}, err
	}
	if !statusBranch.Match(text) {
		return host.Service{Unknown: true, State: "not known: " + script + " has no status"}, nil
	}
	res, err := s.run.Run(ctx, host.Command{Argv: []string{script, "status"}})
	if err != nil {
		return host.Service{}, err
	}
	switch res.Code {
	case 0:
		if lastSaid(res) == "" {
			return host.Service{State: "stopped"}, nil
		}
		return host.Service{Running: true, State: "running"}, nil
	case 1, 2:
		return host.Service{Failed: true, State: "dead"}, nil
	case 3:
		return host.Service{State: "stopped"}, nil
	}
	return host.Service{Unknown: true, State: fmt.Sprintf("not known: %s status ended with status %d%s", script, res.Code, lastSaid(res))}, nil
}

// boot looks for a start link in the runlevels with several users, and in that of each boot. step says that the script is of the
// boot or of the way down and of nothing else.
func (s *sysV) boot(name string) (boot host.Boot, step bool, err error) {
	users, known, err := s.links(name, "2345")
	if err != nil || users {
		return host.Enabled, false, err
	}
	first, _, err := s.links(name, "S")
	if err != nil || first {
		return host.Enabled, !known, err
	}
	_, last, err := s.links(name, "06")
	return host.Disabled, last && !known, err
}

// links looks for the links of a service in some runlevels: one that starts it, and any.
func (s *sysV) links(name, levels string) (start, some bool, err error) {
	for _, dir := range []string{"/etc/", "/etc/rc.d/"} {
		for _, level := range levels {
			links, err := s.fs.List(dir + "rc" + string(level) + ".d")
			if errors.Is(err, host.ErrNotFound) {
				continue
			}
			if err != nil {
				return false, false, err
			}
			for _, l := range links {
				if len(l.Name) > 3 && (l.Name[0] == 'S' || l.Name[0] == 'K') && l.Name[3:] == name {
					start, some = start || l.Name[0] == 'S', true
				}
			}
		}
	}
	return start, some, nil
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
			return fmt.Errorf("%s ended with status %d%s", strings.Join(argv, " "), res.Code, lastSaid(res))
		}
	}
	return nil
}
