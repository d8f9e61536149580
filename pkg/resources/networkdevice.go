package resources

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// device is an interface that exists by its declaration alone, such as that of a VLAN.
type device struct {
	name     string
	provider string
	absent   bool
	possible bool              // the kernel has the interfaces it is made of
	main     string            // the text that makes it
	beside   map[string]string // for systemd-networkd: further files and their text
	stale    []string          // files that were beside it
	await    []string          // what systemd-networkd is to have reached, as systemd-networkd-wait-online(8) takes it
}

// files are those of the device. Ifupdown reads the file that makes an interface before the one with its addresses.
func (d device) files() []*File {
	main := "/etc/systemd/network/10-vigo-" + d.name + ".netdev"
	texts := maps.Clone(d.beside)
	if d.provider == "ifupdown" {
		main, texts = "/etc/network/interfaces.d/link-vigo-"+d.name, map[string]string{}
	}
	texts[main] = d.main
	var files []*File
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if d.absent {
			files = append(files, gone(name))
		} else {
			files = append(files, ownedFile(name, ownedMark+texts[name]))
		}
	}
	for _, name := range d.stale {
		files = append(files, gone(name))
	}
	return files
}

// plan plans the files and the interface. Of an interface that is there, lacks tells what it has otherwise; an error if it is one
// of another kind, that is not to be taken away.
func (d device) plan(ctx context.Context, h *host.Host, lacks func() ([]change.Change, error)) (resource.Plan, error) {
	var p resource.Plan
	is, err := liveInterface(ctx, h, d.name)
	if err != nil {
		return p, err
	}
	var changes []change.Change
	switch {
	case is != nil:
		if changes, err = lacks(); err != nil {
			return p, err
		}
		if d.absent {
			changes = []change.Change{change.Of("live interface", "present", change.Absent)}
		}
	case !d.absent && d.possible:
		changes = []change.Change{change.Of("live interface", change.Absent, "present")}
	}
	for _, f := range d.files() {
		part, err := f.Plan(ctx, h)
		if err != nil {
			return p, err
		}
		p.Include(path.Base(f.Path), part)
	}
	tell := func(ctx context.Context) error { return d.tell(ctx, h, is != nil) }
	if len(changes) > 0 {
		p.Do(tell, changes...)
		return p, nil
	}
	return p.Tell(tell), nil
}

// tell takes the interface that is there away, and has the provider make it anew. Systemd-networkd changes none that it has made
// (networkctl(1), reload), and makes those that are missing when it starts.
func (d device) tell(ctx context.Context, h *host.Host, there bool) error {
	if there {
		if err := runProgram(ctx, h, "ip", "link", "delete", "dev", d.name); err != nil {
			return err
		}
	}
	if d.provider == "networkd" {
		s, err := h.Services.Service(ctx, "systemd-networkd")
		if errors.Is(err, host.ErrNotFound) || err == nil && (!s.Live || !s.Running) {
			return nil // it reads its files when it starts
		}
		if err != nil {
			return err
		}
		if err := h.Services.Restart(ctx, "systemd-networkd", false); err != nil || d.absent || !d.possible {
			return err
		}
		if err := awaitInterface(ctx, h, d.name); err != nil {
			return err
		}
		return awaitNetworkd(ctx, h, d.await...)
	}
	if d.absent || !d.possible {
		return nil
	}
	return tellNetwork(ctx, h, d.provider, d.name, true)
}

// awaitInterface waits for some seconds until the kernel has an interface. The next look tells whether it has.
func awaitInterface(ctx context.Context, h *host.Host, name string) error {
	const udevadm = "/usr/bin/udevadm"
	is, err := look(h, udevadm)
	if err != nil || is == nil {
		return err
	}
	_, err = h.Run.Run(ctx, host.Command{Argv: []string{udevadm, "wait", "--timeout=5", "/sys/class/net/" + name}}) // udevadm(8), from systemd 251
	return err
}
