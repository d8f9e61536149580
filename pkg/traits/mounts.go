package traits

import (
	"context"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// Mounts are the mounted file systems, by path; where several are mounted over each other, the uppermost. What the
// kernel, sessions and containers mount for themselves is left out, and of more than 1,000 the rest.
//
//	when: has(mounts["/tmp"]) and not ("noexec" in mounts["/tmp"].options)
type Mounts map[string]Mount

// Mount is one mounted file system.
type Mount struct {
	// Source is the device, remote folder or name.
	Source string `json:"source"`
	// Type of the file system, such as ext4.
	Type string `json:"type"`
	// Options in force, sorted.
	Options []string `json:"options"`
	// ReadOnly says whether it is mounted read-only.
	ReadOnly bool `json:"read_only"`
}

const maxMounts = 1000

func collectMounts(ctx context.Context, h *host.Host) (Mounts, error) {
	all, err := h.Mounts.All(ctx)
	if err != nil {
		return nil, missing(err)
	}
	mounts := Mounts{}
	for _, m := range all {
		if _, again := mounts[m.Path]; transient(m.Path) || !again && len(mounts) >= maxMounts {
			continue
		}
		options := append([]string{}, m.Options...)
		slices.Sort(options)
		mounts[m.Path] = Mount{Source: m.Source, Type: m.Type, Options: options, ReadOnly: slices.Contains(options, "ro")}
	}
	return mounts, nil
}

// transient says whether a mount point comes and goes with a session, a service or a container, or is a part of the
// kernel's own file systems.
func transient(path string) bool {
	for _, prefix := range []string{
		"/proc/", "/sys/", "/dev/hugepages", "/dev/mqueue", "/run/user/", "/run/host/", "/run/netns/", "/run/credentials/", "/run/docker/",
		"/run/containerd/", "/run/containers/", "/var/lib/docker/", "/var/lib/containers/", "/var/lib/containerd/", "/var/lib/kubelet/",
	} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
