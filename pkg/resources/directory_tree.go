package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// treeEntry is something below a directory.
type treeEntry struct {
	path string
	info host.Info
}

// walk lists all that is below the directory and not ignored, a directory before what is in it.
func (d *Directory) walk(h *host.Host) ([]treeEntry, error) {
	var tree []treeEntry
	for queue := []string{d.Path}; len(queue) > 0; queue = queue[1:] {
		entries, err := h.FS.List(queue[0])
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", queue[0], err)
		}
		for _, info := range entries {
			name := path.Join(queue[0], info.Name)
			if d.ignores(name) {
				continue
			}
			if len(tree) == maxTree {
				return nil, fmt.Errorf("%s holds more than %d entries", d.Path, maxTree)
			}
			tree = append(tree, treeEntry{name, info})
			if info.Kind == host.Dir {
				queue = append(queue, name)
			}
		}
	}
	return tree, nil
}

func (d *Directory) ignores(name string) bool {
	for _, glob := range d.Ignore {
		byPath, errPath := path.Match(glob, d.below(name))
		byName, errName := path.Match(glob, path.Base(name))
		if byPath || byName || errPath != nil || errName != nil {
			return true
		}
	}
	return false
}

// declared returns the paths that purge keeps, with all the directories they are in.
func (d *Directory) declared() map[string]bool {
	keep := map[string]bool{}
	add := func(name string) {
		for ; strings.HasPrefix(name, d.Path+"/") && !keep[name]; name = path.Dir(name) {
			keep[name] = true
		}
	}
	for _, f := range d.files {
		add(f.Path)
	}
	for _, id := range d.catalog {
		add(id.Name)
	}
	return keep
}

// planPurge removes what is not declared and returns what goes. What is in a directory that goes is not listed: it goes
// with it. A directory that is kept for something ignored in it is not known here, so it is looked for.
func (d *Directory) planPurge(h *host.Host, p *resource.Plan, tree []treeEntry) (map[string]bool, error) {
	if !d.Purge {
		return nil, nil
	}
	if !d.aware {
		return nil, errors.New("purge needs to know what else the policy declares, and was not told")
	}
	keep := d.declared()
	if err := d.keepIgnored(h, tree, keep); err != nil {
		return nil, err
	}
	gone := map[string]bool{}
	var names []string
	for _, e := range tree {
		if gone[path.Dir(e.path)] {
			gone[e.path] = true
		} else if of, n := generation(e.path); !keep[e.path] && (n == 0 || !keep[of]) {
			gone[e.path] = true
			names = append(names, e.path)
		}
	}
	most := d.MaxPurge
	if most == 0 {
		most = defaultMaxPurge
	}
	if len(gone) > most {
		return nil, fault.WithHint(fmt.Errorf("%d entries of %s would be removed, more than the %d that are allowed", len(gone), d.Path, most),
			"raise max_purge if that is meant")
	}
	for _, name := range names {
		p.Do(func(ctx context.Context) error { return h.Below.RemoveBelow(ctx, d.Path, d.below(name), true) },
			change.Of(d.below(name), "present", change.Absent))
	}
	return gone, nil
}

// keepIgnored keeps the directories that hold something ignored.
func (d *Directory) keepIgnored(h *host.Host, tree []treeEntry, keep map[string]bool) error {
	if len(d.Ignore) == 0 {
		return nil
	}
	for _, e := range tree {
		if e.info.Kind != host.Dir || keep[e.path] {
			continue
		}
		entries, err := h.FS.List(e.path)
		if err != nil {
			return fmt.Errorf("listing %s: %w", e.path, err)
		}
		for _, info := range entries {
			if !d.ignores(path.Join(e.path, info.Name)) {
				continue
			}
			for name := e.path; name != d.Path && !keep[name]; name = path.Dir(name) {
				keep[name] = true
			}
		}
	}
	return nil
}

// planRecurse gives mode and owner to what is below. What comes from the source has them already.
func (d *Directory) planRecurse(ctx context.Context, h *host.Host, p *resource.Plan, tree []treeEntry, gone map[string]bool) error {
	if !d.Recurse {
		return nil
	}
	ours := map[string]bool{}
	for _, f := range d.files {
		for name := f.Path; name != d.Path; name = path.Dir(name) {
			ours[name] = true
		}
	}
	for _, e := range tree {
		if gone[e.path] || ours[e.path] {
			continue
		}
		a := d.attributes()
		switch e.info.Kind {
		case host.Dir:
		case host.File:
			a.Mode = d.FileMode
		default:
			a.Mode = nil // a link has none, and a device keeps its own
		}
		want, err := a.resolve(ctx, h)
		if err != nil {
			return err
		}
		changes := a.changes(ctx, h, e.info, want)
		if len(changes) == 0 {
			continue
		}
		for i := range changes {
			changes[i].Field = d.below(e.path) + " " + changes[i].Field
		}
		p.Do(func(ctx context.Context) error {
			return h.Below.SetAttrBelow(ctx, d.Path, d.below(e.path), e.info, want)
		}, changes...)
	}
	return nil
}
