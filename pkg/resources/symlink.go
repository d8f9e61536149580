package resources

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Symlink is a symbolic link. It is replaced as a whole, so a reader sees the old or the new target. Whether the target
// exists does not matter.
//
//	resources:
//	  - symlink: /etc/nginx/sites-enabled/shop
//	    target: ../sites-available/shop
type Symlink struct {
	// Path of the link, absolute.
	Path string `vigo:"identity"`

	// Ensure says whether the link should be there. Absent removes a link, never a file or directory.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Target is where the link points, as it is to be stored: absolute, or relative to the directory of the link.
	Target string `yaml:"target"`

	// Force allows the link to take the place of a file or an empty directory. Without it that is an error.
	Force bool `yaml:"force"`
}

var (
	_ resource.Validator = (*Symlink)(nil)
	_ resource.Requirer  = (*Symlink)(nil)
)

// Validate implements [resource.Validator].
func (s *Symlink) Validate() error {
	if err := checkPath(s.Path); err != nil {
		return err
	}
	if (s.Target == "") != (s.Ensure == "absent") {
		return errors.New("a link needs a target, and one that is to be absent has none")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (s *Symlink) Requires() []resource.ID { return above(s.Path) }

// Plan implements [resource.Resource].
func (s *Symlink) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := look(h, s.Path)
	if err != nil {
		return p, err
	}
	isLink := is != nil && is.Kind == host.Symlink
	link := func(ctx context.Context) error { return h.FS.Link(ctx, s.Path, s.Target) }
	switch {
	case s.Ensure == "absent" && is == nil:
	case s.Ensure == "absent" && !isLink:
		return p, fmt.Errorf("%s is a %s, not a symbolic link, and is left alone", s.Path, is.Kind)
	case s.Ensure == "absent":
		p.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, s.Path, false) },
			change.Of("target", is.Target, change.Absent))
	case is == nil:
		p.Do(link, change.Of("target", change.Absent, s.Target))
	case isLink && is.Target == s.Target:
	case isLink:
		p.Do(link, change.Of("target", is.Target, s.Target))
	case !s.Force:
		return p, fault.WithHint(fmt.Errorf("%s is a %s, not a symbolic link", s.Path, is.Kind), "force: true puts the link in its place")
	case is.Kind == host.Dir:
		if inside, err := h.FS.List(s.Path); err != nil {
			return p, fmt.Errorf("listing %s: %w", s.Path, err)
		} else if len(inside) > 0 {
			return p, fmt.Errorf("%s is a directory that is not empty: %d entries", s.Path, len(inside))
		}
		p.Do(func(ctx context.Context) error {
			if err := h.FS.Remove(ctx, s.Path, false); err != nil {
				return err
			}
			return link(ctx)
		}, change.Of("target", is.Kind, s.Target))
	default:
		p.Do(link, change.Of("target", is.Kind, s.Target))
	}
	return p, nil
}
