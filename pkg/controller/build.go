package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/trust"
)

// build looks at the branch and, when its tip is new and compiles, makes it the bundle to publish. It says whether it
// did.
func (c *Controller) build(ctx context.Context) (news bool, err error) {
	c.metrics.polls.Inc()
	commit, err := c.cfg.Git.Fetch(ctx)
	if err != nil {
		return false, failed(FailedGit, err)
	}
	c.seen = commit
	switch {
	case commit.Hash == c.state.Built.Commit && !c.rebuild && !c.moved:
		return false, nil
	case commit.Hash == c.bad:
		return false, c.why
	}
	tree, err := c.cfg.Git.Tree(commit)
	if err != nil {
		return false, failed(FailedGit, err)
	}
	approvals, err := c.admit(ctx, commit, tree)
	if err != nil {
		var kind *failure
		if ctx.Err() == nil && errors.As(err, &kind) && (kind.kind == FailedPolicy || kind.kind == FailedTrust) {
			c.bad, c.why = commit.Hash, err // it stays so; an approval may still come
		}
		return false, err
	}
	if commit.Hash == c.state.Built.Commit { // the registry has lost it: the same bundle as before
		approvals = c.state.Approvals
	}
	started := c.cfg.Now()
	built, err := c.cfg.Builder.Build(tree, bundle.Config{Source: c.origin(commit, approvals), Counter: commit.Count, MinAgent: c.cfg.MinAgent, Secrets: c.secretsNow()})
	observe(c.metrics.compile, started, c.cfg.Now())
	if fleet := c.fleet(); err == nil && fleet != "" && built.Config.Fleet != fleet {
		err = fault.WithHint(
			fmt.Errorf("fleet.yaml: the fleet is called %q, but what is published is for %q", built.Config.Fleet, fleet),
			"nodes refuse pointers of another fleet: give it its old name, or start another controller with its own data folder")
	}
	if err == nil && len(built.Layers) > 0 {
		err = c.checkSecrets(ctx, tree, built.Layers)
	}
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, gitsource.ErrCorrupt):
		return false, failed(FailedGit, err)
	case err != nil:
		c.bad, c.why = commit.Hash, failed(FailedPolicy, err)
		return false, c.why
	}
	return true, c.store(ctx, commit, built, approvals)
}

// store pushes and signs the bundle of a commit, and makes it the one to publish. When the content is the same as that
// of the bundle published last, nothing is pushed and the pointers stay.
func (c *Controller) store(ctx context.Context, commit gitsource.Commit, built Artifact, approvals []string) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	target := c.state.Bundle
	if built.Config.Content != c.state.Content || built.Config.Secrets != c.state.Secrets || c.rebuild {
		if err := c.push(ctx, commit, built); err != nil {
			return failed(FailedRegistry, err)
		}
		target = targetOf(built.Descriptor, commit.Hash)
	}
	next := c.state
	next.Fleet, next.Built, next.Bundle, next.Content = built.Config.Fleet, revisionOf(commit), target, built.Config.Content
	next.Secrets = built.Config.Secrets
	next.Listed = slices.Sorted(slices.Values(built.Config.Channels))
	if c.lead == nil { // what other branches say of it decides nothing
		next.Sources = built.Sources
	}
	if old := c.cfg.Git.Replaced(); old != "" {
		next.Rewrite = &Rewrite{Branch: c.cfg.Git.Branch(), Old: old, New: commit.Hash, At: c.cfg.Now().UTC()}
		c.cfg.Log.Warn("the branch was rewritten, and the operator allowed the new commit", "branch", next.Rewrite.Branch, "old", old, "new", commit.Hash, "by", commit.Author)
	}
	next.Interval, next.Alerts, next.Grants, next.Approvals = built.Interval, built.Alerts, built.Grants, approvals
	next.Rollouts, next.Windows, next.Modes = built.Rollouts, built.Windows, built.Modes
	if err := next.save(c.cfg.Data); err != nil {
		return err
	}
	c.state = next
	c.noteInUse()
	c.mu.Lock()
	c.sourcesNow = next.Sources
	c.mu.Unlock()
	c.bad, c.why, c.rebuild, c.moved = "", nil, false, false
	return nil
}

// push stores the blobs, then the manifest, then its tag, then its provenance, then its signature: whoever finds the later finds the earlier.
func (c *Controller) push(ctx context.Context, commit gitsource.Commit, built Artifact) error {
	for _, b := range built.Blobs {
		if c.pushed[b.Descriptor.Digest] {
			c.metrics.layers.WithLabelValues("reused").Inc()
			continue
		}
		if err := c.cfg.Store.Push(ctx, b.Descriptor, bytes.NewReader(b.Data)); err != nil {
			return fmt.Errorf("pushing %s: %w", b.Descriptor.Digest, err)
		}
		c.metrics.layers.WithLabelValues("pushed").Inc()
	}
	if err := c.cfg.Store.Push(ctx, built.Descriptor, bytes.NewReader(built.Manifest)); err != nil {
		return fmt.Errorf("pushing the manifest: %w", err)
	}
	if err := c.tag(ctx, commit, built.Descriptor); err != nil {
		return err
	}
	if err := c.attest(ctx, built.Descriptor, built.Config); err != nil {
		return err
	}
	if err := c.cfg.Keys.Attach(ctx, c.cfg.Store, built.Descriptor, c.cfg.Now()); err != nil {
		return err
	}
	c.metrics.bundles.Inc()
	// Only what the newest bundle holds is remembered: the registry may collect the rest.
	c.pushed = make(map[string]bool, len(built.Blobs))
	for _, b := range built.Blobs {
		c.pushed[b.Descriptor.Digest] = true
	}
	return nil
}

// attest states from what a bundle was built. The time in it is not part of the bundle, whose digest stays a function of
// the commit.
func (c *Controller) attest(ctx context.Context, d bundle.Descriptor, cfg bundle.Config, promotions ...trust.Promotion) error {
	if c.cfg.Witness == nil {
		return nil
	}
	p := trust.Provenance{
		Repository: cfg.Source.Repo, Ref: cfg.Source.Ref, Commit: cfg.Source.Commit, Fleet: cfg.Fleet, Approvals: cfg.Source.Approvals, Promotions: promotions,
		Builder: trust.BuilderID, Version: c.cfg.Version, Finished: c.cfg.Now(),
	}
	if err := c.cfg.Witness.Attest(ctx, c.cfg.Store, d, p, c.cfg.Now()); err != nil {
		return fmt.Errorf("attaching the provenance of %s: %w", d.Digest, err)
	}
	return nil
}

// attestAgain states with the keys of a new root from what the bundle in force was built.
func (c *Controller) attestAgain(ctx context.Context, d bundle.Descriptor) error {
	if c.cfg.Witness == nil {
		return nil
	}
	_, cfg, err := bundle.Read(ctx, c.cfg.Store, d)
	if err != nil {
		return fmt.Errorf("attaching the provenance of %s: %w", d.Digest, err)
	}
	return c.attest(ctx, d, cfg)
}

// tag gives the manifest a tag that never moves, so that registries do not collect it: c-<commit>, and when another
// builder has given that to other bytes, c-<commit>-<digest>.
func (c *Controller) tag(ctx context.Context, commit gitsource.Commit, d bundle.Descriptor) error {
	name := BundleTag(commit.Hash)
	there, err := c.cfg.Store.Resolve(ctx, name)
	switch {
	case err == nil && there.Digest == d.Digest:
		return nil
	case err == nil:
		name += "-" + d.Digest[len("sha256:"):][:12]
	case !errors.Is(err, bundle.ErrNotFound):
		return fmt.Errorf("looking for tag %s: %w", name, err)
	}
	if err := c.cfg.Store.Tag(ctx, d, name); err != nil {
		return fmt.Errorf("tagging %s: %w", name, err)
	}
	return nil
}

func (c *Controller) origin(commit gitsource.Commit, approvals []string) bundle.Origin {
	return bundle.Origin{Repo: c.cfg.Git.URL(), Ref: c.cfg.Git.Branch(), Commit: commit.Hash, CommitTime: commit.Time, Approvals: approvals}
}
