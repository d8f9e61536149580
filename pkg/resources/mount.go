package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Mount is a file system: its line in /etc/fstab, and whether it is mounted now. Other lines of the file are left as
// they are. Where there is no running machine (an image being built), only the line is seen to.
//
//	resources:
//	  - mount: /srv/data
//	    device: LABEL=data
//	    type: ext4
//	    options: [noatime, nosuid]
type Mount struct {
	// Path it is mounted at; the directory is made if it is not there.
	Path string `vigo:"identity"`

	// Ensure says what should be: mounted (the default: now, and at boot), present (at boot; now is left alone),
	// unmounted (not now; the line in /etc/fstab stays), absent (neither).
	Ensure string `yaml:"ensure" vigo:"enum=mounted|present|unmounted|absent"`

	// Device, such as /dev/sdb1, UUID=…, LABEL=…, server:/path or tmpfs.
	Device string `yaml:"device"`

	// Type of the file system, such as ext4, nfs or tmpfs.
	Type string `yaml:"type"`

	// Options of the mount; defaults if empty.
	Options []string `yaml:"options"`

	// Dump is the fifth field of /etc/fstab: whether dump(8) backs it up.
	Dump int `yaml:"dump"`

	// Pass is the sixth field of /etc/fstab: 1 or 2 to have it checked at boot, 0 not to.
	Pass int `yaml:"pass"`
}

var (
	_ resource.Validator = (*Mount)(nil)
	_ resource.Requirer  = (*Mount)(nil)
)

// Validate implements [resource.Validator].
func (m *Mount) Validate() error {
	if !path.IsAbs(m.Path) || path.Clean(m.Path) != m.Path {
		return fmt.Errorf("%q is not an absolute, clean path", m.Path)
	}
	if m.gone() {
		if m.Path == "/" {
			return errors.New("the root file system cannot be unmounted")
		}
		return nil
	}
	if m.Device == "" || m.Type == "" {
		return errors.New("mount needs device and type")
	}
	for _, o := range m.Options {
		if o == "" || strings.ContainsAny(o, ", \t\n") {
			return fmt.Errorf("options: %q is not one option", o)
		}
	}
	if strings.ContainsAny(m.Device+m.Type, "\n") || strings.ContainsAny(m.Type, " \t") {
		return errors.New("device and type are on one line")
	}
	if m.Dump < 0 || m.Dump > 1 || m.Pass < 0 || m.Pass > 2 {
		return errors.New("dump is 0 or 1, pass is 0, 1 or 2")
	}
	return nil
}

// gone reports whether it should not be mounted now.
func (m *Mount) gone() bool { return m.Ensure == "unmounted" || m.Ensure == "absent" }

// Requires implements [resource.Requirer]: the directory, what is mounted above it, and what makes the device.
func (m *Mount) Requires() []resource.ID {
	var ids []resource.ID
	if m.gone() {
		return nil
	}
	ids = append(ids, resource.ID{Type: "directory", Name: m.Path})
	for dir := path.Dir(m.Path); m.Path != "/"; dir = path.Dir(dir) {
		ids = append(ids, resource.ID{Type: "mount", Name: dir})
		if dir == "/" {
			break
		}
	}
	ids = append(append(ids, resource.ID{Type: "filesystem", Name: m.Device}), volumeAt(m.Device)...)
	if strings.HasPrefix(m.Type, "nfs") {
		ids = append(ids, resource.ID{Type: "package", Name: "nfs-common"})
	}
	return ids
}

// Plan implements [resource.Resource].
func (m *Mount) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	all, err := h.Mounts.All(ctx)
	live := !errors.Is(err, errors.ErrUnsupported)
	if err != nil && live {
		return plan, err
	}
	var is *host.Mount
	for i := range all {
		if all[i].Path == m.Path {
			is = &all[i] // the last one mounted hides the others
		}
	}
	table, err := readFstab(h)
	if err != nil {
		return plan, err
	}
	old, _ := table.find(m.Path)
	if m.gone() {
		m.planGone(h, is, &plan)
		if m.Ensure == "absent" {
			m.planLine(h, table, old, nil, &plan)
		}
		return plan, nil
	}
	want := m.entry()
	m.planLine(h, table, old, &want, &plan)
	if m.Ensure == "present" || !live {
		return plan, nil
	}
	m.planMounted(h, is, old, want, &plan)
	return plan, nil
}

func (m *Mount) planGone(h *host.Host, is *host.Mount, plan *resource.Plan) {
	if is != nil {
		unmount := func(ctx context.Context) error { return h.Mounts.Unmount(ctx, m.Path) }
		plan.Do(unmount, change.Of("mounted", is.Source, change.Absent))
	}
}

// planLine plans the line in /etc/fstab; want is nil if there should be none.
func (m *Mount) planLine(h *host.Host, table fstab, old, want *fstabEntry, plan *resource.Plan) {
	from, to := change.Absent, change.Absent
	if old != nil {
		from = old.String()
	}
	if want != nil {
		to = want.String()
	}
	if from == to {
		return
	}
	plan.Do(func(ctx context.Context) error {
		table, err := readFstab(h) // another mount may have been written since
		if err != nil {
			return err
		}
		text := table.with(m.Path, want)
		return h.FS.Write(ctx, "/etc/fstab", strings.NewReader(text), host.WriteOptions{})
	}, change.Of("fstab", from, to))
}

// planMounted plans to mount, to mount anew, or to change options in place.
func (m *Mount) planMounted(h *host.Host, is *host.Mount, old *fstabEntry, want fstabEntry, plan *resource.Plan) {
	mnt := host.Mount{Source: m.Device, Path: m.Path, Type: m.Type, Options: want.options()}
	mount := func(ctx context.Context) error {
		if _, err := h.FS.Stat(m.Path); errors.Is(err, host.ErrNotFound) {
			if err := h.FS.MakeDir(ctx, m.Path, host.Attr{}); err != nil {
				return err
			}
		}
		return h.Mounts.Mount(ctx, mnt)
	}
	switch {
	case is == nil:
		plan.Do(mount, change.Of("mounted", change.Absent, m.Device))
	case old != nil && (old.device != want.device || old.fsType != want.fsType) && (is.Source != m.Device || is.Type != m.Type):
		plan.Do(func(ctx context.Context) error {
			if err := h.Mounts.Unmount(ctx, m.Path); err != nil {
				return err
			}
			return mount(ctx)
		}, change.Of("mounted", is.Source, m.Device))
	case old != nil && old.opts != want.opts || !mountFlagsHold(is.Options, m.Options):
		remount := func(ctx context.Context) error { return h.Mounts.Remount(ctx, mnt) }
		plan.Do(remount, change.Of("options", strings.Join(is.Options, ","), want.opts))
	}
}

// mountFlagsHold reports whether every declared flag is in force, of those that every file system has and the kernel
// shows by the same names. A flag that is in force and not declared is left alone: it may follow from another option,
// such as user.
func mountFlagsHold(is, want []string) bool {
	for _, flag := range []string{"ro", "nosuid", "nodev", "noexec"} {
		if slices.Contains(want, flag) && !slices.Contains(is, flag) {
			return false
		}
	}
	return !(slices.Contains(want, "rw") && slices.Contains(is, "ro"))
}

func (m *Mount) entry() fstabEntry {
	opts := strings.Join(m.Options, ",")
	return fstabEntry{
		device: m.Device, path: m.Path, fsType: m.Type, opts: orWord(opts, "defaults"),
		dump: strconv.Itoa(m.Dump), pass: strconv.Itoa(m.Pass),
	}
}
