package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// SystemdDropIn adds to a unit of systemd, or overrides a part of it, by a file in the folder of its drop-ins:
// /etc/systemd/system/<unit>.d/<name>.conf. The unit of the package stays as it is. The unit is checked with its drop-in by
// systemd-analyze before the file takes the place of an old one, where that program is there. systemd reads its unit files
// again once a run. The unit runs on with its old settings until it is restarted: let the drop-in notify its service.
//
//	resources:
//	  - systemd_dropin: ssh.service/limits
//	    content: |
//	      [Service]
//	      LimitNOFILE=65536
//	    notify: [service:ssh]
type SystemdDropIn struct {
	// Name is the unit with its suffix, a slash, and the name of the drop-in: ssh.service/limits.
	Name string `vigo:"identity"`

	// Ensure says whether the drop-in should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Content is the drop-in.
	Content *string `yaml:"content"`

	// Template is a file below templates/ of the module, whose rendering for the node is the drop-in.
	Template string `yaml:"template"`

	// Verify says whether systemd-analyze must find nothing wrong with the unit; true by default.
	Verify *bool `yaml:"verify"`

	file *File
}

var (
	_ resource.Validator = (*SystemdDropIn)(nil)
	_ resource.Requirer  = (*SystemdDropIn)(nil)
	_ resource.Binder    = (*SystemdDropIn)(nil)
	_ resource.Finisher  = (*SystemdDropIn)(nil)
)

func (d *SystemdDropIn) unit() string { return path.Dir(d.Name) }

// Validate implements [resource.Validator].
func (d *SystemdDropIn) Validate() error {
	unit, name, ok := strings.Cut(d.Name, "/")
	if !ok {
		return fmt.Errorf("%q is not a unit, a slash and a name, such as ssh.service/limits", d.Name)
	}
	if err := errors.Join(checkUnitName(unit), checkWord("the name of the drop-in", name)); err != nil {
		return err
	}
	given := d.Content != nil || d.Template != ""
	switch {
	case strings.HasSuffix(name, ".conf"):
		return errors.New(`the name of the drop-in is without ".conf"`)
	case d.Ensure == "absent" && given:
		return errors.New("a drop-in that is to be absent has no content")
	case d.Ensure != "absent" && !given:
		return errors.New(`needs the key "content" or "template"`)
	}
	return d.dropIn().Validate()
}

func (d *SystemdDropIn) dropIn() *File {
	if d.file == nil {
		unit, name, _ := strings.Cut(d.Name, "/")
		f := &File{Path: path.Join(unitFolder, unit+".d", name+".conf"), Ensure: d.Ensure, Content: d.Content, Template: d.Template}
		if d.Ensure != "absent" {
			f.Mode, f.Owner, f.Group, f.owned = &resource.Mode{Perm: 0o644}, "0", "0", true
		}
		d.file = f
	}
	return d.file
}

// Bind implements [resource.Binder].
func (d *SystemdDropIn) Bind(c resource.Content) error { return d.dropIn().Bind(c) }

// Requires implements [resource.Requirer].
func (d *SystemdDropIn) Requires() []resource.ID {
	unit := d.unit()
	return []resource.ID{{Type: "systemd_unit", Name: unit}, {Type: "package", Name: strings.TrimSuffix(unit, ".service")}}
}

// Plan implements [resource.Resource].
func (d *SystemdDropIn) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f, unit := d.dropIn(), d.unit()
	f.check = nil
	if d.Verify == nil || *d.Verify {
		f.check = verifyUnit(h, strings.TrimPrefix(f.Path, unitFolder+"/"))
	}
	return unitFilePlan(ctx, h, unit, f)
}

// Finish implements [resource.Finisher].
func (d *SystemdDropIn) Finish(ctx context.Context, h *host.Host) error { return h.Units.Settle(ctx) }
