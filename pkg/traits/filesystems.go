package traits

import (
	"context"
	"errors"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// Filesystems is how full the local file systems are, by mount point. A device that is mounted several times is shown
// at its first place. File systems in the network are left out: one that does not answer would hold the agent up; so
// are those that show kernel data, and images that are always full.
//
//	when: filesystems["/"].used_percent < 90
type Filesystems map[string]Filesystem

// Filesystem is how full one file system is.
type Filesystem struct {
	// Type such as ext4.
	Type string `json:"type"`
	// SizeMB is its size, in MiB.
	SizeMB int64 `json:"size_mb"`
	// AvailableMB is what users other than root may still fill, in MiB, rounded down to two digits.
	AvailableMB int64 `json:"available_mb"`
	// UsedPercent is the share in use, as df(1) counts it.
	UsedPercent int64 `json:"used_percent"`
	// InodesUsedPercent is the share of files in use; 0 where there is no limit.
	InodesUsedPercent int64 `json:"inodes_used_percent"`
	// ReadOnly says whether nothing can be written to it.
	ReadOnly bool `json:"read_only"`
}

const maxFilesystems = 100

func collectFilesystems(ctx context.Context, h *host.Host) (Filesystems, error) {
	all, err := h.Mounts.All(ctx)
	if err != nil {
		return nil, missing(err)
	}
	filesystems := Filesystems{}
	var problems []error
	for _, m := range localMounts(all) {
		if info, err := h.FS.Stat(m.Path); err == nil && info.Kind != host.Dir {
			continue // a single file that a container manager put there
		}
		u, err := h.Mounts.Usage(ctx, m.Path)
		switch {
		case errors.Is(err, host.ErrNotFound): // unmounted meanwhile
		case err != nil:
			problems = append(problems, err)
		case u.Bytes > 0:
			used := u.Bytes - min(u.Bytes, u.BytesFree)
			filesystems[m.Path] = Filesystem{
				Type: m.Type, SizeMB: int64(u.Bytes >> 20), AvailableMB: twoDigits(int64(u.BytesAvailable >> 20)),
				UsedPercent:       percent(used, used+u.BytesAvailable),
				InodesUsedPercent: percent(u.Inodes-min(u.Inodes, u.InodesFree), u.Inodes),
				ReadOnly:          u.ReadOnly,
			}
		}
	}
	if len(filesystems) == 0 && len(problems) == 0 {
		return nil, trait.ErrNone
	}
	return filesystems, partly(problems...)
}

// localMounts picks the mounts whose use is worth telling: the uppermost at each path, and one of each device.
func localMounts(all []host.Mount) []host.Mount {
	top := map[string]int{}
	for i, m := range all {
		top[m.Path] = i
	}
	var local []host.Mount
	devices := map[string]bool{}
	for i, m := range all {
		if top[m.Path] != i || transient(m.Path) || !measured(m) || devices[m.Source] || len(local) >= maxFilesystems {
			continue
		}
		devices[m.Source] = m.Type != "tmpfs" && m.Type != "overlay" // their sources are mere words
		local = append(local, m)
	}
	return local
}

// measured says whether a file system keeps files on the machine itself.
func measured(m host.Mount) bool {
	switch {
	case slices.Contains([]string{"squashfs", "iso9660", "erofs", "udf"}, m.Type):
		return false
	case m.Type == "zfs":
		return true
	case m.Path == "/" || m.Path == "/tmp":
		return !slices.Contains([]string{"nfs", "nfs4", "cifs", "smb3", "9p", "ceph"}, m.Type) && !strings.HasPrefix(m.Type, "fuse.")
	}
	return strings.HasPrefix(m.Source, "/dev/")
}
