package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// A volumeSize is how large a volume should be, in one of these.
type volumeSize struct {
	bytes   int64
	extents int64
	percent int64
	free    bool // of what is free in the group, not of all of it
}

var (
	percentSize = regexp.MustCompile(`^([1-9][0-9]?|100)%(VG|FREE)$`)
	extentsSize = regexp.MustCompile(`^([1-9][0-9]{0,9}) extents?$`)
)

func parseVolumeSize(text string) (volumeSize, error) {
	if m := percentSize.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		return volumeSize{percent: n, free: m[2] == "FREE"}, err
	}
	if m := extentsSize.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		return volumeSize{extents: n}, err
	}
	n, err := sizeBytes("size", text)
	if err != nil {
		return volumeSize{}, fmt.Errorf("size: %q is not a size such as 512M, 2G, 50%%VG, 100%%FREE or \"256 extents\"", text)
	}
	return volumeSize{bytes: n}, nil
}

// extents is the declared size in extents, for a volume that has some already (0: it is not there).
func (v *Volume) extents(in host.VolumeGroup, has int64) (int64, error) {
	if in.ExtentSize <= 0 {
		return 0, fmt.Errorf("the volume group %s has extents of %d bytes", in.Name, in.ExtentSize)
	}
	s, err := parseVolumeSize(v.Size)
	if err != nil {
		return 0, err
	}
	n := s.extents
	switch {
	case s.bytes > 0:
		n = (s.bytes-1)/in.ExtentSize + 1
	case s.free && has > 0 && s.percent < 100:
		n = has // what was free when it was made is not known any more
	case s.free && has > 0:
		n = has + in.Free
	case s.free:
		n = in.Free * s.percent / 100
	case s.percent > 0:
		n = in.Extents * s.percent / 100
	}
	if n == 0 {
		return 0, fmt.Errorf("%s of the volume group %s is less than an extent (%s)", v.Size, in.Name, sizeText(in.ExtentSize))
	}
	return n, nil
}

// fits says whether so many more extents are free.
func (v *Volume) fits(in host.VolumeGroup, more int64) error {
	if more <= in.Free {
		return nil
	}
	return fault.WithHint(fmt.Errorf("%s needs %s more than it has, and %s are free in the volume group %s", v.Name,
		sizeText(more*in.ExtentSize), sizeText(in.Free*in.ExtentSize), in.Name), "add a device to the group")
}

// planSize plans to extend or to shrink the volume, and what is on it.
func (v *Volume) planSize(ctx context.Context, h *host.Host, in host.VolumeGroup, is host.LogicalVolume, p *resource.Plan) error {
	has := is.Size / max(in.ExtentSize, 1)
	want, err := v.extents(in, has)
	if err != nil {
		return err
	}
	if want < has && !v.Shrink {
		want = has
	}
	holds, err := readDevice(ctx, h, v.device())
	if errors.Is(err, host.ErrNotFound) {
		holds, err = deviceContent{device: v.device(), size: -1}, nil // not active, or not to be looked into
	}
	if err != nil {
		return err
	}
	bytes := want * in.ExtentSize
	resized := change.Of("size", sizeText(is.Size), sizeText(bytes))
	switch {
	case want < has:
		return v.planShrink(h, holds, want, bytes, resized, p)
	case want > has:
		if is.Pool == "" {
			if err := v.fits(in, want-has); err != nil {
				return err
			}
		}
		argv := append([]string{"lvextend", "--yes", "--extents", fmt.Sprint(want), v.Name}, v.Devices...)
		p.Do(v.run(h, argv...), resized)
	}
	if v.GrowFilesystem != nil && !*v.GrowFilesystem || len(holds.holds) != 1 || is.Origin != "" {
		return nil
	}
	now, t := holds.holds[0], toolsOf(holds.holds[0].Type)
	if !knownFilesystem(now.Type) || t.grow == nil || t.grow(holds.device, holds.mounted, now.Part) == nil {
		return nil
	}
	holds.size = bytes
	return planGrow(ctx, h, "filesystem", holds, now, p)
}

// knownFilesystem says whether a type is one that has tools here.
func knownFilesystem(typ string) bool {
	return strings.Contains(" ext2 ext3 ext4 xfs btrfs vfat swap ", " "+typ+" ")
}

// planShrink plans to make the file system smaller, and then the volume: the other way round loses the end of it.
func (v *Volume) planShrink(h *host.Host, holds deviceContent, want, bytes int64, resized change.Change, p *resource.Plan) error {
	reduce := v.run(h, "lvreduce", "--yes", "--extents", fmt.Sprint(want), v.Name)
	switch {
	case holds.size < 0:
		return fmt.Errorf("%s has no device, so nobody knows what shrinking it would cut off", v.Name)
	case holds.mounted != "":
		return fmt.Errorf("%s cannot shrink while it is mounted at %s: %w", v.Name, holds.mounted, host.ErrBusy)
	case len(holds.holds) == 0:
		p.Do(reduce, resized)
		return nil
	case len(holds.holds) > 1 || !strings.HasPrefix(holds.holds[0].Type, "ext"):
		return fmt.Errorf("%s holds %s, which cannot shrink", v.Name, holds)
	}
	return v.planShrinkExt(h, holds, bytes, reduce, resized, p)
}

// planShrinkExt plans for ext2, ext3 and ext4, which may be smaller than the volume already.
func (v *Volume) planShrinkExt(h *host.Host, holds deviceContent, bytes int64, reduce func(context.Context) error, resized change.Change, p *resource.Plan) error {
	now, device := holds.holds[0], v.device()
	if now.Size == 0 {
		return fmt.Errorf("%s does not say how large its %s is", device, now.Type)
	}
	if now.Size <= bytes {
		p.Do(reduce, resized)
		return nil
	}
	steps := [][]string{{"e2fsck", "-f", "-p", device}, {"resize2fs", device, fmt.Sprintf("%dK", bytes/1024)}}
	p.Do(func(ctx context.Context) error {
		if err := holds.unchanged(ctx, h); err != nil {
			return err
		}
		if err := runResize(ctx, h, "e2fsprogs", steps); err != nil {
			return err
		}
		return reduce(ctx)
	}, change.Of("filesystem", sizeText(now.Size), sizeText(bytes)), resized)
	return nil
}
