package prune

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/bundle"
)

// Remove carries a plan out, and returns what was removed. Before each removal it looks whether a channel moved, and stops with
// [ErrMoved] if one did. What refers to a bundle goes before it, so that a removal which is interrupted can be taken up by
// the next plan.
//
// each, if not nil, is called with every removal and carries it out by calling its argument, or not: a controller that
// publishes to the same repository keeps itself from doing so meanwhile.
func (p Plan) Remove(ctx context.Context, repo Repository, o Options, each func(remove func() error) error) ([]Removal, error) {
	if each == nil {
		each = func(remove func() error) error { return remove() }
	}
	var done []Removal
	for _, r := range p.Removals {
		err := each(func() error {
			if err := p.current(ctx, repo); err != nil {
				return err
			}
			if o.Protect != nil {
				for _, digest := range o.Protect() {
					if digest == r.Digest {
						return fmt.Errorf("%s is about to be published: %w", r.Digest, ErrMoved)
					}
				}
			}
			return r.remove(ctx, repo)
		})
		if err != nil {
			return done, fmt.Errorf("removing %s %s: %w", r.Kind, r.Digest, err)
		}
		done = append(done, r)
	}
	return done, nil
}

// current compares the channels with what the plan was made for.
func (p Plan) current(ctx context.Context, repo Repository) error {
	for tag, digest := range p.channels {
		d, err := repo.Resolve(ctx, tag)
		if err != nil {
			return err
		}
		if d.Digest != digest {
			return fmt.Errorf("%s: %w", tag, ErrMoved)
		}
	}
	return nil
}

// remove removes an artifact with what refers to it.
func (r Removal) remove(ctx context.Context, repo Repository) error {
	for i := len(r.referrers) - 1; i >= 0; i-- {
		if err := gone(repo.Delete(ctx, r.referrers[i].Descriptor)); err != nil {
			return err
		}
	}
	return gone(repo.Delete(ctx, r.artifact.Descriptor))
}

// gone takes what is not there any more for removed.
func gone(err error) error {
	if errors.Is(err, bundle.ErrNotFound) {
		return nil
	}
	return err
}
