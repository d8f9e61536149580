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

// Directory is a directory, and on demand all that is below it. Missing parents are made with mode 0755.
//
// With source, the files below files/<source> of the module are put into it. With purge, entries that neither the
// source nor any resource of the policy declares are removed. Symbolic links below it are never followed.
//
//	resources:
//	  - directory: /etc/nginx/conf.d
//	    source: conf.d
//	    file_mode: "0644"
//	    purge: true
//	    ignore: ["*.local"]
type Directory struct {
	// Path of the directory, absolute.
	Path string `vigo:"identity"`

	// Ensure says whether the directory should be there. Absent removes it if it is empty, or with force as a whole.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Mode of the directory, as a quoted octal string; a new one without it gets "0755".
	Mode *resource.Mode `yaml:"mode"`

	// Owner of the directory: the name of a user, or a number.
	Owner string `yaml:"owner"`

	// Group of the directory: the name of a group, or a number.
	Group string `yaml:"group"`

	// Source is a folder below files/ of the module whose files are put into the directory, with their folders.
	Source string `yaml:"source"`

	// Recurse gives owner and group to all that is below, mode to the directories and file_mode to the files.
	Recurse bool `yaml:"recurse"`

	// FileMode is the mode of files below, as a quoted octal string: of those from source, and with recurse of all.
	FileMode *resource.Mode `yaml:"file_mode"`

	// Purge removes what is in the directory and is declared nowhere in the policy.
	Purge bool `yaml:"purge"`

	// Ignore are glob patterns of entries that recurse and purge leave alone, against the path below the directory and
	// against the name.
	Ignore []string `yaml:"ignore"`

	// MaxPurge is the most entries that one run may remove; with more, nothing is removed and the resource fails. 100
	// if it is not given.
	MaxPurge int `yaml:"max_purge"`

	// Force allows absent to remove a directory that is not empty.
	Force bool `yaml:"force"`

	files   []*File
	catalog []resource.ID
	aware   bool
}

var (
	_ resource.Validator = (*Directory)(nil)
	_ resource.Requirer  = (*Directory)(nil)
	_ resource.Binder    = (*Directory)(nil)
	_ resource.Aware     = (*Directory)(nil)
)

// defaultMaxPurge guards against a mistaken purge; maxTree bounds what recurse and purge look at.
const (
	defaultMaxPurge = 100
	maxTree         = 200_000
)

// Validate implements [resource.Validator].
func (d *Directory) Validate() error {
	if err := checkPath(d.Path); err != nil {
		return err
	}
	for _, glob := range d.Ignore {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("ignore: %q is not a glob pattern", glob)
		}
	}
	switch {
	case d.Ensure == "absent" && (d.Source != "" || d.Purge || d.Recurse || d.Mode != nil):
		return errors.New("a directory that is to be absent has no source, purge, recurse or mode")
	case d.FileMode != nil && !d.Recurse && d.Source == "":
		return errors.New("file_mode means nothing without source or recurse")
	case d.MaxPurge < 0 || d.MaxPurge > 0 && !d.Purge:
		return errors.New("max_purge is a number of entries, and means nothing without purge")
	case d.Recurse && d.Mode == nil && d.FileMode == nil && d.Owner == "" && d.Group == "":
		return errors.New("recurse means nothing without mode, file_mode, owner or group")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (d *Directory) Requires() []resource.ID {
	if d.Ensure == "absent" {
		return nil
	}
	return d.attributes().requires(d.Path)
}

func (d *Directory) attributes() attributes { return attributes{d.Mode, d.Owner, d.Group} }

// Bind implements [resource.Binder].
func (d *Directory) Bind(c resource.Content) error {
	if d.Source == "" {
		return nil
	}
	names, err := c.List(d.Source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	for _, name := range names {
		f := &File{Path: path.Join(d.Path, name), Source: path.Join(d.Source, name), Mode: d.FileMode, Owner: d.Owner, Group: d.Group}
		if err := f.Bind(c); err != nil {
			return err
		}
		d.files = append(d.files, f)
	}
	return nil
}

// Aware implements [resource.Aware].
func (d *Directory) Aware(catalog []resource.ID) {
	d.aware = true
	if !d.Purge {
		return
	}
	for _, id := range catalog {
		if strings.HasPrefix(id.Name, d.Path+"/") {
			d.catalog = append(d.catalog, id)
		} else if id.Type == "cron" && d.Path == "/etc/cron.d" {
			d.catalog = append(d.catalog, resource.ID{Type: "file", Name: "/etc/cron.d/vigo-" + id.Name})
		}
	}
}

// Plan implements [resource.Resource].
func (d *Directory) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := look(h, d.Path)
	if err != nil {
		return p, err
	}
	if is != nil && is.Kind != host.Dir {
		return p, fault.WithHint(fmt.Errorf("%s is a %s, not a directory", d.Path, is.Kind), "move it away by hand, or name another path")
	}
	if d.Ensure == "absent" {
		return p, d.planAbsent(h, &p, is)
	}
	want, err := d.attributes().resolve(ctx, h)
	if err != nil {
		return p, err
	}
	if is == nil {
		changes := append([]change.Change{change.Of("ensure", change.Absent, "directory")}, d.attributes().created()...)
		p.Do(func(ctx context.Context) error { return h.FS.MakeDir(ctx, d.Path, want) }, changes...)
	} else if changes := d.attributes().changes(ctx, h, *is, want); len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, d.Path, want) }, changes...)
	}
	var tree []treeEntry
	if is != nil && (d.Purge || d.Recurse) {
		if tree, err = d.walk(h); err != nil {
			return p, err
		}
	}
	gone, err := d.planPurge(h, &p, tree)
	if err != nil {
		return p, err
	}
	if err := d.planSource(ctx, h, &p); err != nil {
		return p, err
	}
	return p, d.planRecurse(ctx, h, &p, tree, gone)
}

func (d *Directory) planAbsent(h *host.Host, p *resource.Plan, is *host.Info) error {
	if is == nil {
		return nil
	}
	entries, err := h.FS.List(d.Path)
	if err != nil {
		return fmt.Errorf("listing %s: %w", d.Path, err)
	}
	if len(entries) > 0 && !d.Force {
		return fault.WithHint(fmt.Errorf("%s is not empty: it holds %d entries", d.Path, len(entries)), "force: true removes them too")
	}
	p.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, d.Path, d.Force) }, change.Of("ensure", "directory", change.Absent))
	return nil
}

// planSource makes the folders and files of the source.
func (d *Directory) planSource(ctx context.Context, h *host.Host, p *resource.Plan) error {
	if d.Source != "" && d.files == nil {
		return errors.New("the source was not taken from the module") // Bind was not called
	}
	var made []string
	for _, f := range d.files {
		var dirs []string
		for dir := path.Dir(f.Path); dir != d.Path; dir = path.Dir(dir) {
			dirs = append(dirs, dir)
		}
		slices.Reverse(dirs) // parents first
		for _, dir := range dirs {
			if slices.Contains(made, dir) {
				continue
			}
			made = append(made, dir)
			sub, err := (&Directory{Path: dir, Mode: d.Mode, Owner: d.Owner, Group: d.Group}).Plan(ctx, h)
			if err != nil {
				return err
			}
			p.Include(d.below(dir), sub)
		}
		sub, err := f.Plan(ctx, h)
		if err != nil {
			return err
		}
		p.Include(d.below(f.Path), sub)
	}
	return nil
}

// below is a path as seen from the directory.
func (d *Directory) below(name string) string { return strings.TrimPrefix(name, d.Path+"/") }
