package host

import "context"

// Volumes is what LVM makes of block devices.
type Volumes interface {
	// LVM describes all of it. Only programs of LVM can read it; they run at most once until something is changed.
	// ErrNotFound if they are not installed.
	LVM(ctx context.Context) (LVM, error)
	// ChangeLVM runs a program of LVM, whose output is in the error when it fails.
	ChangeLVM(ctx context.Context, argv ...string) error
}

// LVM is the volume groups, what they are made of, and what they are divided into.
type LVM struct {
	Groups    []VolumeGroup
	Physicals []PhysicalVolume
	Volumes   []LogicalVolume
}

// A VolumeGroup is storage that comes from physical volumes, in extents of one size.
type VolumeGroup struct {
	Name          string
	ExtentSize    int64 // in bytes
	Extents, Free int64 // how many
}

// A PhysicalVolume is a device that belongs to a group, or may.
type PhysicalVolume struct {
	Device     string
	Group      string // empty if it is in none
	Size       int64  // bytes in extents
	Start      int64  // of the extents on the device, in bytes
	DeviceSize int64
}

// A LogicalVolume is a part of a group.
type LogicalVolume struct {
	Group, Name string
	Size        int64
	Pool        string // the thin pool it takes its space from
	Origin      string // of a snapshot
	ThinPool    bool
	Active      bool // there is a device for it
}

// Group finds a group by name; nil if it is not there.
func (l LVM) Group(name string) *VolumeGroup {
	for i := range l.Groups {
		if l.Groups[i].Name == name {
			return &l.Groups[i]
		}
	}
	return nil
}

// Volume finds a logical volume; nil if it is not there.
func (l LVM) Volume(group, name string) *LogicalVolume {
	for i := range l.Volumes {
		if v := &l.Volumes[i]; v.Group == group && v.Name == name {
			return v
		}
	}
	return nil
}
