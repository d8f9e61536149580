package resources

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// fsTools are the programs of one type of file system.
type fsTools struct {
	pkg        string // that has them, on most distributions
	mkfs       []string
	label      string // option of mkfs
	uuid       string // option of mkfs; a value follows, or is appended if it ends in "="
	labelBytes int
	serial     bool // the UUID is a number of 32 bits
	// reuuid gives another UUID; nil if it cannot be changed.
	reuuid func(device, uuid string) []string
	// relabel gives another label; it returns nil if that cannot be done where it is mounted (empty: nowhere).
	relabel func(device, mounted, label string) []string
	// grow extends it to the end of the device; part is the number of the device in one of several. It returns nil if that
	// cannot be done where it is mounted. It is nil if that can never be done.
	grow func(device, mounted string, part uint64) [][]string
}

func toolsOf(typ string) fsTools {
	switch typ {
	case "xfs":
		return xfsTools()
	case "btrfs":
		return btrfsTools()
	case "vfat":
		return vfatTools()
	case "swap":
		return fsTools{
			pkg: "util-linux", mkfs: []string{"mkswap"}, label: "-L", uuid: "-U", labelBytes: 15,
			reuuid:  func(device, uuid string) []string { return []string{"swaplabel", "-U", uuid, device} },
			relabel: func(device, _, label string) []string { return []string{"swaplabel", "-L", label, device} },
		}
	}
	return fsTools{
		pkg: "e2fsprogs", mkfs: []string{"mkfs." + typ, "-q"}, label: "-L", uuid: "-U", labelBytes: 16,
		reuuid:  func(device, uuid string) []string { return []string{"tune2fs", "-U", uuid, device} },
		relabel: func(device, _, label string) []string { return []string{"tune2fs", "-L", label, device} },
		grow: func(device, mounted string, _ uint64) [][]string {
			resize := []string{"resize2fs", device}
			if mounted == "" { // it wants to be checked first
				return [][]string{{"e2fsck", "-f", "-p", device}, resize}
			}
			return [][]string{resize}
		},
	}
}

func xfsTools() fsTools {
	return fsTools{
		pkg: "xfsprogs", mkfs: []string{"mkfs.xfs", "-q"}, label: "-L", uuid: "-m\x00uuid=", labelBytes: 12,
		reuuid: func(device, uuid string) []string { return []string{"xfs_admin", "-U", uuid, device} },
		relabel: func(device, mounted, label string) []string {
			if mounted != "" {
				return []string{"xfs_io", "-c", "label -s " + label, mounted}
			}
			return []string{"xfs_admin", "-L", label, device}
		},
		grow: func(_, mounted string, _ uint64) [][]string {
			if mounted == "" {
				return nil
			}
			return [][]string{{"xfs_growfs", "-d", mounted}}
		},
	}
}

func btrfsTools() fsTools {
	return fsTools{
		pkg: "btrfs-progs", mkfs: []string{"mkfs.btrfs", "-q"}, label: "-L", uuid: "-U", labelBytes: 255,
		relabel: func(device, mounted, label string) []string {
			return []string{"btrfs", "filesystem", "label", orWord(mounted, device), label}
		},
		grow: func(_, mounted string, part uint64) [][]string {
			if mounted == "" {
				return nil
			}
			return [][]string{{"btrfs", "filesystem", "resize", fmt.Sprintf("%d:max", part), mounted}}
		},
	}
}

func vfatTools() fsTools {
	return fsTools{
		pkg: "dosfstools", mkfs: []string{"mkfs.vfat"}, label: "-n", uuid: "-i", labelBytes: 11, serial: true,
		reuuid: func(device, uuid string) []string {
			return []string{"fatlabel", "-i", device, strings.ReplaceAll(uuid, "-", "")}
		},
		relabel: func(device, mounted, label string) []string {
			if mounted != "" {
				return nil
			}
			return []string{"fatlabel", device, label}
		},
	}
}

var (
	plainUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	fatSerial = regexp.MustCompile(`^[0-9A-F]{4}-[0-9A-F]{4}$`)
)

func (t fsTools) checkUUID(uuid string) error {
	switch {
	case uuid == "":
		return nil
	case t.serial && !fatSerial.MatchString(uuid):
		return fmt.Errorf("uuid: %q is not the number of a vfat, such as 1234-ABCD", uuid)
	case !t.serial && !plainUUID.MatchString(uuid):
		return fmt.Errorf("uuid: %q is not a UUID, such as 0a3407de-014b-458b-b5c1-848e92a327a3", uuid)
	}
	return nil
}

// makeArgs is the command that makes a file system. Nothing in it forces: the program looks at the device once more.
func (t fsTools) makeArgs(f *Filesystem) []string {
	argv := append([]string(nil), t.mkfs...)
	if f.Label != "" {
		argv = append(argv, t.label, f.Label)
	}
	if f.UUID != "" {
		value := f.UUID
		if t.serial {
			value = strings.ReplaceAll(value, "-", "")
		}
		if option, prefix, joined := strings.Cut(t.uuid, "\x00"); joined {
			argv = append(argv, option, prefix+value)
		} else {
			argv = append(argv, option, value)
		}
	}
	return append(append(argv, f.Options...), f.Device)
}

// runTool runs a program of a file system; if there is none, the error says which package has it.
func runTool(ctx context.Context, h *host.Host, pkg string, argv []string) error {
	if _, err := h.Run.Find(argv[0]); err != nil {
		return fault.WithHint(fmt.Errorf("finding %s: %w", argv[0], err), "it comes with the package "+pkg)
	}
	return runProgram(ctx, h, argv...)
}
