package traits

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// Platform is what the operating system runs on.
//
//	when: platform.arch == "arm64" and platform.container == ""
type Platform struct {
	// Arch is the architecture as Debian and Go name it: amd64, arm64, armhf, i386, riscv64, ppc64el, s390x.
	Arch string `json:"arch"`
	// Machine is the architecture as uname(1) names it, such as x86_64.
	Machine string `json:"machine"`
	// Virtualization is the hypervisor below, as systemd-detect-virt(1) names it: kvm, qemu, vmware, microsoft,
	// oracle, xen, amazon, google, parallels, bhyve, apple; vm-other for one that is not known; empty on bare metal.
	Virtualization string `json:"virtualization"`
	// Container is the container manager, if the machine is a container: docker, podman, lxc, systemd-nspawn, ...
	Container string `json:"container"`
	// Vendor of the machine, as its firmware says.
	Vendor string `json:"vendor,omitempty"`
	// Product is the model of the machine, as its firmware says.
	Product string `json:"product,omitempty"`
}

func collectPlatform(_ context.Context, h *host.Host) (Platform, error) {
	machine, err := machineName(h)
	if err != nil {
		return Platform{}, err
	}
	p := Platform{Machine: machine, Arch: archName(machine)}
	if p.Container, err = container(h); err != nil {
		return Platform{}, err
	}
	var bios string
	for path, field := range map[string]*string{"sys_vendor": &p.Vendor, "product_name": &p.Product, "bios_vendor": &bios} {
		if *field, err = optional(h, "/sys/class/dmi/id/"+path); err != nil {
			return Platform{}, err
		}
	}
	if p.Product == "" { // boards without DMI describe themselves in the device tree
		if p.Product, err = optional(h, "/proc/device-tree/model"); err != nil {
			return Platform{}, err
		}
	}
	p.Virtualization, err = hypervisor(h, strings.Join([]string{p.Vendor, p.Product, bios}, "\n"))
	return p, err
}

// optional returns the words of a small file, or nothing if it is not there.
func optional(h *host.Host, path string) (string, error) {
	text, err := read(h, path)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return "", err
	}
	return strings.TrimSpace(strings.TrimRight(text, "\x00")), nil
}

// machineName asks the kernel; before Linux 6.1, and where no kernel runs, a program of the system tells.
func machineName(h *host.Host) (string, error) {
	name, err := optional(h, "/proc/sys/kernel/arch")
	if err != nil || name != "" {
		return name, err
	}
	for _, path := range []string{"/usr/bin/env", "/bin/sh"} {
		file, err := h.FS.Open(path)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		head := make([]byte, 20)
		_, err = io.ReadFull(file, head)
		file.Close()
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", path, err)
		}
		if name = elfMachine(head); name != "" {
			return name, nil
		}
	}
	return "", trait.ErrNone
}

// elfMachine reads e_machine of an ELF header, elf(5).
func elfMachine(head []byte) string {
	if len(head) < 20 || string(head[:4]) != "\x7fELF" {
		return ""
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	names := map[uint16]string{3: "i686", 8: "mips", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64"}
	return names[order.Uint16(head[18:])]
}

// archName turns a name of uname(1) into that of Debian.
func archName(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv8l", "armv6l":
		return "armhf"
	case "i386", "i486", "i586", "i686":
		return "i386"
	case "ppc64le":
		return "ppc64el"
	}
	return machine
}

// container tells the manager of the container this is, as far as it left a mark.
func container(h *host.Host) (string, error) {
	for _, path := range []string{"/run/host/container-manager", "/run/systemd/container"} {
		if name, err := optional(h, path); err != nil || name != "" {
			return name, err
		}
	}
	for _, mark := range []struct{ path, name string }{{"/run/.containerenv", "podman"}, {"/.dockerenv", "docker"}, {"/dev/lxd", "lxc"}} {
		_, err := h.FS.Stat(mark.path)
		if err == nil {
			return mark.name, nil
		}
		if !errors.Is(err, host.ErrNotFound) {
			return "", err
		}
	}
	return "", nil
}

// hypervisor looks for its name in what the firmware says, then for Xen, then for the processor's word that there is
// one.
func hypervisor(h *host.Host, firmware string) (string, error) {
	for _, known := range []struct{ word, name string }{
		{"KVM", "kvm"}, {"OpenStack", "kvm"}, {"KubeVirt", "kvm"}, {"Google Compute Engine", "google"}, {"Amazon EC2", "amazon"},
		{"QEMU", "qemu"}, {"VMware", "vmware"}, {"VMW", "vmware"}, {"innotek GmbH", "oracle"}, {"VirtualBox", "oracle"},
		{"Parallels", "parallels"}, {"BHYVE", "bhyve"}, {"Hyper-V", "microsoft"}, {"Apple Virtualization", "apple"}, {"Xen", "xen"},
	} {
		if strings.Contains(firmware, known.word) {
			return known.name, nil
		}
	}
	if strings.Contains(firmware, "Microsoft Corporation") && strings.Contains(firmware, "Virtual Machine") {
		return "microsoft", nil
	}
	if kind, err := optional(h, "/sys/hypervisor/type"); err != nil || kind != "" {
		return kind, err
	}
	data, err := h.FS.Read("/proc/cpuinfo", cpuinfoLimit)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "flags") {
			if slices.Contains(strings.Fields(line), "hypervisor") {
				return "vm-other", nil
			}
			break
		}
	}
	return "", nil
}
