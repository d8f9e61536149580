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
)

// apparmorDir holds the profiles that are loaded at boot.
const apparmorDir = "/etc/apparmor.d"

// AppArmorProfile is a file of profiles in /etc/apparmor.d, whether the kernel enforces them, and that the kernel has them
// as the file says. New text is compiled with apparmor_parser(8) before it takes the place of the old. Without content the
// file is left as its package made it, and only the mode is managed.
//
// The mode is set as aa-disable(8) and the boot have it, by links in the folders disable and force-complain, so the text
// stays as declared. A program that runs already is confined once it is started anew: let the profile notify its service. A
// profile that is notified, by a file in /etc/apparmor.d/local for example, is loaded again.
//
// Whether the profiles are loaded, in which mode and with what, is read from the kernel in each run, without a child process.
// On a machine whose kernel has no AppArmor only the files are managed.
//
//	resources:
//	  - apparmor_profile: usr.local.bin.sensor
//	    source: sensor.profile
//	    mode: enforce
//	    notify: [service:sensor]
type AppArmorProfile struct {
	// Name of the file in /etc/apparmor.d.
	Name string `vigo:"identity"`

	// Ensure says whether the profiles should be there. Absent takes them out of the kernel, and removes the file and its links.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Content is the text of the profiles, as apparmor.d(5) has it.
	Content *string `yaml:"content"`

	// Template is a file below templates/ of the module, whose rendering for the node is the text.
	Template string `yaml:"template"`

	// Source is a file below files/ of the module that is the text.
	Source string `yaml:"source"`

	// Mode says whether what a profile does not allow is refused (enforce), only logged (complain), or the profiles are not
	// loaded at all (disable). If it is not given, it is left as the text and the links have it.
	Mode string `yaml:"mode" vigo:"enum=enforce|complain|disable"`

	file *File
}

var (
	_ resource.Validator = (*AppArmorProfile)(nil)
	_ resource.Requirer  = (*AppArmorProfile)(nil)
	_ resource.Binder    = (*AppArmorProfile)(nil)
	_ resource.Refresher = (*AppArmorProfile)(nil)
)

// Validate implements [resource.Validator].
func (a *AppArmorProfile) Validate() error {
	if err := checkWord("the name of the file", a.Name); err != nil {
		return err
	}
	if slices.Contains([]string{"abi", "abstractions", "cache", "disable", "force-complain", "local", "tunables"}, a.Name) {
		return fmt.Errorf("%q is a folder of AppArmor, not a profile", a.Name)
	}
	for _, end := range []string{".dpkg-new", ".dpkg-old", ".dpkg-dist", ".dpkg-bak", ".rpmnew", ".rpmsave", ".orig", ".rej"} {
		if strings.HasSuffix(a.Name, end) {
			return fmt.Errorf("AppArmor passes over files whose names end in %s", end)
		}
	}
	switch {
	case a.Ensure == "absent" && (a.given() || a.Mode != ""):
		return errors.New("a profile that is to be absent has no content and no mode")
	case a.Ensure != "absent" && !a.given() && a.Mode == "":
		return errors.New(`needs the key "content", "template", "source" or "mode"`)
	}
	return a.textFile().Validate()
}

func (a *AppArmorProfile) given() bool { return a.Content != nil || a.Template != "" || a.Source != "" }

func (a *AppArmorProfile) path() string { return path.Join(apparmorDir, a.Name) }

// textFile is the file, made once so that it keeps what it was bound to.
func (a *AppArmorProfile) textFile() *File {
	if a.file == nil {
		a.file = &File{Path: a.path(), Ensure: a.Ensure, Content: a.Content, Template: a.Template, Source: a.Source}
		if a.Ensure != "absent" {
			a.file.Mode, a.file.Owner, a.file.Group, a.file.owned = &resource.Mode{Perm: 0o644}, "0", "0", true
		}
	}
	return a.file
}

// Requires implements [resource.Requirer].
func (a *AppArmorProfile) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "apparmor"}, {Type: "package", Name: "apparmor-parser"}}
}

// Bind implements [resource.Binder].
func (a *AppArmorProfile) Bind(c resource.Content) error { return a.textFile().Bind(c) }

// Plan implements [resource.Resource].
func (a *AppArmorProfile) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	if a.Ensure == "absent" {
		return a.planAbsent(ctx, h)
	}
	var files resource.Plan
	if a.given() {
		text, err := a.planText(ctx, h)
		if err != nil {
			return text, err
		}
		files.Include("file", text)
	} else if is, err := look(h, a.path()); err != nil {
		return files, err
	} else if is == nil {
		return files, fault.WithHint(fmt.Errorf("finding %s: %w", a.path(), host.ErrNotFound), "give its content, or let it require the package that brings it")
	}
	if err := a.planLinks(h, &files); err != nil {
		return files, err
	}
	changes := files.Changes()
	if files.Empty() {
		var err error
		if changes, err = a.live(h); err != nil || len(changes) == 0 {
			return files, err
		}
	}
	var p resource.Plan
	p.Do(func(ctx context.Context) error {
		if _, err := files.Apply(ctx); err != nil {
			return err
		}
		return a.bring(ctx, h)
	}, changes...)
	return p, nil
}

// planText plans the file, checked by the compiler where the machine has it.
func (a *AppArmorProfile) planText(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := a.textFile()
	there, err := hasProgram(h, apparmorParser)
	if err != nil {
		return resource.Plan{}, err
	}
	if f.Validation = nil; there {
		// -Q leaves the kernel alone, -K the cache of compiled profiles.
		f.Validation = resource.Argv{apparmorParser, "-Q", "-K", "{}"}
	}
	return f.Plan(ctx, h)
}

func (a *AppArmorProfile) link(folder string) string { return path.Join(apparmorDir, folder, a.Name) }

// modeOnDisk is the mode that the links ask for; enforce if there are none.
func (a *AppArmorProfile) modeOnDisk(h *host.Host) (string, error) {
	for _, m := range []struct{ folder, mode string }{{"disable", "disable"}, {"force-complain", "complain"}} {
		is, err := look(h, a.link(m.folder))
		if err != nil {
			return "", err
		}
		if is != nil {
			return m.mode, nil
		}
	}
	return "enforce", nil
}

// planLinks plans the links that make the mode.
func (a *AppArmorProfile) planLinks(h *host.Host, p *resource.Plan) error {
	is, err := a.modeOnDisk(h)
	if err != nil || a.Mode == "" || is == a.Mode {
		return err
	}
	p.Do(func(ctx context.Context) error {
		if folder := map[string]string{"disable": "disable", "complain": "force-complain"}[a.Mode]; folder != "" {
			if err := h.FS.MakeDir(ctx, path.Join(apparmorDir, folder), host.Attr{}); err != nil {
				return err
			}
			if err := h.FS.Link(ctx, a.link(folder), a.path()); err != nil {
				return err
			}
		}
		if a.Mode != "disable" {
			if err := h.FS.Remove(ctx, a.link("disable"), false); err != nil {
				return err
			}
		}
		if a.Mode == "enforce" {
			return h.FS.Remove(ctx, a.link("force-complain"), false)
		}
		return nil
	}, change.Of("mode", is, a.Mode))
	return nil
}

// Refresh implements [resource.Refresher]: what the profile includes has changed.
func (a *AppArmorProfile) Refresh(ctx context.Context, h *host.Host) error {
	if a.Ensure == "absent" {
		return nil
	}
	return a.bring(ctx, h)
}

// planAbsent plans that neither the kernel nor the disk have the profiles.
func (a *AppArmorProfile) planAbsent(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var files, p resource.Plan
	for _, name := range []string{a.link("disable"), a.link("force-complain"), a.path()} {
		removed, err := gone(name).Plan(ctx, h)
		if err != nil {
			return p, err
		}
		prefix := ""
		if name != a.path() {
			prefix = path.Base(path.Dir(name))
		}
		files.Include(prefix, removed)
	}
	record, known, err := a.readRecord(h)
	if err != nil {
		return p, err
	}
	kernel, err := readAppArmor(h)
	if err != nil {
		return p, err
	}
	changes := files.Changes()
	if loaded := kernel.have(record.names()); len(loaded) > 0 {
		changes = append(changes, change.Of("loaded", strings.Join(loaded, ", "), change.Absent))
	}
	if len(changes) == 0 && known {
		changes = append(changes, change.Of("record", a.record(), change.Absent))
	}
	if len(changes) == 0 {
		return p, nil
	}
	p.Do(func(ctx context.Context) error {
		if err := a.unload(ctx, h, append(record.names(), a.declared(ctx, h)...)); err != nil {
			return err
		}
		if _, err := files.Apply(ctx); err != nil {
			return err
		}
		return h.FS.Remove(ctx, a.record(), false)
	}, changes...)
	return p, nil
}
