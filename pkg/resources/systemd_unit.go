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

// unitFolder holds the units of the administrator.
const unitFolder = "/etc/systemd/system"

// SystemdUnit is a unit file of systemd, in /etc/systemd/system, and whether the unit runs and starts at boot. A new unit
// is checked by systemd-analyze before it takes the place of the old one, where that program is there. systemd reads its
// unit files again once a run, however many have changed.
//
// A unit that runs goes on with its old settings when its file changes, until it is restarted: let the unit notify itself
// from another resource, or declare a service of the same name that it notifies.
//
//	resources:
//	  - systemd_unit: sensor.service
//	    content: |
//	      [Unit]
//	      Description=Sensor
//	      [Service]
//	      ExecStart=/usr/local/bin/sensor
//	      [Install]
//	      WantedBy=multi-user.target
//	    enabled: true
//	    running: true
type SystemdUnit struct {
	// Name of the unit with its suffix, such as sensor.service, data.mount or worker@.service.
	Name string `vigo:"identity"`

	// Ensure says whether the unit should be there. Absent stops it, takes it out of the boot and removes its file.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Content is the unit file.
	Content *string `yaml:"content"`

	// Template is a file below templates/ of the module, whose rendering for the node is the unit file.
	Template string `yaml:"template"`

	// Source is a file below files/ of the module that is the unit file.
	Source string `yaml:"source"`

	// Running says whether the unit should run now. If unset, that is left alone.
	Running *bool `yaml:"running"`

	// Enabled says whether the unit starts at boot. If unset, that is left alone.
	Enabled *bool `yaml:"enabled"`

	// Verify says whether systemd-analyze must find nothing wrong with the unit; true by default.
	Verify *bool `yaml:"verify"`

	file *File
}

var (
	_ resource.Validator = (*SystemdUnit)(nil)
	_ resource.Binder    = (*SystemdUnit)(nil)
	_ resource.Refresher = (*SystemdUnit)(nil)
	_ resource.Finisher  = (*SystemdUnit)(nil)
)

// Validate implements [resource.Validator].
func (u *SystemdUnit) Validate() error {
	if err := checkUnitName(u.Name); err != nil {
		return err
	}
	given := u.Content != nil || u.Template != "" || u.Source != ""
	switch {
	case u.Ensure == "absent" && (given || isTrue(u.Running) || isTrue(u.Enabled)):
		return errors.New("a unit that is to be absent has no content and does not run")
	case u.Ensure != "absent" && !given:
		return errors.New(`needs the key "content", "template" or "source"`)
	case strings.Contains(u.Name, "@.") && (u.Running != nil || u.Enabled != nil):
		return fault.WithHint(errors.New("a template of units does not run itself"), "declare a service for each instance")
	}
	return u.unitFile().Validate()
}

// checkUnitName says what is wrong with the name of a unit.
func checkUnitName(name string) error {
	suffixes := []string{".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".swap", ".slice"}
	if !slices.Contains(suffixes, path.Ext(name)) || strings.Trim(name, ".") != name {
		return fault.WithHint(fmt.Errorf("%q is not the name of a unit", name), "it ends in one of "+strings.Join(suffixes, " "))
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`:-_.\@`, r)) {
			return fmt.Errorf("%q is not the name of a unit", name)
		}
	}
	return nil
}

// unitFile is the file, made once so that it keeps what it was bound to.
func (u *SystemdUnit) unitFile() *File {
	if u.file == nil {
		f := &File{Path: path.Join(unitFolder, u.Name), Ensure: u.Ensure, Content: u.Content, Template: u.Template, Source: u.Source}
		if u.Ensure != "absent" {
			f.Mode, f.Owner, f.Group, f.owned = &resource.Mode{Perm: 0o644}, "0", "0", true
		}
		u.file = f
	}
	return u.file
}

// Bind implements [resource.Binder].
func (u *SystemdUnit) Bind(c resource.Content) error { return u.unitFile().Bind(c) }

// Plan implements [resource.Resource].
func (u *SystemdUnit) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := u.unitFile()
	if u.Verify == nil || *u.Verify {
		f.check = verifyUnit(h, u.Name)
	} else {
		f.check = nil
	}
	if u.Ensure == "absent" {
		return unitFileGone(ctx, h, u.Name, f)
	}
	p, err := unitFilePlan(ctx, h, u.Name, f)
	if err != nil {
		return p, err
	}
	state, err := unitState(ctx, h, u.Name, u.Running, u.Enabled)
	if err != nil {
		return resource.Plan{}, err
	}
	p.Include("", state)
	return p, nil
}

// unitFilePlan plans a file that belongs to a unit, and that systemd has read it.
func unitFilePlan(ctx context.Context, h *host.Host, unit string, f *File) (resource.Plan, error) {
	if err := needSystemd(h); err != nil {
		return resource.Plan{}, fmt.Errorf("planning unit %s: %w", unit, err)
	}
	p, err := f.Plan(ctx, h)
	if err != nil || !p.Empty() {
		return owing(h, p), err
	}
	if strings.Contains(unit, "@.") {
		return p, nil // systemd reads a template for its instances only
	}
	stale, err := h.Units.Stale(ctx, unit)
	if err != nil || !stale {
		return p, err
	}
	p.Do(func(context.Context) error { h.Units.Owe(); return nil }, change.Of("loaded", "an older version", "as the files are"))
	return p, nil
}

// needSystemd is an error on a machine that is known to have another init system: what is written for systemd would do nothing.
func needSystemd(h *host.Host) error {
	is, err := host.FindInit(h.FS)
	if err != nil {
		return fmt.Errorf("looking for the init system: %w", err)
	}
	if is == "" || is == host.Systemd {
		return nil
	}
	err = fmt.Errorf("the init system of this machine is %s, not systemd: %w", is, errors.ErrUnsupported)
	return fault.WithHint(err, `declare it with when: os.init == "systemd"`)
}

// unitFileGone plans that a unit and its file go.
func unitFileGone(ctx context.Context, h *host.Host, unit string, f *File) (resource.Plan, error) {
	is, err := look(h, f.Path)
	if err != nil || is == nil {
		return resource.Plan{}, err
	}
	if is.Kind == host.Symlink && is.Target == "/dev/null" {
		return resource.Plan{}, fault.WithHint(fmt.Errorf("unit %s is masked", unit), "a service with masked: false takes the mask away")
	}
	var p resource.Plan
	if !strings.Contains(unit, "@.") {
		if p, err = unitGone(ctx, h, unit); err != nil {
			return p, err
		}
	}
	file, err := f.Plan(ctx, h)
	p.Include("", owing(h, file))
	return p, err
}

// owing makes a change of unit files owe a reload.
func owing(h *host.Host, p resource.Plan) resource.Plan {
	return p.Then(func(context.Context) error { h.Units.Owe(); return nil })
}

// Refresh implements [resource.Refresher]: a unit that runs is restarted.
func (u *SystemdUnit) Refresh(ctx context.Context, h *host.Host) error {
	if u.Ensure == "absent" || strings.Contains(u.Name, "@.") {
		return nil
	}
	return restartIfRunning(ctx, h, u.Name)
}

// Finish implements [resource.Finisher].
func (u *SystemdUnit) Finish(ctx context.Context, h *host.Host) error { return h.Units.Settle(ctx) }
