package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/superblock"
)

// deviceContent is what a block device holds, and where that is mounted.
type deviceContent struct {
	device  string
	size    int64
	holds   []superblock.Signature
	mounted string // the first place it is mounted at; empty: none
}

// String lists what is held.
func (d deviceContent) String() string {
	var all []string
	for _, s := range d.holds {
		all = append(all, s.String())
	}
	return strings.Join(all, " and ")
}

// one is the signature of a type; nil if there is none.
func (d deviceContent) one(typ string) *superblock.Signature {
	for i := range d.holds {
		if d.holds[i].Type == typ {
			return &d.holds[i]
		}
	}
	return nil
}

// readDevice looks at a block device.
func readDevice(ctx context.Context, h *host.Host, name string) (deviceContent, error) {
	d := deviceContent{device: name}
	dev, err := h.Devices.Device(name)
	if errors.Is(err, host.ErrNotFound) {
		return d, fault.WithHint(err, "lsblk shows the devices that are there")
	}
	if err != nil {
		return d, err
	}
	d.size = dev.Size
	d.holds, err = superblock.Read(dev.Content, dev.Size)
	if err := errors.Join(err, dev.Content.Close()); err != nil {
		return d, fmt.Errorf("looking at %s: %w", name, err)
	}
	d.mounted, err = mountedAt(ctx, h, name)
	return d, err
}

// unchanged refuses to go on if the device no longer holds what was planned for.
func (d deviceContent) unchanged(ctx context.Context, h *host.Host) error {
	now, err := readDevice(ctx, h, d.device)
	if err != nil {
		return err
	}
	if now.String() != d.String() || now.mounted != "" {
		return fmt.Errorf("%s was changed meanwhile: it holds %s", d.device, orWord(now.String(), "nothing"))
	}
	return nil
}

// mountedAt finds the first place where a device is mounted. The table of mounts may call it by another of its names.
func mountedAt(ctx context.Context, h *host.Host, device string) (string, error) {
	all, err := h.Mounts.All(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return "", nil // no running machine
	}
	if err != nil {
		return "", err
	}
	want, err := finalName(h, device)
	if err != nil {
		return "", err
	}
	for _, m := range all {
		is, err := finalName(h, m.Source)
		if err != nil {
			return "", err
		}
		if is == want {
			return m.Path, nil
		}
	}
	return "", nil
}

// finalName follows the links that a device is named by. What is not there keeps its name: a mount may have a source that is
// none any more.
func finalName(h *host.Host, name string) (string, error) {
	for range 10 {
		if path.Clean(name) != name || !path.IsAbs(name) {
			return name, nil // what LVM calls a device that is gone
		}
		is, err := look(h, name)
		if err != nil {
			return "", err
		}
		if is == nil || is.Kind != host.Symlink {
			return name, nil
		}
		if path.IsAbs(is.Target) {
			name = path.Clean(is.Target)
		} else {
			name = path.Join(path.Dir(name), is.Target)
		}
	}
	return name, nil
}

// growSlack is how much room at the end of a device is not worth growing for, and may not even be usable: ext4 leaves a last
// group of blocks that would hold no more than its own tables, up to 12 MiB, and xfs a last group of less than 64 blocks.
func growSlack(size int64) int64 { return min(16<<20, size/64) }

// planGrow plans to extend a file system to the end of its device, or to what that will be.
func planGrow(ctx context.Context, h *host.Host, field string, is deviceContent, now superblock.Signature, p *resource.Plan) error {
	// A mounted xfs writes its super block late; the kernel knows.
	size := now.Size
	if now.Type == "xfs" && is.mounted != "" {
		u, err := h.Mounts.Usage(ctx, is.mounted)
		if err != nil {
			return err
		}
		size = int64(u.Bytes) + now.Log
	}
	if size == 0 {
		return fmt.Errorf("%s does not say how large its %s is", is.device, now.Type)
	}
	if is.size-size <= growSlack(size) {
		return nil
	}
	t := toolsOf(now.Type)
	steps := t.grow(is.device, is.mounted, now.Part)
	if steps == nil {
		return fault.WithHint(fmt.Errorf("%s cannot grow while it is not mounted", is.device), now.Type+" grows while it is mounted; let a mount come first")
	}
	p.Do(func(ctx context.Context) error { return runResize(ctx, h, t.pkg, steps) }, change.Of(field, sizeText(size), sizeText(is.size)))
	return nil
}

// runResize runs the programs that resize a file system. A check may have repaired something: status 1.
func runResize(ctx context.Context, h *host.Host, pkg string, steps [][]string) error {
	for _, argv := range steps {
		if argv[0] != "e2fsck" {
			if err := runTool(ctx, h, pkg, argv); err != nil {
				return err
			}
			continue
		}
		res, err := h.Run.Run(ctx, host.Command{Argv: argv})
		if err != nil {
			return err
		}
		if !slices.Contains([]int{0, 1}, res.Code) {
			return fault.WithHint(fmt.Errorf("e2fsck ended with status %d%s", res.Code, lastWords(append(res.Stdout, res.Stderr...))),
				"the file system is damaged; it was not changed")
		}
	}
	return nil
}

// volumeAt are the logical volume and its group that a device may be: /dev/GROUP/NAME.
func volumeAt(device string) []resource.ID {
	parts := strings.Split(device, "/")
	if len(parts) != 4 || parts[1] != "dev" || parts[2] == "disk" || parts[2] == "mapper" {
		return nil
	}
	return []resource.ID{{Type: "volume", Name: parts[2] + "/" + parts[3]}}
}
