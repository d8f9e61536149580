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
)

// Volume is a logical volume of LVM. It grows while it is in use, with the file system on it; it shrinks only if shrink says
// so. See the types volume_group for the group it is in, and filesystem for what is on it.
//
// What there is can be read by the programs of LVM only: pvs and lvs start once a run if it has such resources.
//
//	resources:
//	  - volume: vg0/data
//	    size: 20G
//	  - volume: vg0/rest
//	    size: 100%FREE
type Volume struct {
	// Name of the group and of the volume, such as vg0/data.
	Name string `vigo:"identity"`

	// Ensure says whether it should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Size in K, M, G or T (of 1024), such as 20G; as a part of the group, such as 50%VG; as a part of what is free in it,
	// such as 100%FREE; or as a number of extents, such as "2560 extents". It is rounded up to whole extents. A part of what is
	// free is worked out when the volume is made; 100%FREE takes what becomes free later too. A volume that is larger is left
	// as it is, unless shrink is given: somebody may have needed the space.
	Size string `yaml:"size"`

	// Shrink makes a volume that is larger smaller, and first the file system on it: ext2, ext3 and ext4 only, and not while
	// it is mounted. A volume that holds anything else is refused.
	Shrink bool `yaml:"shrink"`

	// GrowFilesystem says whether a file system that does not cover the volume grows with it; true by default. xfs and btrfs
	// grow while they are mounted only, and are left alone otherwise.
	GrowFilesystem *bool `yaml:"grow_filesystem"`

	// Pool is the thin pool in the same group that the volume takes its space from when it is written to. A pool is a volume
	// with the options --type thin-pool.
	Pool string `yaml:"pool"`

	// SnapshotOf is the volume in the same group that this one is a snapshot of. A snapshot of a volume in a thin pool has no
	// size of its own.
	SnapshotOf string `yaml:"snapshot_of"`

	// Active says whether there is a device for it; if not given, that is left alone.
	Active *bool `yaml:"active"`

	// Devices of the group that space is taken from; any if not given. Where the volume is already is left alone.
	Devices []string `yaml:"devices"`

	// Options of lvcreate(8), such as [--type, raid1]. They are for making it only.
	Options resource.Argv `yaml:"options"`

	// Force removes a volume that holds something, when it is to be absent.
	Force bool `yaml:"force"`
}

var (
	_ resource.Validator = (*Volume)(nil)
	_ resource.Requirer  = (*Volume)(nil)
)

// Validate implements [resource.Validator].
func (v *Volume) Validate() error {
	group, name, ok := strings.Cut(v.Name, "/")
	if !ok {
		return fmt.Errorf("%q is not the name of a group and a volume, such as vg0/data", v.Name)
	}
	if err := errors.Join(checkLVMName(group), checkLVMName(name)); err != nil {
		return err
	}
	for field, other := range map[string]string{"pool": v.Pool, "snapshot_of": v.SnapshotOf} {
		if err := checkLVMName(other); other != "" && err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	for _, d := range v.Devices {
		if err := checkPath(d); err != nil {
			return fmt.Errorf("devices: %w", err)
		}
	}
	if v.Ensure == "absent" {
		if v.Size != "" || v.Shrink || v.Pool != "" || v.SnapshotOf != "" || v.Active != nil || v.Devices != nil || v.Options != nil {
			return errors.New("what is to be absent has nothing but force")
		}
		return nil
	}
	return v.validatePresent()
}

func (v *Volume) validatePresent() error {
	switch {
	case v.Force:
		return errors.New("force is for a volume that is to be absent")
	case v.Size == "" && v.SnapshotOf == "":
		return errors.New(`volume needs the key "size"`)
	case v.Pool != "" && v.SnapshotOf != "":
		return errors.New("a snapshot is in the pool of its origin: leave out pool or snapshot_of")
	case v.Size == "":
		return nil
	}
	size, err := parseVolumeSize(v.Size)
	if err == nil && v.Pool != "" && size.bytes == 0 {
		return errors.New("a volume in a pool has a size such as 20G")
	}
	return err
}

func (v *Volume) names() (group, name string) {
	group, name, _ = strings.Cut(v.Name, "/")
	return group, name
}

// device is where the volume is found when it is active.
func (v *Volume) device() string { return "/dev/" + v.Name }

// Requires implements [resource.Requirer]. What is to be absent goes before its group does.
func (v *Volume) Requires() []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "lvm2"}}
	if v.Ensure == "absent" {
		return ids
	}
	group, _ := v.names()
	ids = append(ids, resource.ID{Type: "volume_group", Name: group})
	for _, other := range []string{v.Pool, v.SnapshotOf} {
		if other != "" {
			ids = append(ids, resource.ID{Type: "volume", Name: group + "/" + other})
		}
	}
	return ids
}

// Plan implements [resource.Resource].
func (v *Volume) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	all, err := readLVM(ctx, h)
	if err != nil {
		return p, err
	}
	group, name := v.names()
	is, in := all.Volume(group, name), all.Group(group)
	switch {
	case v.Ensure == "absent" && is == nil:
		return p, nil
	case v.Ensure == "absent":
		return p, v.planAbsent(ctx, h, all, *is, &p)
	case in == nil:
		return p, fault.WithHint(fmt.Errorf("volume group %s: %w", group, host.ErrNotFound), "a volume_group makes it")
	case is == nil:
		return p, v.planMake(h, all, *in, &p)
	case is.Pool != v.Pool && v.SnapshotOf == "" || is.Origin != v.SnapshotOf && v.SnapshotOf != "":
		return p, fault.WithHint(fmt.Errorf("%s is there, and is not %s", v.Name, v.sort()), "remove it by hand, or name another")
	}
	if v.Active != nil && *v.Active != is.Active {
		flag := map[bool]string{true: "y", false: "n"}[*v.Active]
		p.Do(v.run(h, "lvchange", "--activate", flag, v.Name), change.Of("active", is.Active, *v.Active))
	}
	if v.Size == "" {
		return p, nil
	}
	return p, v.planSize(ctx, h, *in, *is, &p)
}

// sort says what the declaration wants, for people.
func (v *Volume) sort() string {
	switch {
	case v.SnapshotOf != "":
		return "a snapshot of " + v.SnapshotOf
	case v.Pool != "":
		return "in the pool " + v.Pool
	}
	return "outside of a pool"
}

func (v *Volume) run(h *host.Host, argv ...string) func(context.Context) error {
	return func(ctx context.Context) error { return h.Volumes.ChangeLVM(ctx, argv...) }
}

// planMake plans to make it. What a volume held that was there before is wiped by lvcreate: --yes is the answer to that.
func (v *Volume) planMake(h *host.Host, all host.LVM, in host.VolumeGroup, p *resource.Plan) error {
	group, name := v.names()
	argv, target := []string{"lvcreate", "--yes", "--name", name}, group
	var changes []change.Change
	for field, other := range map[string]string{"pool": v.Pool, "snapshot_of": v.SnapshotOf} {
		if other == "" {
			continue
		}
		if all.Volume(group, other) == nil {
			return fault.WithHint(fmt.Errorf("volume %s/%s: %w", group, other, host.ErrNotFound), "declare it before this one")
		}
		target += "/" + other
		argv = append(argv, map[string]string{"pool": "--thin", "snapshot_of": "--snapshot"}[field])
		changes = append(changes, change.Of(field, change.Absent, other))
	}
	switch origin := all.Volume(group, v.SnapshotOf); {
	case v.Size == "" && origin.Pool == "":
		return errors.New("a snapshot of a volume outside of a thin pool needs a size, for what changes")
	case v.Size == "":
	default:
		extents, err := v.extents(in, 0)
		if err != nil {
			return err
		}
		size := []string{"--extents", fmt.Sprint(extents)}
		if v.Pool != "" {
			size = []string{"--virtualsize", fmt.Sprintf("%db", extents*in.ExtentSize)}
		} else if err := v.fits(in, extents); err != nil {
			return err
		}
		argv = append(argv, size...)
		changes = append(changes, change.Of("size", change.Absent, sizeText(extents*in.ExtentSize)))
	}
	argv = append(append(argv, v.Options...), target)
	p.Do(v.run(h, append(argv, v.Devices...)...), changes...)
	return nil
}

// planAbsent plans to remove it.
func (v *Volume) planAbsent(ctx context.Context, h *host.Host, all host.LVM, is host.LogicalVolume, p *resource.Plan) error {
	for _, other := range all.Volumes {
		if other.Group == is.Group && (other.Pool == is.Name || other.Origin == is.Name && other.Pool == "") {
			return fault.WithHint(fmt.Errorf("%s cannot go: %s is made of it", v.Name, other.Name), "declare that one absent, before this one")
		}
	}
	holds, err := readDevice(ctx, h, v.device())
	missing := errors.Is(err, host.ErrNotFound)
	switch {
	case err != nil && !missing:
		return err
	case holds.mounted != "":
		return fmt.Errorf("%s is mounted at %s: %w", v.Name, holds.mounted, host.ErrBusy)
	case missing && !v.Force && !is.ThinPool:
		return fault.WithHint(fmt.Errorf("%s has no device, so nobody knows what it holds", v.Name), "if it may be lost, declare force: true")
	case len(holds.holds) > 0 && !v.Force:
		return fault.WithHint(fmt.Errorf("%s holds %s", v.Name, holds), "if all of that may be lost, declare force: true")
	}
	p.Do(v.run(h, "lvremove", "--yes", v.Name), change.Of("ensure", sizeText(is.Size), change.Absent))
	return nil
}
