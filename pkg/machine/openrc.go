//go:build linux

package machine

import (
	"context"
	"errors"
	"path"
	"strings"

	"vigo.dev/pkg/host"
)

// openRC reads the state that OpenRC keeps in /run/openrc, and its runlevels: openrc(8), rc-service(8).
type openRC struct{ fs host.FS }

const (
	runLevels   = "/etc/runlevels"
	openRCState = "/run/openrc"
)

func (o *openRC) names() ([]string, error) { return scriptNames(o.fs, initDir) }

func (o *openRC) argv(name, verb string) []string { return []string{"rc-service", name, verb} }

func (o *openRC) describe(_ context.Context, name string) (host.Service, error) {
	svc := host.Service{Boot: host.Disabled, State: "stopped"}
	links, err := o.links(name)
	if err != nil {
		return svc, err
	}
	if len(links) > 0 {
		svc.Boot = host.Enabled
	}
	for _, state := range []string{"started", "starting", "inactive", "failed"} {
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
	crashed, err := o.crashed(name)
	if crashed {
		svc.State, svc.Running, svc.Failed = "crashed", false, true
	}
	return svc, err
}

// crashed looks whether a daemon that OpenRC has started is gone.
func (o *openRC) crashed(name string) (bool, error) {
	dir := path.Join(openRCState, "daemons", name)
	daemons, err := o.fs.List(dir)
	if errors.Is(err, host.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, d := range daemons {
		text, err := o.fs.Read(path.Join(dir, d.Name), 64<<10)
		if err != nil {
			return false, err
		}
		for line := range strings.Lines(string(text)) {
			file, ok := strings.CutPrefix(strings.TrimSpace(line), "pidfile=")
			if !ok || !path.IsAbs(file) {
				continue
			}
			alive, known, err := pidAlive(o.fs, path.Clean(file))
			if err != nil || known && !alive {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// links are the entries of a service in the runlevels.
func (o *openRC) links(name string) ([]string, error) {
	levels, err := o.fs.List(runLevels)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, err
	}
	var links []string
	for _, level := range levels {
		link := path.Join(runLevels, level.Name, name)
		_, err := o.fs.Stat(link)
		if err == nil {
			links = append(links, link)
		} else if !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
	}
	return links, nil
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
