package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Permissions sweeps a tree for files that anybody may write to, that nobody owns or that run as their owner, and takes the
// bits away or gives the files an owner. With audit: true it only reports them.
//
// It stays on the file system of the path it starts at where a mount of the machine says so, never follows a symbolic link,
// and leaves devices and sockets alone. A directory that anybody may write to is no finding while it is sticky, as /tmp is.
// The sweep looks at every file of the tree in each run.
//
//	resources:
//	  - permissions: /usr
//	    deny: ["002"]
//	    no_owner: root:root
//	  - permissions: /usr/bin
//	    special: remove
//	    exclude: [sudo, passwd, su, mount, umount]
type Permissions struct {
	// Path of the directory to sweep, absolute, or of one file. A path that is not there conforms.
	Path string `vigo:"identity"`

	// Deny are modes none of whose bits a file or directory may have, as quoted octal strings: "002" is write for others.
	// The bits found are taken away.
	Deny []string `yaml:"deny"`

	// NoOwner is who gets what belongs to a user or group that the machine does not know, as user:group.
	NoOwner string `yaml:"no_owner"`

	// Special says what happens to files that are setuid or setgid and not excluded: remove takes the bits away.
	Special string `yaml:"special" vigo:"enum=keep|remove"`

	// Exclude are glob patterns of what is left alone, with all that is below: against the path, the path below the swept
	// directory, and the name.
	Exclude []string `yaml:"exclude"`

	// Only says what is looked at: files, directories or all. Both if it is not given.
	Only string `yaml:"only" vigo:"enum=files|directories|all"`

	// MaxChanges is the most files that one run may change; with more, nothing is changed and the resource fails. 1000 if
	// it is not given.
	MaxChanges int `yaml:"max_changes"`
}

const defaultMaxSweep = 1000

// maxSweep bounds how many entries a sweep looks at.
const maxSweep = 2_000_000

var (
	_ resource.Validator = (*Permissions)(nil)
	_ resource.Requirer  = (*Permissions)(nil)
)

// Validate implements [resource.Validator].
func (s *Permissions) Validate() error {
	if s.Path != "/" {
		if err := checkPath(s.Path); err != nil {
			return err
		}
	}
	for _, glob := range s.Exclude {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("exclude: %q is not a glob pattern", glob)
		}
	}
	if _, err := s.denied(); err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	user, group, both := strings.Cut(s.NoOwner, ":")
	switch {
	case s.NoOwner != "" && (!both || user == "" || group == ""):
		return fault.WithHint(fmt.Errorf("no_owner: %q is not user:group", s.NoOwner), "such as root:root")
	case len(s.Deny) == 0 && s.NoOwner == "" && s.Special != "remove":
		return errors.New("needs deny, no_owner or special: remove to know what to look for")
	case s.MaxChanges < 0:
		return errors.New("max_changes: want a number of files")
	}
	return nil
}

// denied returns the bits that must not be there.
func (s *Permissions) denied() (fs.FileMode, error) {
	var bits fs.FileMode
	for _, text := range s.Deny {
		var m resource.Mode
		if err := m.UnmarshalText([]byte(text)); err != nil {
			return 0, err
		}
		bits |= m.Perm
	}
	return bits, nil
}

// Requires implements [resource.Requirer].
func (s *Permissions) Requires() []resource.ID {
	ids := above(s.Path)
	if user, group, ok := strings.Cut(s.NoOwner, ":"); ok {
		ids = append(ids, resource.ID{Type: "user", Name: user}, resource.ID{Type: "group", Name: group})
	}
	return ids
}

// Plan implements [resource.Resource].
func (s *Permissions) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	sw, err := s.sweep(ctx, h)
	if err != nil {
		return p, err
	}
	var info host.Info
	if s.Path == "/" {
		info = host.Info{Kind: host.Dir, Mode: 0o755}
	} else if is, err := look(h, s.Path); err != nil || is == nil {
		return p, err
	} else {
		info = *is
	}
	if err := sw.walk(ctx, &p, s.Path, info); err != nil {
		return resource.Plan{}, err
	}
	most := s.MaxChanges
	if most == 0 {
		most = defaultMaxSweep
	}
	if sw.found > most {
		return resource.Plan{}, fault.WithHint(fmt.Errorf("%d files would be changed, more than the %d that are allowed", sw.found, most),
			"exclude what is meant to be so, or raise max_changes")
	}
	return p, nil
}

// sweeping is one sweep over a tree.
type sweeping struct {
	*Permissions
	h             *host.Host
	deny          fs.FileMode
	owner         attributes
	give          host.Attr
	users, groups map[int]bool
	foreign       []string // mount points below that are other file systems
	seen, found   int
}

func (s *Permissions) sweep(ctx context.Context, h *host.Host) (*sweeping, error) {
	sw := &sweeping{Permissions: s, h: h}
	var err error
	if sw.deny, err = s.denied(); err != nil {
		return nil, err
	}
	if s.NoOwner != "" {
		user, group, _ := strings.Cut(s.NoOwner, ":")
		sw.owner = attributes{Owner: user, Group: group}
		if sw.give, err = sw.owner.resolve(ctx, h); err != nil {
			return nil, err
		}
		users, groups, err := h.Accounts.All(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the accounts: %w", err)
		}
		sw.users, sw.groups = map[int]bool{}, map[int]bool{}
		for _, u := range users {
			sw.users[u.UID] = true
		}
		for _, g := range groups {
			sw.groups[g.GID] = true
		}
	}
	mounts, err := h.Mounts.All(ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("reading the mounts: %w", err)
	}
	for _, m := range mounts {
		if m.Path != s.Path && strings.HasPrefix(m.Path, strings.TrimSuffix(s.Path, "/")+"/") {
			sw.foreign = append(sw.foreign, m.Path)
		}
	}
	return sw, nil
}

func (sw *sweeping) walk(ctx context.Context, p *resource.Plan, name string, info host.Info) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if sw.seen++; sw.seen > maxSweep {
		return fmt.Errorf("%s holds more than %d entries", sw.Path, maxSweep)
	}
	if sw.excluded(name) {
		return nil
	}
	sw.judge(ctx, p, name, info)
	if info.Kind != host.Dir || name != sw.Path && slices.Contains(sw.foreign, name) {
		return nil
	}
	entries, err := sw.h.FS.List(name)
	if errors.Is(err, host.ErrNotFound) && name != sw.Path {
		return nil // gone since it was listed
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", name, err)
	}
	for _, e := range entries {
		if err := sw.walk(ctx, p, path.Join(name, e.Name), e); err != nil {
			return err
		}
	}
	return nil
}

func (sw *sweeping) excluded(name string) bool {
	return fits(sw.Exclude, name, sw.Path)
}

// judge plans what one file needs.
func (sw *sweeping) judge(ctx context.Context, p *resource.Plan, name string, info host.Info) {
	switch {
	case info.Kind != host.File && info.Kind != host.Dir,
		sw.Only == "files" && info.Kind != host.File, sw.Only == "directories" && info.Kind != host.Dir:
		return
	}
	deny := sw.deny
	if info.Kind == host.Dir && info.Mode&fs.ModeSticky != 0 {
		deny &^= 0o002
	}
	if info.Kind == host.File && sw.Special == "remove" {
		deny |= fs.ModeSetuid | fs.ModeSetgid
	}
	a, want := attributes{}, host.Attr{}
	if info.Mode&deny != 0 {
		mode := info.Mode &^ deny
		a.Mode, want.Mode = &resource.Mode{Perm: mode}, &mode
	}
	if sw.users != nil && !sw.users[info.UID] {
		a.Owner, want.UID = sw.owner.Owner, sw.give.UID
	}
	if sw.groups != nil && !sw.groups[info.GID] {
		a.Group, want.GID = sw.owner.Group, sw.give.GID
	}
	changes := a.changes(ctx, sw.h, info, want)
	if len(changes) == 0 {
		return
	}
	sw.found++
	for i := range changes {
		changes[i].Field = name + " " + changes[i].Field
	}
	below := strings.TrimPrefix(strings.TrimPrefix(name, sw.Path), "/")
	p.Do(func(ctx context.Context) error {
		if below == "" {
			return sw.h.FS.SetAttr(ctx, name, want)
		}
		return sw.h.Below.SetAttrBelow(ctx, sw.Path, below, info, want)
	}, changes...)
}
