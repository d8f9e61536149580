package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/superblock"
)

// Filesystem is a file system, or swap space, on a block device or in a regular file. It is made on a device that holds
// nothing; a device that holds anything else (another file system, a partition table, a part of a volume group, of an array or
// of an encrypted device, or bytes that are not known) is refused unless force says otherwise, and one that is mounted always.
// What a device holds is read from its super blocks, without starting a program.
//
// The programs that make it come with the packages e2fsprogs, xfsprogs, btrfs-progs and dosfstools. See the type mount for
// mounting it, and swap for using it.
//
//	resources:
//	  - filesystem: /dev/vg0/data
//	    type: ext4
//	    label: data
//	    resize: grow
type Filesystem struct {
	// Device it is on; links such as those in /dev/disk/by-id are followed. A regular file must be there already.
	Device string `vigo:"identity"`

	// Ensure says what should be: present (the default), or absent (its signature is wiped, so that nothing recognises it
	// any more).
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Type of the file system. With absent it may be left out: then any file system goes.
	Type string `yaml:"type" vigo:"enum=ext2|ext3|ext4|xfs|btrfs|vfat|swap"`

	// Label, which is set anew on a file system that has another. At most 16 bytes for ext, 12 for xfs, 255 for btrfs, 11 for
	// vfat and 15 for swap. Without it, the label is left alone.
	Label string `yaml:"label"`

	// UUID, such as 0a3407de-014b-458b-b5c1-848e92a327a3, or 1234-ABCD for vfat. A file system that has another is given this
	// one while it is not mounted; btrfs only when it is made. Without it, the UUID is left alone.
	UUID string `yaml:"uuid"`

	// Options of the program that makes it, such as [-m, "1"]. They are for making it only.
	Options resource.Argv `yaml:"options"`

	// Resize says whether it grows when the device has more room than it covers: grow, or not (the default). What is left at
	// the end may be 16 MiB, or a 64th part of a small file system. xfs and btrfs grow while they are mounted only; vfat and
	// swap never.
	Resize string `yaml:"resize" vigo:"enum=grow"`

	// Force makes the file system on a device that holds something else, which is wiped: all of it is lost.
	Force bool `yaml:"force"`
}

var (
	_ resource.Validator = (*Filesystem)(nil)
	_ resource.Requirer  = (*Filesystem)(nil)
)

// Validate implements [resource.Validator].
func (f *Filesystem) Validate() error {
	if err := checkPath(f.Device); err != nil {
		return err
	}
	if f.Ensure == "absent" {
		if f.Label != "" || f.UUID != "" || f.Options != nil || f.Resize != "" {
			return errors.New("what is to be absent has no label, uuid, options or resize")
		}
		return nil
	}
	if f.Type == "" {
		return errors.New(`filesystem needs the key "type"`)
	}
	t := toolsOf(f.Type)
	switch {
	case f.Resize != "" && t.grow == nil:
		return fmt.Errorf("resize: %s does not grow", f.Type)
	case len(f.Label) > t.labelBytes:
		return fmt.Errorf("label: %q has more than the %d bytes that %s keeps", f.Label, t.labelBytes, f.Type)
	case strings.HasPrefix(f.Label, "-") || strings.ContainsFunc(f.Label, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("label: %q is not a label", f.Label)
	case f.Type == "xfs" && strings.ContainsAny(f.Label, ` "'\`):
		return fmt.Errorf("label: %q: the label of an xfs has no white space, quotes or backslashes", f.Label)
	}
	return t.checkUUID(f.UUID)
}

// Requires implements [resource.Requirer].
func (f *Filesystem) Requires() []resource.ID {
	ids := append(above(f.Device), resource.ID{Type: "file", Name: f.Device})
	if f.Type != "" {
		ids = append(ids, resource.ID{Type: "package", Name: toolsOf(f.Type).pkg})
	}
	return append(ids, volumeAt(f.Device)...)
}

// Plan implements [resource.Resource].
func (f *Filesystem) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := readDevice(ctx, h, f.Device)
	if errors.Is(err, host.ErrNotFound) && f.Ensure == "absent" {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if f.Ensure == "absent" {
		return p, f.planAbsent(h, is, &p)
	}
	now := is.one(f.Type)
	switch {
	case len(is.holds) == 0:
		f.planMake(h, is, change.Absent, &p)
	case now != nil && len(is.holds) == 1:
		return p, f.planAttributes(ctx, h, is, *now, &p)
	case now != nil:
		return p, fault.WithHint(fmt.Errorf("%s holds %s", f.Device, is), "only one of them is right: look with wipefs, and wipe the others by hand")
	case is.mounted != "":
		return p, fmt.Errorf("%s holds %s, and is mounted at %s: %w", f.Device, is, is.mounted, host.ErrBusy)
	case !f.Force:
		return p, fault.WithHint(fmt.Errorf("%s holds %s", f.Device, is), "if all of that may be lost, declare force: true, or wipe it by hand (wipefs --all)")
	default:
		f.planMake(h, is, is.String(), &p)
	}
	return p, nil
}

// planMake plans to make it, on what is seen now and nothing else.
func (f *Filesystem) planMake(h *host.Host, is deviceContent, from string, p *resource.Plan) {
	changes := []change.Change{change.Of("type", from, f.Type)}
	if f.Label != "" {
		changes = append(changes, change.Of("label", change.Absent, f.Label))
	}
	if f.UUID != "" {
		changes = append(changes, change.Of("uuid", change.Absent, f.UUID))
	}
	p.Do(func(ctx context.Context) error {
		if err := is.unchanged(ctx, h); err != nil {
			return err
		}
		if len(is.holds) > 0 {
			if err := runProgram(ctx, h, "wipefs", "--all", f.Device); err != nil {
				return err
			}
		}
		t := toolsOf(f.Type)
		return runTool(ctx, h, t.pkg, t.makeArgs(f))
	}, changes...)
}

// planAttributes plans what may be changed of one that is there.
func (f *Filesystem) planAttributes(ctx context.Context, h *host.Host, is deviceContent, now superblock.Signature, p *resource.Plan) error {
	t := toolsOf(f.Type)
	if f.UUID != "" && !strings.EqualFold(f.UUID, now.UUID) {
		if t.reuuid == nil {
			return fault.WithHint(fmt.Errorf("%s has the UUID %s, which a %s keeps", f.Device, now.UUID, f.Type), "declare that one, or none")
		}
		if is.mounted != "" {
			return fmt.Errorf("the UUID of %s cannot be changed while it is mounted at %s: %w", f.Device, is.mounted, host.ErrBusy)
		}
		argv := t.reuuid(f.Device, f.UUID)
		p.Do(func(ctx context.Context) error { return runTool(ctx, h, t.pkg, argv) }, change.Of("uuid", orWord(now.UUID, change.Absent), f.UUID))
	}
	if f.Label != "" && f.Label != now.Label {
		argv := t.relabel(f.Device, is.mounted, f.Label)
		if argv == nil {
			return fmt.Errorf("the label of %s cannot be changed while it is mounted at %s: %w", f.Device, is.mounted, host.ErrBusy)
		}
		p.Do(func(ctx context.Context) error { return runTool(ctx, h, t.pkg, argv) }, change.Of("label", orWord(now.Label, change.Absent), f.Label))
	}
	if f.Resize != "grow" {
		return nil
	}
	return planGrow(ctx, h, "size", is, now, p)
}

// planAbsent plans to wipe the signature of a file system.
func (f *Filesystem) planAbsent(h *host.Host, is deviceContent, p *resource.Plan) error {
	if len(is.holds) == 0 {
		return nil
	}
	only := is.holds[0]
	system := len(is.holds) == 1 && (only.Kind == superblock.Filesystem || only.Kind == superblock.Swap) && (f.Type == "" || f.Type == only.Type)
	switch {
	case is.mounted != "":
		return fmt.Errorf("%s is mounted at %s: %w", f.Device, is.mounted, host.ErrBusy)
	case only.Kind == superblock.Unknown:
		return fault.WithHint(fmt.Errorf("%s holds %s", f.Device, is), "what is not known cannot be wiped; if it may be lost, write zeros over it by hand")
	case !system && !f.Force:
		return fault.WithHint(fmt.Errorf("%s holds %s", f.Device, is), "if all of that may be lost, declare force: true")
	}
	p.Do(func(ctx context.Context) error {
		if err := is.unchanged(ctx, h); err != nil {
			return err
		}
		return runProgram(ctx, h, "wipefs", "--all", f.Device)
	}, change.Of("type", is.String(), change.Absent))
	return nil
}
