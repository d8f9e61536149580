package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// FstabEntry is one line of /etc/fstab; what is mounted now is left alone. See the type mount for a file system that is
// mounted, and swap for swap space. Other lines of the file are left as they are.
//
//	resources:
//	  - fstab_entry: /srv/data
//	    device: UUID=0a3407de-014b-458b-b5c1-848e92a327a3
//	    type: ext4
//	    options: [noatime, nofail]
//	    pass: 2
type FstabEntry struct {
	// Path it is mounted at.
	Path string `vigo:"identity"`

	// Ensure says whether the line should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Device, such as /dev/sdb1, UUID=…, LABEL=…, server:/path or tmpfs.
	Device string `yaml:"device"`

	// Type of the file system, such as ext4, nfs or tmpfs.
	Type string `yaml:"type"`

	// Options of the mount; defaults if empty.
	Options []string `yaml:"options"`

	// Dump is the fifth field: whether dump(8) backs it up.
	Dump int `yaml:"dump"`

	// Pass is the sixth field: 1 or 2 to have it checked at boot, 0 not to.
	Pass int `yaml:"pass"`
}

var _ resource.Validator = (*FstabEntry)(nil)

// Validate implements [resource.Validator].
func (e *FstabEntry) Validate() error {
	if !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path {
		return fmt.Errorf("%q is not an absolute, clean path", e.Path)
	}
	if e.Ensure == "absent" {
		if e.Device != "" || e.Type != "" {
			return errors.New("a line that is to be absent has no device and no type")
		}
		return nil
	}
	m := Mount{Path: e.Path, Device: e.Device, Type: e.Type, Options: e.Options, Dump: e.Dump, Pass: e.Pass}
	if e.Device == "" || e.Type == "" {
		return errors.New("fstab_entry needs device and type")
	}
	return m.Validate()
}

// Plan implements [resource.Resource].
func (e *FstabEntry) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	table, err := readFstab(h)
	if err != nil {
		return p, err
	}
	old, _ := table.find(e.Path)
	var want *fstabEntry
	if e.Ensure != "absent" {
		want = &fstabEntry{device: e.Device, path: e.Path, fsType: e.Type, opts: orWord(strings.Join(e.Options, ","), "defaults"),
			dump: strconv.Itoa(e.Dump), pass: strconv.Itoa(e.Pass)}
	}
	(&Mount{Path: e.Path}).planLine(h, table, old, want, &p)
	return p, nil
}
