package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Tidy removes files and symbolic links below a directory that are old, or large. It never follows a link, never leaves the
// file system of the directory, and removes neither the directory itself nor sockets, pipes and devices.
//
//	resources:
//	  - tidy: /var/tmp/builds
//	    age: 720h
//	    match: ["*.tar.gz", "build-*"]
//	    empty_directories: true
type Tidy struct {
	// Path of the directory, absolute. One that is not there conforms.
	Path string `vigo:"identity"`

	// Age is how long ago a file was last written, at least, to be removed, such as 720h.
	Age resource.Duration `yaml:"age"`

	// Size is how many bytes a file holds, at least, to be removed. With age too, a file must be both.
	Size int64 `yaml:"size"`

	// Match are glob patterns of the files that are looked at: against the path below the directory and the name. All if
	// it is not given.
	Match []string `yaml:"match"`

	// Exclude are glob patterns of what is left alone, with all that is below.
	Exclude []string `yaml:"exclude"`

	// Depth is how many levels are looked at: 1 is what is in the directory itself. All if it is not given.
	Depth int `yaml:"depth"`

	// EmptyDirectories removes directories below too that are empty and old enough.
	EmptyDirectories bool `yaml:"empty_directories"`

	// MaxRemove is the most files that one run may remove; with more, nothing is removed and the resource fails. 1000 if
	// it is not given.
	MaxRemove int `yaml:"max_remove"`
}

var (
	_ resource.Validator = (*Tidy)(nil)
	_ resource.Requirer  = (*Tidy)(nil)
)

const defaultMaxTidy = 1000

// Validate implements [resource.Validator].
func (t *Tidy) Validate() error {
	if err := checkPath(t.Path); err != nil {
		return err
	}
	for _, glob := range slices.Concat(t.Match, t.Exclude) {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("%q is not a glob pattern", glob)
		}
	}
	switch {
	case t.Age.Duration == 0 && t.Size == 0:
		return errors.New("needs age or size to know what to remove")
	case t.Size < 0 || t.Depth < 0 || t.MaxRemove < 0:
		return errors.New("size, depth and max_remove are not below 0")
	case t.EmptyDirectories && t.Age.Duration == 0:
		return errors.New("empty_directories needs age")
	case strings.Count(t.Path, "/") == 1 && t.Path != "/tmp":
		return fault.WithHint(fmt.Errorf("%s is a directory of the system", t.Path), "name a directory below it")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (t *Tidy) Requires() []resource.ID {
	return append(above(t.Path), resource.ID{Type: "directory", Name: t.Path}, resource.ID{Type: "mount", Name: t.Path})
}

// Plan implements [resource.Resource].
func (t *Tidy) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := look(h, t.Path)
	if err != nil || is == nil {
		return p, err
	}
	if is.Kind != host.Dir {
		return p, fmt.Errorf("%s is a %s, not a directory", t.Path, is.Kind)
	}
	mounts, err := h.Mounts.All(ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return p, fmt.Errorf("reading the mounts: %w", err)
	}
	s := &tidying{Tidy: t, h: h, now: h.Clock.Now()}
	for _, m := range mounts {
		s.mounts = append(s.mounts, m.Path)
	}
	if _, err := s.walk(ctx, t.Path, 1); err != nil {
		return p, err
	}
	most := t.MaxRemove
	if most == 0 {
		most = defaultMaxTidy
	}
	if len(s.gone) > most {
		return p, fault.WithHint(fmt.Errorf("%d files of %s would be removed, more than the %d that are allowed", len(s.gone), t.Path, most),
			"raise max_remove if that is meant")
	}
	for _, full := range s.gone {
		name := strings.TrimPrefix(full, t.Path+"/")
		p.Do(func(ctx context.Context) error { return h.Below.RemoveBelow(ctx, t.Path, name, false) },
			change.Of(name, "present", change.Absent))
	}
	return p, nil
}

// tidying is one look at a directory.
type tidying struct {
	*Tidy
	h      *host.Host
	now    time.Time
	mounts []string
	gone   []string // what is in a directory before the directory
	seen   int
}

// walk collects what is to go, and tells whether all of the directory is.
func (s *tidying) walk(ctx context.Context, dir string, depth int) (all bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	entries, err := s.h.FS.List(dir)
	if errors.Is(err, host.ErrNotFound) && dir != s.Path {
		return false, nil // gone since it was listed
	}
	if err != nil {
		return false, fmt.Errorf("listing %s: %w", dir, err)
	}
	all = true
	for _, e := range entries {
		if s.seen++; s.seen > maxSweep {
			return false, fmt.Errorf("%s holds more than %d entries", s.Path, maxSweep)
		}
		name := path.Join(dir, e.Name)
		goes := false
		switch {
		case e.Kind == host.Other || fits(s.Exclude, name, s.Path) || slices.Contains(s.mounts, name):
		case e.Kind == host.Dir:
			empty := false
			if s.Depth == 0 || depth < s.Depth {
				if empty, err = s.walk(ctx, name, depth+1); err != nil {
					return false, err
				}
			}
			goes = empty && s.EmptyDirectories && s.old(e)
		default:
			goes = s.old(e) && e.Size >= s.Size && (len(s.Match) == 0 || fits(s.Match, name, s.Path))
		}
		if goes {
			s.gone = append(s.gone, name)
		}
		all = all && goes
	}
	return all, nil
}

func (s *tidying) old(e host.Info) bool { return s.now.Sub(e.ModTime) >= s.Age.Duration }

// fits is whether one of some patterns matches the path below a directory, the whole path or the name.
func fits(globs []string, name, dir string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		for _, s := range []string{name, strings.TrimPrefix(strings.TrimPrefix(name, dir), "/"), path.Base(name)} {
			if match, err := path.Match(glob, s); match || err != nil {
				return true
			}
		}
		return false
	})
}
