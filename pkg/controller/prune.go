package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/prune"
)

// Retention says what a controller removes from its repository, and when.
type Retention struct {
	Every   time.Duration // between two prunings; 0: never
	Keep    int           // as in [prune.Options]; 0: the usual
	KeepFor time.Duration
}

// pruneSoon is when a controller that was started prunes first: it has other things to do before.
const pruneSoon = 5 * time.Minute

// keepPruned removes from the repository what nothing needs, at intervals, until ctx ends.
func (c *Controller) keepPruned(ctx context.Context) {
	if c.cfg.Retention.Every <= 0 {
		return
	}
	repo, ok := c.cfg.Store.(prune.Repository)
	if !ok {
		c.cfg.Log.Warn("old bundles are not removed: this kind of store does not do it")
		return
	}
	for wait := min(pruneSoon, c.cfg.Retention.Every); ; wait = c.cfg.Retention.Every {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := c.prune(ctx, repo); err != nil && ctx.Err() == nil {
			c.metrics.pruneFailures.Inc()
			c.cfg.Log.Warn("removing old bundles", "err", err)
			if errors.Is(err, ocistore.ErrNoDelete) {
				return // that does not change by itself
			}
		}
	}
}

// prune removes once what nothing needs. A channel that moves meanwhile is no failure: the next time will do.
func (c *Controller) prune(ctx context.Context, repo prune.Repository) error {
	o := prune.Options{Keep: c.cfg.Retention.Keep, KeepFor: c.cfg.Retention.KeepFor, Grace: prune.DefaultGrace, Protect: c.publishing, Now: c.cfg.Now}
	if o.Keep == 0 {
		o.Keep = prune.DefaultKeep
	}
	plan, err := prune.Make(ctx, repo, o)
	if errors.Is(err, prune.ErrNoChannel) {
		return nil // nothing was published yet
	}
	if err != nil {
		return err
	}
	// Nothing is published while something is removed, and the other way round.
	done, err := plan.Remove(ctx, repo, o, func(remove func() error) error {
		c.turn.Lock()
		defer c.turn.Unlock()
		return remove()
	})
	for _, r := range done {
		c.metrics.pruned.WithLabelValues(r.Kind).Inc()
	}
	if len(done) > 0 {
		c.cfg.Log.Info("removed old bundles and pointers", "removed", len(done), "stay", plan.Bundles)
	}
	if errors.Is(err, prune.ErrMoved) {
		return nil
	}
	return err
}

// publishing names what this controller, and those of the further branches, publish now, or are about to.
func (c *Controller) publishing() []string {
	c.mu.Lock()
	digests := slices.Clone(c.inUse)
	c.mu.Unlock()
	for _, one := range c.others.all() {
		digests = append(digests, one.publishing()...)
	}
	return digests
}

// noteInUse remembers for publishing what the state says.
func (c *Controller) noteInUse() {
	digests := []string{c.state.Bundle.Digest}
	for _, p := range c.state.Channels {
		digests = append(digests, p.Pointer.Names()...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse = digests
}

// assure looks whether a bundle is there that a pointer was just published to: somebody else who removes old bundles may have
// been faster. Then it is built and pushed again, and the pointer published after it.
func (c *Controller) assure(ctx context.Context, name string, p published) error {
	if p.Pointer.Stable.Digest != c.state.Bundle.Digest {
		return nil // there is something newer to publish after it
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Pointer.Stable.Digest, Size: p.Pointer.Stable.Size}
	_, err := bundle.Fetch(ctx, c.cfg.Store, d, bundle.MaxManifest)
	if !errors.Is(err, bundle.ErrNotFound) {
		return failed(FailedRegistry, err)
	}
	c.rebuild, c.pushed = true, map[string]bool{}
	p.Done = false
	c.state.Channels[name] = p
	c.Nudge()
	return failed(FailedRegistry, fmt.Errorf("bundle %s was removed from the registry while it was published: publishing it again", p.Pointer.Stable.Digest))
}
