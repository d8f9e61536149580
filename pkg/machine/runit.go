//go:build linux

package machine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path"

	"vigo.dev/pkg/host"
)

// runit reads what runsv(8) keeps beside each service. A service starts at boot when it is linked into the folder that
// runsvdir(8) looks at.
type runit struct{ fs host.FS }

func (r *runit) names() ([]string, error) {
	entries, err := r.fs.List("/etc/sv")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, nil
}

func (r *runit) argv(name, verb string) []string { return []string{"sv", "-w", "30", verb, name} }

// folder is what runsvdir looks at: of Void, of Debian.
func (r *runit) folder() string {
	for _, dir := range []string{"/var/service", "/etc/service"} {
		if _, err := r.fs.Stat(dir); err == nil {
			return dir
		}
	}
	return "/etc/service"
}

func (r *runit) describe(_ context.Context, name string) (host.Service, error) {
	svc := host.Service{Boot: host.Disabled, State: "down"}
	_, err := r.fs.Stat(path.Join(r.folder(), name))
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return svc, err
	}
	if err == nil {
		svc.Boot = host.Enabled
	}
	status, err := r.fs.Read(path.Join("/etc/sv", name, "supervise/status"), 64)
	if errors.Is(err, host.ErrNotFound) {
		return svc, nil // nobody looks after it
	}
	if err != nil {
		return svc, err
	}
	up, err := runitUp(status)
	if up {
		svc.Running, svc.State = true, "run"
	}
	return svc, err
}

// runitUp reads the status that runsv writes: 12 bytes of time, 4 of the number of the process with the lowest first, and
// one each of paused, wanted, terminating and state, 1 for a service that runs.
func runitUp(status []byte) (bool, error) {
	const size = 20
	if len(status) != size {
		return false, fmt.Errorf("the status of runsv has %d bytes, not %d", len(status), size)
	}
	return binary.LittleEndian.Uint32(status[12:]) != 0 && status[19] == 1, nil
}

func (r *runit) setBoot(ctx context.Context, name string, on bool) error {
	link := path.Join(r.folder(), name)
	if !on {
		return r.fs.Remove(ctx, link, false)
	}
	return r.fs.Link(ctx, link, path.Join("/etc/sv", name))
}
