package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Swap is swap space: a file, which is made with mode 0600 if it is not there, or a block device, which is only used and never
// formatted unless format says so. A device that holds anything but swap space is refused. It is used now and, by its line in
// /etc/fstab, at boot.
//
//	resources:
//	  - swap: /swapfile
//	    size: 2G
//	    priority: 10
type Swap struct {
	// Path of the file or device.
	Path string `vigo:"identity"`

	// Ensure says what should be: present (the default), or absent (not used now, nor at boot; the file is removed, a
	// device is left as it is).
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Size of the file, in K, M, G or T (of 1024). A file of another size is taken out of use, and made anew.
	Size string `yaml:"size"`

	// Priority from 0 to 32767: swap space of a higher one is used first. The kernel chooses if it is not given.
	Priority *int `yaml:"priority"`

	// Format makes swap space of a device that holds nothing.
	Format bool `yaml:"format"`

	// Options of the line in /etc/fstab and of swapon(8), such as nofail (a device that is not there is no fault at boot) or
	// discard.
	Options []string `yaml:"options"`
}

var _ resource.Validator = (*Swap)(nil)

// Validate implements [resource.Validator].
func (s *Swap) Validate() error {
	if err := checkPath(s.Path); err != nil {
		return err
	}
	device := strings.HasPrefix(s.Path, "/dev/")
	switch {
	case s.Ensure == "absent" && (s.Size != "" || s.Priority != nil || s.Format || s.Options != nil):
		return errors.New("what is to be absent has no size, priority, format or options")
	case s.Ensure == "absent":
		return nil
	case device && s.Size != "":
		return errors.New("size is for a file; a device has its own")
	case !device && s.Size == "":
		return errors.New(`a file needs the key "size"`)
	case !device && s.Format:
		return errors.New("format is for a device; a file is made when it is not there")
	case s.Priority != nil && (*s.Priority < 0 || *s.Priority > 32767):
		return fmt.Errorf("priority: %d is not between 0 and 32767", *s.Priority)
	}
	for _, o := range s.Options {
		if o == "" || strings.ContainsAny(o, ", \t\n") || strings.HasPrefix(o, "pri=") {
			return fault.WithHint(fmt.Errorf("options: %q is not one option", o), "the key priority is for pri=")
		}
	}
	if _, err := sizeBytes("size", s.Size); s.Size != "" && err != nil {
		return err
	}
	return nil
}

// Requires implements [resource.Requirer].
func (s *Swap) Requires() []resource.ID {
	return append(append(above(s.Path), resource.ID{Type: "filesystem", Name: s.Path}), volumeAt(s.Path)...)
}

// usedSwap is a line of /proc/swaps.
type usedSwap struct{ priority int }

// used finds the space among what is used now; nil if it is not. live is false where no kernel tells.
func (s *Swap) used(h *host.Host) (is *usedSwap, live bool, err error) {
	table, err := h.FS.Read("/proc/swaps", 1<<20)
	if errors.Is(err, host.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	// The kernel calls a volume of LVM by its number, /dev/dm-1.
	want, err := finalName(h, s.Path)
	if err != nil {
		return nil, true, err
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) != 5 || fstabUnescape(f[0]) != s.Path && fstabUnescape(f[0]) != want {
			continue
		}
		priority, err := strconv.Atoi(f[4])
		if err != nil {
			return nil, true, fmt.Errorf("reading /proc/swaps: %q is not a priority", f[4])
		}
		return &usedSwap{priority}, true, nil
	}
	return nil, true, nil
}

// Plan implements [resource.Resource].
func (s *Swap) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	used, live, err := s.used(h)
	if err != nil {
		return p, err
	}
	is, err := look(h, s.Path)
	if err != nil {
		return p, err
	}
	off := func(ctx context.Context) error { return runProgram(ctx, h, "swapoff", s.Path) }
	if s.Ensure == "absent" {
		if used != nil {
			p.Do(off, change.Of("used", true, false))
		}
		if err := s.planLine(h, &p); err != nil {
			return resource.Plan{}, err
		}
		if is != nil && is.Kind == host.File {
			p.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, s.Path, false) }, change.Of("ensure", is.Kind, change.Absent))
		}
		return p, nil
	}
	if err := s.planSpace(ctx, h, is, used, &p); err != nil {
		return resource.Plan{}, err
	}
	if err := s.planLine(h, &p); err != nil {
		return resource.Plan{}, err
	}
	if !live {
		return p, nil
	}
	argv := []string{"swapon"}
	if s.Priority != nil {
		argv = append(argv, "--priority", strconv.Itoa(*s.Priority))
	}
	if len(s.Options) > 0 {
		argv = append(argv, "-o", strings.Join(s.Options, ","))
	}
	argv = append(argv, s.Path)
	on := func(ctx context.Context) error { return runProgram(ctx, h, argv...) }
	switch {
	case used == nil || is != nil && is.Kind == host.File && s.resized(*is):
		p.Do(on, change.Of("used", false, true))
	case s.Priority != nil && used.priority != *s.Priority:
		p.Do(func(ctx context.Context) error { return errors.Join(off(ctx), on(ctx)) }, change.Of("priority", used.priority, *s.Priority))
	}
	return p, nil
}

func (s *Swap) resized(is host.Info) bool {
	size, err := sizeBytes("size", s.Size)
	return err == nil && is.Size != size
}

// planSpace plans the file, or that a device is swap space.
func (s *Swap) planSpace(ctx context.Context, h *host.Host, is *host.Info, used *usedSwap, p *resource.Plan) error {
	run := func(argv ...string) func(context.Context) error {
		return func(ctx context.Context) error { return runProgram(ctx, h, argv...) }
	}
	if strings.HasPrefix(s.Path, "/dev/") {
		if is == nil {
			return fmt.Errorf("device %s: %w", s.Path, host.ErrNotFound)
		}
		if used != nil {
			return nil
		}
		return s.planDevice(ctx, h, p)
	}
	from := change.Absent
	if is != nil {
		if is.Kind != host.File {
			return fault.WithHint(fmt.Errorf("%s is a %s, not a file", s.Path, is.Kind), "move it away by hand, or name another path")
		}
		if !s.resized(*is) {
			s.planMode(h, *is, p)
			return nil
		}
		if used == nil {
			// Nothing says that this is swap space and not somebody's data.
			return fault.WithHint(fmt.Errorf("%s is there with %d bytes, and is not used as swap", s.Path, is.Size), "move it away by hand")
		}
		from = strconv.FormatInt(is.Size, 10) + " bytes"
		p.Do(run("swapoff", s.Path), change.Of("used", true, false))
	}
	p.Do(func(ctx context.Context) error { return s.make(ctx, h) }, change.Of("size", from, s.Size))
	return nil
}

// planDevice plans that a device holds swap space.
func (s *Swap) planDevice(ctx context.Context, h *host.Host, p *resource.Plan) error {
	is, err := readDevice(ctx, h, s.Path)
	switch {
	case err != nil:
		return err
	case len(is.holds) == 1 && is.one("swap") != nil:
		return nil
	case len(is.holds) > 0:
		return fault.WithHint(fmt.Errorf("%s holds %s", s.Path, is), "if all of that may be lost, wipe it by hand (wipefs --all)")
	case !s.Format:
		return fault.WithHint(fmt.Errorf("swap space on %s: %w", s.Path, host.ErrNotFound), "declare format: true to have it made")
	}
	p.Do(func(ctx context.Context) error {
		if err := is.unchanged(ctx, h); err != nil {
			return err
		}
		return runProgram(ctx, h, "mkswap", s.Path)
	}, change.Of("format", change.Absent, "swap"))
	return nil
}

// planMode keeps others from reading what was swapped out.
func (s *Swap) planMode(h *host.Host, is host.Info, p *resource.Plan) {
	perm := fs.FileMode(0o600)
	want := host.Attr{Mode: &perm}
	if is.Mode != perm {
		p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, s.Path, want) }, change.Of("mode", resource.FormatMode(is.Mode), "0600"))
	}
}

// make writes the file under another name first, so that a file of the right size is always whole. Swap files must have no
// holes, so dd writes every byte.
func (s *Swap) make(ctx context.Context, h *host.Host) error {
	size, err := sizeBytes("size", s.Size)
	if err != nil {
		return err
	}
	perm := fs.FileMode(0o600)
	candidate := path.Join(path.Dir(s.Path), "."+path.Base(s.Path)+".vigo")
	if err := h.FS.Write(ctx, candidate, strings.NewReader(""), host.WriteOptions{Attr: host.Attr{Mode: &perm}}); err != nil {
		return err
	}
	steps := [][]string{
		{"dd", "if=/dev/zero", "of=" + candidate, "bs=1024", "count=" + strconv.FormatInt(size/1024, 10), "conv=fsync,notrunc", "status=none"},
		{"mkswap", candidate},
		{"mv", "-T", candidate, s.Path},
	}
	for _, argv := range steps {
		if err := runProgram(ctx, h, argv...); err != nil {
			return errors.Join(err, h.FS.Remove(context.WithoutCancel(ctx), candidate, false))
		}
	}
	return nil
}

// planLine plans the line in /etc/fstab. Swap space has no path there, so it is found by its device.
func (s *Swap) planLine(h *host.Host, p *resource.Plan) error {
	var want *fstabEntry
	if s.Ensure != "absent" {
		opts := "sw"
		if s.Priority != nil {
			opts += ",pri=" + strconv.Itoa(*s.Priority)
		}
		if len(s.Options) > 0 {
			opts += "," + strings.Join(s.Options, ",")
		}
		want = &fstabEntry{device: s.Path, path: "none", fsType: "swap", opts: opts, dump: "0", pass: "0"}
	}
	plan, err := textEdit{Path: "/etc/fstab", Create: true, Edit: func(lines []string) ([]string, error) {
		out, done := make([]string, 0, len(lines)+1), want == nil
		for _, l := range lines {
			e := parseFstabLine(l)
			switch {
			case e == nil || e.fsType != "swap" || e.device != s.Path:
				out = append(out, l)
			case !done && *e == *want:
				out, done = append(out, l), true
			case !done:
				out, done = append(out, want.String()), true
			}
		}
		if !done {
			out = append(out, want.String())
		}
		return out, nil
	}}.plan(h)
	p.Include("fstab", plan)
	return err
}
