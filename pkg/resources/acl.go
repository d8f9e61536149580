package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// ACL gives users and groups access to a file or directory beyond its mode, by the POSIX access control list of the file.
//
// An entry is user:NAME:PERMISSIONS or group:NAME:PERMISSIONS; a number will do for the name. Permissions are of r, w and x,
// or X for x on directories alone, and - for none. The mask, which the mode shows as the permissions of the group, is what all
// entries and the group need together, unless an entry mask::PERMISSIONS says otherwise: so give a file resource of the same
// path the mode that comes of it, or none. The list is read and written by the kernel; no program is run.
//
//	resources:
//	  - acl: /srv/reports
//	    entries: ["user:backup:r-X", "group:finance:rwX"]
//	    default: ["group:finance:rwX"]
//	    recurse: true
type ACL struct {
	// Path of the file or directory, absolute. It must be there, and is not followed if it is a symbolic link.
	Path string `vigo:"identity"`

	// Entries that the list must have.
	Entries []string `yaml:"entries"`

	// Default are entries that new files in the directory get.
	Default []string `yaml:"default"`

	// Exact removes entries of users and groups that are not given. Without it they are left alone.
	Exact bool `yaml:"exact"`

	// Recurse does the same to all that is below the directory; default only to directories.
	Recurse bool `yaml:"recurse"`

	// Ensure says whether there should be such a list. Absent removes the given entries, whatever their permissions, or
	// without entries and default both lists as a whole.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`
}

var (
	_ resource.Validator = (*ACL)(nil)
	_ resource.Requirer  = (*ACL)(nil)
)

// The extended attributes that Linux keeps the lists in.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// Validate implements [resource.Validator].
func (a *ACL) Validate() error {
	if err := checkPath(a.Path); err != nil {
		return err
	}
	_, errEntries := parseACL(a.Entries)
	_, errDefault := parseACL(a.Default)
	switch {
	case errEntries != nil:
		return fmt.Errorf("entries: %w", errEntries)
	case errDefault != nil:
		return fmt.Errorf("default: %w", errDefault)
	case a.Ensure != "absent" && len(a.Entries)+len(a.Default) == 0 && !a.Exact:
		return errors.New("needs entries or default")
	case a.Ensure == "absent" && a.Exact:
		return errors.New("exact means nothing with ensure: absent")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (a *ACL) Requires() []resource.ID {
	ids := append(above(a.Path), resource.ID{Type: "file", Name: a.Path}, resource.ID{Type: "directory", Name: a.Path},
		resource.ID{Type: "download", Name: a.Path})
	for _, list := range [][]string{a.Entries, a.Default} {
		entries, err := parseACL(list)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.tag != aclMask {
				ids = append(ids, resource.ID{Type: e.kind(), Name: e.name})
			}
		}
	}
	return ids
}

// Plan implements [resource.Resource].
func (a *ACL) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := look(h, a.Path)
	if err != nil {
		return p, err
	}
	if is == nil && a.Ensure == "absent" {
		return p, nil
	}
	if is == nil || is.Kind == host.Symlink {
		return p, fmt.Errorf("%s: %w: an access list needs a file or directory", a.Path, host.ErrNotFound)
	}
	if len(a.Default) > 0 && is.Kind != host.Dir {
		return p, fmt.Errorf("%s is a %s: only a directory has default entries", a.Path, is.Kind)
	}
	tree := []treeEntry{{a.Path, *is}}
	if a.Recurse && is.Kind == host.Dir {
		below, err := (&Directory{Path: a.Path}).walk(h)
		if err != nil {
			return p, err
		}
		tree = append(tree, below...)
	}
	entries, errEntries := a.resolve(ctx, h, a.Entries)
	defaults, errDefault := a.resolve(ctx, h, a.Default)
	if err := errors.Join(errEntries, errDefault); err != nil {
		return p, err
	}
	for _, e := range tree {
		if e.info.Kind != host.File && e.info.Kind != host.Dir {
			continue
		}
		if err := a.planList(ctx, h, &p, e, accessACL, entries); err != nil {
			return p, err
		}
		if e.info.Kind == host.Dir {
			if err := a.planList(ctx, h, &p, e, defaultACL, defaults); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// resolve turns names into numbers.
func (a *ACL) resolve(ctx context.Context, h *host.Host, texts []string) ([]aclEntry, error) {
	entries, err := parseACL(texts)
	for n, e := range entries {
		attrs := attributes{}
		switch e.tag {
		case aclUser:
			attrs.Owner = e.name
		case aclGroup:
			attrs.Group = e.name
		default:
			continue
		}
		want, errOne := attrs.resolve(ctx, h)
		switch {
		case errOne != nil:
			err = errors.Join(err, errOne)
		case want.UID != nil:
			entries[n].id = uint32(*want.UID)
		default:
			entries[n].id = uint32(*want.GID)
		}
	}
	return entries, err
}

// planList brings one list of one file into line.
func (a *ACL) planList(ctx context.Context, h *host.Host, p *resource.Plan, file treeEntry, attr string, want []aclEntry) error {
	raw, err := h.Extended.Xattr(file.path, attr)
	var old []aclEntry
	switch {
	case errors.Is(err, host.ErrNotFound), a.Ensure == "absent" && errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		return err
	default:
		if old, err = decodeACL(raw); err != nil {
			return fmt.Errorf("%s: %w", file.path, err)
		}
	}
	listed := a.Entries
	if attr == defaultACL {
		listed = a.Default
	}
	if len(listed) == 0 && !a.Exact && !(a.Ensure == "absent" && len(a.Entries)+len(a.Default) == 0) {
		return nil // this list is not declared
	}
	if len(old) == 0 && (a.Ensure == "absent" || len(want) == 0) {
		return nil
	}
	base := old
	if len(base) == 0 {
		base = aclOfMode(file.info.Mode)
	}
	fresh := a.apply(base, want, file.info)
	changes := aclChanges(ctx, h, base, fresh)
	if len(changes) == 0 {
		return nil
	}
	what := strings.TrimPrefix(strings.TrimPrefix(file.path, a.Path), "/")
	for i := range changes {
		if attr == defaultACL {
			changes[i].Field = "default:" + changes[i].Field
		}
		changes[i].Field = strings.TrimSpace(what + " " + changes[i].Field)
	}
	value := encodeACL(fresh)
	if attr == defaultACL && isPlainACL(fresh) {
		value = nil // a default of nothing but the mode is no default
	}
	p.Do(func(ctx context.Context) error {
		if file.path == a.Path {
			return h.Extended.SetXattr(ctx, file.path, attr, value)
		}
		return h.Below.SetXattrBelow(ctx, a.Path, strings.TrimPrefix(file.path, a.Path+"/"), file.info, attr, value)
	}, changes...)
	return nil
}

// apply returns the list as it should be.
func (a *ACL) apply(base, want []aclEntry, info host.Info) []aclEntry {
	named := func(e aclEntry) bool { return e.tag == aclUser || e.tag == aclGroup || e.tag == aclMask }
	fresh := slices.Clone(base)
	switch {
	case a.Ensure == "absent" && len(want) == 0:
		return slices.DeleteFunc(fresh, named)
	case a.Ensure == "absent":
		fresh = slices.DeleteFunc(fresh, func(e aclEntry) bool {
			return slices.ContainsFunc(want, func(w aclEntry) bool { return w.tag == e.tag && w.id == e.id })
		})
	case a.Exact:
		fresh = slices.DeleteFunc(fresh, named)
	}
	if a.Ensure != "absent" {
		for _, w := range want {
			if w.bigX && info.Kind == host.Dir {
				w.perm |= 1
			}
			fresh = append(slices.DeleteFunc(fresh, func(e aclEntry) bool { return e.tag == w.tag && e.id == w.id }), w)
		}
	}
	masked := a.Ensure != "absent" && slices.ContainsFunc(want, func(e aclEntry) bool { return e.tag == aclMask })
	return withMask(fresh, masked)
}

// aclChanges describes what differs between two lists, entry by entry.
func aclChanges(ctx context.Context, h *host.Host, old, fresh []aclEntry) []change.Change {
	var changes []change.Change
	for _, e := range fresh {
		n := slices.IndexFunc(old, func(o aclEntry) bool { return o.tag == e.tag && o.id == e.id })
		switch {
		case n < 0:
			changes = append(changes, change.Of(e.title(ctx, h), change.Absent, aclPerm(e.perm)))
		case old[n].perm != e.perm:
			changes = append(changes, change.Of(e.title(ctx, h), aclPerm(old[n].perm), aclPerm(e.perm)))
		}
	}
	for _, o := range old {
		if !slices.ContainsFunc(fresh, func(e aclEntry) bool { return o.tag == e.tag && o.id == e.id }) {
			changes = append(changes, change.Of(o.title(ctx, h), aclPerm(o.perm), change.Absent))
		}
	}
	return changes
}

// aclOfMode is the list that says the same as a mode.
func aclOfMode(mode fs.FileMode) []aclEntry {
	return []aclEntry{
		{tag: aclOwner, perm: uint16(mode >> 6 & 7), id: aclNobody},
		{tag: aclOwningGroup, perm: uint16(mode >> 3 & 7), id: aclNobody},
		{tag: aclOther, perm: uint16(mode & 7), id: aclNobody},
	}
}
