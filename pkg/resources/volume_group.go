package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// VolumeGroup is a volume group of LVM, made of devices that hold nothing; they become physical volumes. A device that holds
// anything, or is in another group, is refused. See the type volume for what the group is divided into.
//
// What there is can be read by the programs of LVM only: pvs and lvs start once a run if it has such resources.
//
//	resources:
//	  - volume_group: vg0
//	    devices: [/dev/sdb, /dev/sdc]
type VolumeGroup struct {
	// Name of the group.
	Name string `vigo:"identity"`

	// Ensure says what should be: present (the default), or absent (a group without volumes is removed, and its devices
	// hold nothing any more).
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Devices it is made of. One that is not in the group is added.
	Devices []string `yaml:"devices"`

	// Exact takes devices out of the group that are not among these. One on which there is something of a volume is refused:
	// pvmove(8) empties it.
	Exact bool `yaml:"exact"`

	// ExtentSize is what space is given in, such as 4M, which is the default of LVM. A group that has another is changed, if
	// its volumes fit.
	ExtentSize string `yaml:"extent_size"`

	// Resize says whether the group takes in the rest of a device that has become larger by at least two extents: grow, or not
	// (the default).
	Resize string `yaml:"resize" vigo:"enum=grow"`

	// Options of vgcreate(8), for making the group only.
	Options resource.Argv `yaml:"options"`
}

var (
	_ resource.Validator = (*VolumeGroup)(nil)
	_ resource.Requirer  = (*VolumeGroup)(nil)
)

// Validate implements [resource.Validator].
func (g *VolumeGroup) Validate() error {
	if err := checkLVMName(g.Name); err != nil {
		return err
	}
	for i, d := range g.Devices {
		if err := checkPath(d); err != nil {
			return fmt.Errorf("devices: %w", err)
		}
		if slices.Contains(g.Devices[:i], d) {
			return fmt.Errorf("devices: %s is there twice", d)
		}
	}
	switch {
	case g.Ensure == "absent" && (g.Exact || g.ExtentSize != "" || g.Resize != "" || g.Options != nil):
		return errors.New("what is to be absent has no exact, extent_size, resize or options")
	case g.Ensure == "absent":
		return nil
	case len(g.Devices) == 0:
		return errors.New(`volume_group needs the key "devices"`)
	case g.ExtentSize == "":
		return nil
	}
	size, err := sizeBytes("extent_size", g.ExtentSize)
	if err == nil && size&(size-1) != 0 {
		err = fmt.Errorf("extent_size: %q is not a power of two", g.ExtentSize)
	}
	return err
}

// checkLVMName says what is wrong with the name of a group or volume (lvm(8), valid names).
func checkLVMName(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+_.-", r))
	}
	if name == "" || name[0] == '-' || name == "." || name == ".." || len(name) > 127 || strings.ContainsFunc(name, bad) {
		return fault.WithHint(fmt.Errorf("%q is not a name for LVM", name), `letters, digits, "+", "_", "." and "-"`)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (g *VolumeGroup) Requires() []resource.ID { return []resource.ID{{Type: "package", Name: "lvm2"}} }

// readLVM reads what LVM has.
func readLVM(ctx context.Context, h *host.Host) (host.LVM, error) {
	all, err := h.Volumes.LVM(ctx)
	if errors.Is(err, host.ErrNotFound) {
		err = fault.WithHint(err, "it comes with the package lvm2")
	}
	return all, err
}

// Plan implements [resource.Resource].
func (g *VolumeGroup) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	all, err := readLVM(ctx, h)
	if err != nil {
		return p, err
	}
	is := all.Group(g.Name)
	if g.Ensure == "absent" {
		return p, g.planAbsent(h, all, is, &p)
	}
	have, err := g.members(h, all)
	if err != nil {
		return p, err
	}
	missing, err := g.missing(ctx, h, all, have)
	if err != nil {
		return p, err
	}
	run := func(argv ...string) func(context.Context) error {
		return func(ctx context.Context) error { return h.Volumes.ChangeLVM(ctx, argv...) }
	}
	if is == nil {
		g.planMake(run, &p)
		return p, nil
	}
	now := strings.Join(g.names(have), ", ")
	if len(missing) > 0 {
		p.Do(run(append([]string{"vgextend", g.Name}, missing...)...), change.Of("devices", now, join(now, missing)))
	}
	g.planExact(run, have, &p)
	if size, err := sizeBytes("extent_size", g.ExtentSize); g.ExtentSize != "" && err == nil && size != is.ExtentSize {
		p.Do(run("vgchange", "--physicalextentsize", fmt.Sprintf("%db", size), g.Name), change.Of("extent_size", sizeText(is.ExtentSize), sizeText(size)))
	}
	for _, pv := range have {
		rest := pv.DeviceSize - pv.Start - pv.Size
		if g.Resize == "grow" && pv.declared && rest >= 2*is.ExtentSize {
			p.Do(run("pvresize", pv.Device), change.Of("size of "+pv.Device, sizeText(pv.Size), sizeText(pv.Size+rest/is.ExtentSize*is.ExtentSize)))
		}
	}
	return p, nil
}

func join(list string, more []string) string {
	if list == "" {
		return strings.Join(more, ", ")
	}
	return list + ", " + strings.Join(more, ", ")
}

func (g *VolumeGroup) planMake(run func(...string) func(context.Context) error, p *resource.Plan) {
	argv, changes := []string{"vgcreate"}, []change.Change{change.Of("devices", change.Absent, strings.Join(g.Devices, ", "))}
	if size, err := sizeBytes("extent_size", g.ExtentSize); g.ExtentSize != "" && err == nil {
		argv = append(argv, "--physicalextentsize", fmt.Sprintf("%db", size))
		changes = append(changes, change.Of("extent_size", change.Absent, sizeText(size)))
	}
	argv = append(append(argv, g.Options...), g.Name)
	p.Do(run(append(argv, g.Devices...)...), changes...)
}

// planExact plans to take out what is not declared.
func (g *VolumeGroup) planExact(run func(...string) func(context.Context) error, have []member, p *resource.Plan) {
	for _, pv := range have {
		if !g.Exact || pv.declared {
			continue
		}
		p.Do(run("vgreduce", g.Name, pv.Device), change.Of("device "+pv.Device, "in the group", change.Absent))
	}
}

// A member is a physical volume of the group.
type member struct {
	host.PhysicalVolume
	final    string // its name without links
	declared bool
}

func (g *VolumeGroup) names(all []member) []string {
	var names []string
	for _, m := range all {
		names = append(names, m.Device)
	}
	return names
}

// members finds what is in the group.
func (g *VolumeGroup) members(h *host.Host, all host.LVM) ([]member, error) {
	declared := map[string]bool{}
	for _, d := range g.Devices {
		final, err := finalName(h, d)
		if err != nil {
			return nil, err
		}
		declared[final] = true
	}
	var have []member
	for _, pv := range all.Physicals {
		if pv.Group != g.Name {
			continue
		}
		final, err := finalName(h, pv.Device)
		if err != nil {
			return nil, err
		}
		have = append(have, member{pv, final, declared[final]})
	}
	return have, nil
}

// missing finds the declared devices that are not in the group, and looks that each may be taken.
func (g *VolumeGroup) missing(ctx context.Context, h *host.Host, all host.LVM, have []member) ([]string, error) {
	var missing []string
	for _, d := range g.Devices {
		final, err := finalName(h, d)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(have, func(m member) bool { return m.final == final }) {
			continue
		}
		missing = append(missing, d)
		pv, err := physicalAt(h, all, final)
		if err != nil {
			return nil, err
		}
		if pv != nil && pv.Group != "" {
			return nil, fault.WithHint(fmt.Errorf("%s is in the volume group %s", d, pv.Group), "vgreduce takes it out there")
		}
		if pv != nil {
			continue // made by pvcreate, and in no group
		}
		is, err := readDevice(ctx, h, d)
		if err != nil {
			return nil, err
		}
		if len(is.holds) > 0 {
			return nil, fault.WithHint(fmt.Errorf("%s holds %s", d, is), "if all of that may be lost, wipe it by hand (wipefs --all)")
		}
	}
	return missing, nil
}

// physicalAt finds a physical volume by the final name of its device.
func physicalAt(h *host.Host, all host.LVM, final string) (*host.PhysicalVolume, error) {
	for i := range all.Physicals {
		name := all.Physicals[i].Device
		is, err := finalName(h, name)
		if err != nil {
			return nil, err
		}
		if is == final {
			return &all.Physicals[i], nil
		}
	}
	return nil, nil
}

// planAbsent plans to remove a group without volumes, and the labels of its devices.
func (g *VolumeGroup) planAbsent(h *host.Host, all host.LVM, is *host.VolumeGroup, p *resource.Plan) error {
	var volumes, devices []string
	for _, v := range all.Volumes {
		if v.Group == g.Name {
			volumes = append(volumes, v.Name)
		}
	}
	if len(volumes) > 0 {
		return fault.WithHint(fmt.Errorf("the volume group %s has the volumes %s", g.Name, strings.Join(volumes, ", ")), "declare them absent, before the group")
	}
	for _, pv := range all.Physicals {
		left := pv.Group == "" && slices.Contains(g.Devices, pv.Device)
		if pv.Group == g.Name || left {
			devices = append(devices, pv.Device)
		}
	}
	if is != nil {
		remove := func(ctx context.Context) error { return h.Volumes.ChangeLVM(ctx, "vgremove", g.Name) }
		p.Do(remove, change.Of("ensure", "present", change.Absent))
	}
	if len(devices) > 0 {
		wipe := func(ctx context.Context) error {
			return h.Volumes.ChangeLVM(ctx, append([]string{"pvremove"}, devices...)...)
		}
		p.Do(wipe, change.Of("devices", strings.Join(devices, ", "), change.Absent))
	}
	return nil
}
