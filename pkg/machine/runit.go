//go:build linux

package machine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

// runit reads what runsv(8) keeps beside each service. A service starts at boot when it is in the folder that runsvdir(8) looks at,
// and has no file "down". Debian's runs init scripts of System V, too, unless there is a service of that name.
type runit struct {
	fs      host.FS
	run     host.Runner
	scripts *sysV
	live    bool
}

const runitServices = "/etc/sv"

// names are the services of both folders, and the scripts.
func (r *runit) names() ([]string, error) {
	var names []string
	for _, dir := range []string{runitServices, r.folder()} {
		entries, err := r.fs.List(dir)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return nil, err
		}
		for _, e := range entries {
			if _, err := unitName(e.Name); err == nil {
				names = append(names, e.Name)
			}
		}
	}
	scripts, err := r.scripts.names()
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, err
	}
	names = append(names, scripts...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (r *runit) argv(name, verb string) []string {
	if dir, err := r.dir(name); err == nil && dir == "" {
		return r.scripts.argv(name, verb)
	}
	patience := "30" // seconds for a service to end
	if verb == "start" {
		patience = "10" // one that does not start is tried again each second
	}
	return []string{"sv", "-w", patience, verb, path.Join(r.folder(), name)}
}

// folder is what runsvdir looks at: of Void, of Debian.
func (r *runit) folder() string {
	for _, dir := range []string{"/var/service", "/etc/service"} {
		if _, err := r.fs.Stat(dir); err == nil {
			return dir
		}
	}
	return "/etc/service"
}

// dir is the folder of a service; "" if it is none of runit.
func (r *runit) dir(name string) (string, error) {
	for _, dir := range []string{runitServices, r.folder()} {
		_, err := r.fs.Stat(path.Join(dir, name))
		if !errors.Is(err, host.ErrNotFound) {
			return path.Join(dir, name), err
		}
	}
	return "", nil
}

func (r *runit) describe(ctx context.Context, name string) (host.Service, error) {
	svc := host.Service{Boot: host.Disabled, State: "down"}
	dir, err := r.dir(name)
	if err != nil {
		return svc, err
	}
	if dir == "" {
		return r.scripts.describe(ctx, name)
	}
	linked, err := r.there(path.Join(r.folder(), name))
	if err != nil {
		return svc, err
	}
	down, err := r.there(path.Join(dir, "down"))
	if err != nil {
		return svc, err
	}
	if linked && !down {
		svc.Boot = host.Enabled
	}
	text, err := r.fs.Read(path.Join(dir, "supervise/status"), 64)
	if errors.Is(err, host.ErrNotFound) {
		return svc, nil // nobody looks after it
	}
	if err != nil {
		return svc, err
	}
	status, err := parseRunit(text)
	if err != nil {
		return svc, err
	}
	alive, err := r.there("/proc/" + strconv.Itoa(status.pid)) // the file may be of an earlier boot
	switch {
	case err != nil:
		return svc, err
	case status.up && alive:
		svc.Running, svc.State = true, "run"
	case linked && status.wanted:
		svc.Failed, svc.State = true, "down, and wanted up"
	}
	return svc, nil
}

func (r *runit) there(name string) (bool, error) {
	_, err := r.fs.Stat(name)
	if errors.Is(err, host.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// runitStatus is what runsv says of its service.
type runitStatus struct {
	pid        int
	up, wanted bool
}

// parseRunit reads the status that runsv writes: 12 bytes of time, 4 of the number of the process with the lowest first, and
// one each of paused, wanted (u or d), terminating and state, 1 for a service that runs.
func parseRunit(status []byte) (runitStatus, error) {
	const size = 20
	if len(status) != size {
		return runitStatus{}, fmt.Errorf("the status of runsv has %d bytes, not %d", len(status), size)
	}
	pid := binary.LittleEndian.Uint32(status[12:])
	return runitStatus{pid: int(pid), up: pid != 0 && status[19] == 1, wanted: status[17] == 'u'}, nil
}

// prepare has a service looked after that is not: it is linked, with a file that keeps it from starting at boot. runsvdir sees a
// new link within 5 seconds.
func (r *runit) prepare(ctx context.Context, name, verb string) error {
	dir, err := r.dir(name)
	if err != nil || dir == "" || verb == "stop" {
		return err
	}
	linked, err := r.there(path.Join(r.folder(), name))
	if err != nil {
		return err
	}
	if !linked {
		if err := r.hold(ctx, dir); err != nil {
			return err
		}
		if err := r.fs.Link(ctx, path.Join(r.folder(), name), dir); err != nil {
			return err
		}
	}
	const often, every = 60, 250 * time.Millisecond
	var res host.Result
	for range often {
		if res, err = r.run.Run(ctx, host.Command{Argv: r.argv(name, "status")}); err != nil || res.Code == 0 {
			return err
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
	return fmt.Errorf("runsvdir does not look after it%s", lastSaid(res))
}

// hold keeps a service from starting at boot.
func (r *runit) hold(ctx context.Context, dir string) error {
	return r.fs.Write(ctx, path.Join(dir, "down"), strings.NewReader(""), host.WriteOptions{})
}

// setBoot links the service, or takes the link away. Each of them would start or stop it within seconds. So one that is linked is
// held down until it is looked after; and one that runs, or has its folder there, gets the file "down" and keeps its link.
func (r *runit) setBoot(ctx context.Context, name string, on bool) error {
	dir, err := r.dir(name)
	if err != nil {
		return err
	}
	if dir == "" {
		return r.scripts.setBoot(ctx, name, on)
	}
	link := path.Join(r.folder(), name)
	if !on {
		is, err := r.describe(ctx, name)
		if err != nil {
			return err
		}
		if is.Running || dir == link {
			return r.hold(ctx, dir)
		}
		return r.fs.Remove(ctx, link, false)
	}
	if r.live {
		err = r.prepare(ctx, name, "start")
	} else if dir != link {
		err = r.fs.Link(ctx, link, dir)
	}
	if err != nil {
		return err
	}
	return r.fs.Remove(ctx, path.Join(dir, "down"), false)
}
