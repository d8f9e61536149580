//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// openRC reads the state that OpenRC keeps in /run/openrc, and its runlevels: openrc(8), rc-service(8). Debian's runs init scripts
// that were written for System V as they are, and keeps no state of these: they are asked.
type openRC struct {
	fs      host.FS
	run     host.Runner
	scripts *sysV
}

const (
	runLevels   = "/etc/runlevels"
	openRCState = "/run/openrc"
)

// names leaves out the scripts of System V that are linked into other runlevels only: these are steps of starting or stopping the
// machine.
func (o *openRC) names() ([]string, error) {
	all, err := scriptNames(o.fs, initDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		own, err := o.own(name)
		if err != nil {
			return nil, err
		}
		levels, err := o.levels(name)
		if err != nil {
			return nil, err
		}
		step := func(level string) bool { return level == "sysinit" || asideLevel(level) }
		if own || len(levels) == 0 || slices.ContainsFunc(levels, func(level string) bool { return !step(level) }) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (o *openRC) argv(name, verb string) []string { return []string{"rc-service", name, verb} }

// prepare has OpenRC forget a service that has crashed: for one that it takes for started, start does nothing.
func (o *openRC) prepare(ctx context.Context, name, verb string) error {
	if verb != "start" && verb != "restart" {
		return nil
	}
	is, err := o.describe(ctx, name)
	if err != nil || is.State != crashed {
		return err
	}
	res, err := o.run.Run(ctx, host.Command{Argv: o.argv(name, "zap")})
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("rc-service %s zap ended with status %d%s", name, res.Code, lastSaid(res))
	}
	return err
}

// own says whether a script is one of OpenRC, by its first line.
func (o *openRC) own(name string) (bool, error) {
	text, err := o.fs.Read(path.Join(initDir, name), scriptLimit)
	if err != nil {
		return false, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.HasSuffix(strings.TrimSpace(first), "openrc-run") || strings.HasSuffix(strings.TrimSpace(first), "runscript"), nil
}

func (o *openRC) describe(ctx context.Context, name string) (host.Service, error) {
	svc := host.Service{Boot: host.Disabled, State: "stopped"}
	own, err := o.own(name)
	if err != nil {
		return svc, err
	}
	links, err := o.links(name)
	if err != nil {
		return svc, err
	}
	if !own {
		svc, err = o.scripts.state(ctx, name)
	} else {
		svc, err = o.state(name)
	}
	svc.Boot = host.Disabled
	if len(links) > 0 {
		svc.Boot = host.Enabled
	}
	return svc, err
}

// state is what OpenRC says of a service of its own.
func (o *openRC) state(name string) (host.Service, error) {
	svc := host.Service{State: "stopped"}
	for _, state := range []string{"failed", "started", "starting", "inactive"} {
		_, err := o.fs.Stat(path.Join(openRCState, state, name))
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return svc, err
		}
		svc.State, svc.Running, svc.Failed = state, state == "started" || state == "starting", state == "failed"
		break
	}
	if svc.State != "started" {
		return svc, nil
	}
	files, err := o.pidFiles(name)
	for _, file := range files {
		alive, known, failed := pidAlive(o.fs, file)
		if err = failed; err != nil || known && !alive {
			svc.State, svc.Running, svc.Failed = crashed, false, true
			return svc, err
		}
	}
	if err != nil {
		return svc, err
	}
	alive, known, err := pidAlive(o.fs, path.Join(openRCState, "options", name, "child_pid"))
	if known && !alive {
		svc.State, svc.Running, svc.Failed = "between two starts by supervise-daemon", false, true
	}
	return svc, err
}

// crashed is the state of a service that OpenRC has started and whose daemon is gone.
const crashed = "crashed"

// pidFiles are those of the daemons of a service. Debian's OpenRC starts daemons by the start-stop-daemon of dpkg, which does not
// tell it of them: then it is the usual places.
func (o *openRC) pidFiles(name string) ([]string, error) {
	dir := path.Join(openRCState, "daemons", name)
	daemons, err := o.fs.List(dir)
	if errors.Is(err, host.ErrNotFound) {
		return pidNames(name), nil
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for _, d := range daemons {
		text, err := o.fs.Read(path.Join(dir, d.Name), scriptLimit)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if file, ok := strings.CutPrefix(strings.TrimSpace(line), "pidfile="); ok && path.IsAbs(file) {
				files = append(files, path.Clean(file))
			}
		}
	}
	return files, nil
}

// asideLevel says whether a boot does not go through a runlevel.
func asideLevel(level string) bool {
	return slices.Contains([]string{"nonetwork", "off", "recovery", "shutdown", "single"}, level)
}

// levels are the runlevels that a service is linked into.
func (o *openRC) levels(name string) ([]string, error) {
	all, err := o.fs.List(runLevels)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, err
	}
	var levels []string
	for _, level := range all {
		_, err := o.fs.Stat(path.Join(runLevels, level.Name, name))
		if err == nil {
			levels = append(levels, level.Name)
		} else if !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
	}
	return levels, nil
}

// links are the entries of a service in the runlevels that a boot goes through.
func (o *openRC) links(name string) ([]string, error) {
	levels, err := o.levels(name)
	var links []string
	for _, level := range levels {
		if !asideLevel(level) {
			links = append(links, path.Join(runLevels, level, name))
		}
	}
	return links, err
}

func (o *openRC) setBoot(ctx context.Context, name string, on bool) error {
	if on {
		if err := o.fs.MakeDir(ctx, path.Join(runLevels, "default"), host.Attr{}); err != nil {
			return err
		}
		return o.fs.Link(ctx, path.Join(runLevels, "default", name), path.Join(initDir, name))
	}
	links, err := o.links(name)
	for _, link := range links {
		err = errors.Join(err, o.fs.Remove(ctx, link, false))
	}
	return err
}
