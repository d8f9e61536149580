package traits

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// OS is the distribution, as os-release(5) describes it.
type OS struct {
	// Family of distributions: debian, redhat, suse, arch, alpine, or the ID itself.
	Family string `json:"family"`
	// ID of the distribution, such as debian or ubuntu.
	ID string `json:"id"`
	// Version is VERSION_ID, such as 12 or 22.04.
	Version string `json:"version,omitempty"`
	// Codename of the version, such as bookworm.
	Codename string `json:"codename,omitempty"`
	// Name for people.
	Name string `json:"name,omitempty"`
}

func collectOS(_ context.Context, h *host.Host) (OS, error) {
	text, err := read(h, "/etc/os-release")
	if err != nil {
		text, err = read(h, "/usr/lib/os-release")
	}
	if err != nil {
		return OS{}, missing(err)
	}
	return parseOSRelease(text), nil
}

// parseOSRelease reads the shell-like assignments of os-release(5).
func parseOSRelease(text string) OS {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		} else {
			value = strings.Trim(value, `'"`)
		}
		fields[key] = value
	}
	os := OS{ID: fields["ID"], Version: fields["VERSION_ID"], Codename: fields["VERSION_CODENAME"], Name: fields["PRETTY_NAME"]}
	os.Family = family(os.ID, strings.Fields(fields["ID_LIKE"]))
	return os
}

func family(id string, like []string) string {
	families := map[string][]string{
		"debian": {"debian", "ubuntu"}, "redhat": {"rhel", "fedora", "centos", "rocky", "almalinux"},
		"suse": {"suse", "opensuse", "sles"}, "arch": {"arch"}, "alpine": {"alpine"},
	}
	for _, word := range append([]string{id}, like...) {
		for name, members := range families {
			if slices.Contains(members, word) || strings.HasPrefix(word, "opensuse") && name == "suse" {
				return name
			}
		}
	}
	return id
}

// Kernel is the running kernel.
type Kernel struct {
	// Name such as Linux.
	Name string `json:"name"`
	// Release such as 6.1.0-18-amd64.
	Release string `json:"release"`
	// Version is the build of the release.
	Version string `json:"version,omitempty"`
}

func collectKernel(_ context.Context, h *host.Host) (Kernel, error) {
	release, err := read(h, "/proc/sys/kernel/osrelease")
	if err != nil {
		return Kernel{}, missing(err)
	}
	name, _ := read(h, "/proc/sys/kernel/ostype")
	version, _ := read(h, "/proc/sys/kernel/version")
	return Kernel{Name: strings.TrimSpace(name), Release: strings.TrimSpace(release), Version: strings.TrimSpace(version)}, nil
}

// Hostname is how the machine calls itself.
type Hostname struct {
	// Short name, up to the first dot.
	Short string `json:"short"`
	// Full is the name as it is set.
	Full string `json:"full"`
}

func collectHostname(ctx context.Context, h *host.Host) (Hostname, error) {
	name, err := h.Kernel.Hostname(ctx)
	if err != nil {
		return Hostname{}, missing(err)
	}
	short, _, _ := strings.Cut(name, ".")
	return Hostname{Short: short, Full: name}, nil
}

// Boot is the present boot of the machine.
type Boot struct {
	// ID of the boot; another one after each reboot.
	ID string `json:"id,omitempty"`
	// RebootRequired says that an update waits for a reboot.
	RebootRequired bool `json:"reboot_required"`
}

func collectBoot(_ context.Context, h *host.Host) (Boot, error) {
	id, err := read(h, "/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Boot{}, missing(err)
	}
	_, err = h.FS.Stat("/run/reboot-required")
	if err != nil && missing(err) != trait.ErrNone {
		return Boot{}, err
	}
	return Boot{ID: strings.TrimSpace(id), RebootRequired: err == nil}, nil
}
