package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// KernelModule is a module of the kernel: loaded now and at boot, or kept out. What holds at boot is in files of its own:
// /etc/modules-load.d/vigo-<name>.conf and /etc/modprobe.d/vigo-<name>.conf. The early user space of the boot (initramfs) has
// copies of the latter; where that matters, let the resource notify an exec that makes it anew.
//
// A module that is built into the kernel counts as loaded, and cannot be kept out.
//
//	resources:
//	  - kernel_module: br_netfilter
//	  - kernel_module: usb-storage
//	    ensure: blacklisted
type KernelModule struct {
	// Name of the module; "-" and "_" are the same.
	Name string `vigo:"identity"`

	// Ensure says what should be: loaded (the default: now, and at boot), unloaded (not now, nor by this resource at
	// boot), blacklisted (not now, and never, not even by hand with modprobe), absent (what this resource keeps for the
	// boot goes; now is left alone).
	Ensure string `yaml:"ensure" vigo:"enum=loaded|unloaded|blacklisted|absent"`

	// Boot says whether a loaded module is loaded at boot too; true by default.
	Boot *bool `yaml:"boot"`

	// Options of the module, such as {nested: "1"}. They hold from the next time it is loaded.
	Options map[string]string `yaml:"options"`
}

var _ resource.Validator = (*KernelModule)(nil)

// Validate implements [resource.Validator].
func (m *KernelModule) Validate() error {
	if err := checkWord("the name of the module", m.Name); err != nil {
		return err
	}
	if m.Ensure != "" && m.Ensure != "loaded" && (m.Boot != nil || m.Options != nil) {
		return errors.New("boot and options are for a module that is to be loaded")
	}
	for key, value := range m.Options {
		if !cronVar.MatchString(key) || value == "" || strings.ContainsAny(value, " \t\n\"") {
			return fmt.Errorf("options: %s=%q is not an option of a module", key, value)
		}
	}
	return nil
}

func (m *KernelModule) underscored() string { return strings.ReplaceAll(m.Name, "-", "_") }

// Plan implements [resource.Resource].
func (m *KernelModule) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	atBoot, conf := gone("/etc/modules-load.d/vigo-"+m.Name+".conf"), gone("/etc/modprobe.d/vigo-"+m.Name+".conf")
	load := m.Ensure == "" || m.Ensure == "loaded"
	if load && (m.Boot == nil || *m.Boot) {
		atBoot = ownedFile(atBoot.Path, ownedMark+m.Name+"\n")
	}
	switch {
	case m.Ensure == "blacklisted":
		conf = ownedFile(conf.Path, ownedMark+"blacklist "+m.Name+"\ninstall "+m.Name+" /bin/false\n")
	case len(m.Options) > 0:
		words := strings.Fields(settingLines(m.Options, "="))
		conf = ownedFile(conf.Path, ownedMark+"options "+m.Name+" "+strings.Join(words, " ")+"\n")
	}
	for _, part := range []struct {
		field string
		file  *File
	}{{"options", conf}, {"boot", atBoot}} {
		plan, err := part.file.Plan(ctx, h)
		if err != nil {
			return resource.Plan{}, err
		}
		p.Include(part.field, plan)
	}
	if m.Ensure == "absent" {
		return p, nil
	}
	return p, m.planNow(h, load, &p)
}

// planNow plans what the running kernel has.
func (m *KernelModule) planNow(h *host.Host, load bool, p *resource.Plan) error {
	table, err := h.FS.Read("/proc/modules", 4<<20)
	if errors.Is(err, host.ErrNotFound) {
		return nil // no kernel of this machine's own
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		if name, _, _ := strings.Cut(line, " "); name != m.underscored() {
			continue
		}
		if !load {
			p.Do(func(ctx context.Context) error { return runProgram(ctx, h, "modprobe", "-r", m.Name) }, change.Of("loaded", true, false))
		}
		return nil
	}
	if !load {
		return nil
	}
	if builtIn, err := m.builtIn(h); err != nil || builtIn {
		return err
	}
	p.Do(func(ctx context.Context) error { return runProgram(ctx, h, "modprobe", m.Name) }, change.Of("loaded", false, true))
	return nil
}

// builtIn looks for the module in the kernel itself: its list, and what such a module shows of itself.
func (m *KernelModule) builtIn(h *host.Host) (bool, error) {
	release, err := h.FS.Read("/proc/sys/kernel/osrelease", 1<<10)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return false, err
	}
	list, err := h.FS.Read(path.Join("/lib/modules", strings.TrimSpace(string(release)), "modules.builtin"), 4<<20)
	if errors.Is(err, host.ErrNotFound) {
		is, err := look(h, "/sys/module/"+m.underscored())
		return is != nil, err
	}
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(list)) {
		name, _, _ := strings.Cut(path.Base(strings.TrimSpace(line)), ".ko")
		if strings.ReplaceAll(name, "-", "_") == m.underscored() {
			return true, nil
		}
	}
	return false, nil
}
