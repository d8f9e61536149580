package traits

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// OS is the distribution, as os-release(5) describes it.
//
//	when: os.family == "debian" and version(os.version) >= version("12")
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
	// Init is the init system that has booted the machine, or would: systemd, openrc, runit, sysv; empty if it is none of them.
	Init host.Init `json:"init,omitempty"`
}

func collectOS(_ context.Context, h *host.Host) (OS, error) {
	text, err := read(h, "/etc/os-release")
	if err != nil {
		text, err = read(h, "/usr/lib/os-release")
	}
	if err != nil {
		return OS{}, missing(err)
	}
	os := parseOSRelease(text)
	os.Init, err = host.FindInit(h.FS)
	return os, err
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
