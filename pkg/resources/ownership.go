package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// attributes are the mode and owner a file or directory should have; what is empty is left alone.
type attributes struct {
	Mode         *resource.Mode
	Owner, Group string // names or numbers
}

// resolve turns names into numbers.
func (a attributes) resolve(ctx context.Context, h *host.Host) (host.Attr, error) {
	var want host.Attr
	if a.Mode != nil {
		perm := a.Mode.Perm
		want.Mode = &perm
	}
	if a.Owner != "" {
		uid, err := accountNumber(a.Owner, func() (int, error) {
			u, err := h.Accounts.User(ctx, a.Owner)
			return u.UID, err
		})
		if err != nil {
			return want, fmt.Errorf("finding owner %s: %w", a.Owner, hintUnknown(err, "user", a.Owner))
		}
		want.UID = &uid
	}
	if a.Group != "" {
		gid, err := accountNumber(a.Group, func() (int, error) {
			g, err := h.Accounts.Group(ctx, a.Group)
			return g.GID, err
		})
		if err != nil {
			return want, fmt.Errorf("finding group %s: %w", a.Group, hintUnknown(err, "group", a.Group))
		}
		want.GID = &gid
	}
	return want, nil
}

func hintUnknown(err error, kind, name string) error {
	if errors.Is(err, host.ErrNotFound) {
		return fault.WithHint(err, fmt.Sprintf("declare the %s %s in the policy, or use its number", kind, name))
	}
	return err
}

// accountNumber reads a number, or looks a name up.
func accountNumber(name string, look func() (int, error)) (int, error) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	return look()
}

// changes compares what is with what is wanted.
func (a attributes) changes(ctx context.Context, h *host.Host, is host.Info, want host.Attr) []change.Change {
	var cs []change.Change
	if want.Mode != nil && is.Mode != *want.Mode {
		cs = append(cs, change.Of("mode", resource.FormatMode(is.Mode), resource.FormatMode(*want.Mode)))
	}
	if want.UID != nil && is.UID != *want.UID {
		cs = append(cs, change.Of("owner", userName(ctx, h, is.UID), a.Owner))
	}
	if want.GID != nil && is.GID != *want.GID {
		cs = append(cs, change.Of("group", groupName(ctx, h, is.GID), a.Group))
	}
	return cs
}

// created describes the attributes of something that is not there yet.
func (a attributes) created() []change.Change {
	var cs []change.Change
	if a.Mode != nil {
		cs = append(cs, change.Change{Field: "mode", From: change.Absent, To: a.Mode.String()})
	}
	if a.Owner != "" {
		cs = append(cs, change.Change{Field: "owner", From: change.Absent, To: a.Owner})
	}
	if a.Group != "" {
		cs = append(cs, change.Change{Field: "group", From: change.Absent, To: a.Group})
	}
	return cs
}

// userName names a user for people; its number will do when that cannot be had.
func userName(ctx context.Context, h *host.Host, uid int) string {
	users, _, err := h.Accounts.All(ctx)
	if err == nil {
		for _, u := range users {
			if u.UID == uid {
				return u.Name
			}
		}
	}
	return strconv.Itoa(uid)
}

func groupName(ctx context.Context, h *host.Host, gid int) string {
	_, groups, err := h.Accounts.All(ctx)
	if err == nil {
		for _, g := range groups {
			if g.GID == gid {
				return g.Name
			}
		}
	}
	return strconv.Itoa(gid)
}

// requires are the resources that a file at name with these attributes comes after.
func (a attributes) requires(name string) []resource.ID { return a.appendRequires(nil, name) }

func (a attributes) appendRequires(ids []resource.ID, name string) []resource.ID {
	ids = appendAbove(ids, name)
	if a.Owner != "" {
		ids = append(ids, resource.ID{Type: "user", Name: a.Owner})
	}
	if a.Group != "" {
		ids = append(ids, resource.ID{Type: "group", Name: a.Group})
	}
	return ids
}

// above are the resources that may make the directories a path is in.
func above(name string) []resource.ID { return appendAbove(nil, name) }

func appendAbove(ids []resource.ID, name string) []resource.ID {
	ids = slices.Grow(ids, 3*strings.Count(name, "/"))
	for at := strings.LastIndexByte(name, '/'); at > 0; at = strings.LastIndexByte(name[:at], '/') {
		dir := name[:at] // the name is clean
		ids = append(ids, resource.ID{Type: "directory", Name: dir}, resource.ID{Type: "symlink", Name: dir},
			resource.ID{Type: "mount", Name: dir})
	}
	return ids
}

// look describes a path: nil if nothing is there.
func look(h *host.Host, name string) (*host.Info, error) {
	info, err := h.FS.Stat(name)
	switch {
	case errors.Is(err, host.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking at %s: %w", name, err)
	}
	return &info, nil
}

// checkPath says what is wrong with a path of the managed machine.
func checkPath(name string) error {
	switch {
	case !path.IsAbs(name):
		return fmt.Errorf("%q is not an absolute path", name)
	case path.Clean(name) != name:
		return fault.WithHint(fmt.Errorf("%q is not a clean path", name), fmt.Sprintf("write %q", path.Clean(name)))
	case name == "/":
		return errors.New("the root folder itself cannot be managed")
	}
	for _, c := range []byte(name) {
		if c == 0 || c == '\n' {
			return fmt.Errorf("%q holds a control character", name)
		}
	}
	return nil
}

// defaultMode is that of a new file for which none is given.
func defaultMode(a host.Attr, mode fs.FileMode) host.Attr {
	if a.Mode == nil {
		a.Mode = &mode
	}
	return a
}
