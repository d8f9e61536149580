// Package prune finds the bundles and pointers of a repository that nothing needs any more, and removes them with what refers
// to them.
//
// It refuses to remove what it does not know: other artifacts, bundles that somebody gave a tag of their own, root documents.
// It refuses to guess: where a channel cannot be read nothing is removed. It verifies no signature: whoever signed a pointer,
// what it names is kept. Content that no manifest names is left to the garbage collection of the registry.
package prune

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// A Repository is a store whose tags can be listed and whose manifests can be removed.
type Repository interface {
	bundle.Source
	// Tags calls visit for every tag, until it fails.
	Tags(ctx context.Context, visit func(tag string) error) error
	// Delete removes a manifest with all its tags. It fails with bundle.ErrNotFound when it is not there.
	Delete(ctx context.Context, d bundle.Descriptor) error
}

// ErrMoved says that a channel moved while its repository was pruned; what was found out before may not hold any more.
var ErrMoved = errors.New("a channel has moved meanwhile")

// ErrNoChannel says that a repository shows no channel pointer, so that nothing tells what is needed of it.
var ErrNoChannel = errors.New("pruning: the repository has no channel, so nothing says which bundles are needed")

// The least and usual values of [Options].
const (
	DefaultKeep    = 10
	DefaultKeepFor = 30 * 24 * time.Hour
	DefaultGrace   = time.Hour
)

// Options say what is needed beside what the channels point to now.
type Options struct {
	// Keep is the number of different bundles of each channel to keep as targets of a rollback, the present one among them, and
	// of the bundles that were built last, which a channel may be promoted to; at least 1.
	Keep int
	// KeepFor is how long a pointer is kept after it was issued, with all that it names, and a bundle after it was built or
	// signed, whichever is later.
	KeepFor time.Duration
	// Grace is the least of KeepFor for bundles: one may be about to be published.
	Grace time.Duration
	// Protect, if not nil, returns digests of manifests to keep whatever the repository says.
	Protect func() []string
	// Holds, if not nil, says whether the repository has content that a manifest names: the bundles of a hub may lack layers. It is
	// for telling what is freed; nil: it has all.
	Holds func(ctx context.Context, d bundle.Descriptor) (bool, error)
	Now   func() time.Time
}

func (o Options) validate() error {
	if o.Keep < 1 || o.KeepFor < 0 || o.Grace < 0 || o.Now == nil {
		return errors.New("pruning: at least one bundle is kept, durations are not negative, and Now is required")
	}
	return nil
}

// The kinds of artifacts that are removed.
const (
	Bundle  = "bundle"
	Pointer = "pointer"
	Secrets = "node secrets" // sealed to the nodes of a channel; no hub or agent asks for those of an older pointer
)

// A Removal is something that nothing needs.
type Removal struct {
	Kind      string    `json:"kind"` // bundle, pointer or node secrets
	Digest    string    `json:"digest"`
	Tags      []string  `json:"tags"`
	Created   time.Time `json:"created,omitzero"` // a bundle: the commit, or its last signature; a pointer: issued
	Referrers int       `json:"referrers"`        // signatures and attestations that go with it
	Bytes     int64     `json:"bytes"`            // that nothing which stays uses

	artifact  artifact
	referrers []artifact // the deepest last
}

// A Plan is what to remove from a repository, and why the rest stays. Plans get stale: [Plan.Remove] looks again.
type Plan struct {
	Removals []Removal `json:"removed"`
	Bundles  int       `json:"bundles"`  // that stay
	Pointers int       `json:"pointers"` // that stay
	Others   int       `json:"others"`   // tagged artifacts that are none of ours
	Young    int       `json:"young"`    // bundles that stay only because they were built or signed not long ago
	Bytes    int64     `json:"bytes"`    // that are freed once the registry has collected its garbage

	channels map[string]string // moving tag to digest, as the plan was made for
	needed   map[string]bool
}

// Make looks at a repository and plans what to remove.
func Make(ctx context.Context, repo Repository, o Options) (Plan, error) {
	if err := o.validate(); err != nil {
		return Plan{}, err
	}
	inv, err := scan(ctx, repo)
	if err != nil {
		return Plan{}, fmt.Errorf("looking for what can be removed: %w", err)
	}
	if len(inv.channels) == 0 && len(inv.artifacts) > 0 {
		return Plan{}, fault.WithHint(ErrNoChannel, "if its bundles are for use by hand, remove them by hand")
	}
	p := Plan{channels: inv.channels, needed: inv.needed(o)}
	if o.Protect != nil {
		for _, digest := range o.Protect() {
			p.needed[digest] = true
		}
	}
	used := map[string]bool{}
	var candidates []artifact
	for _, a := range inv.artifacts {
		switch {
		case a.kind != "" && a.ours && !p.needed[a.Digest]:
			candidates = append(candidates, a)
			continue
		case a.kind == Bundle:
			p.Bundles++
		case a.kind == Pointer:
			p.Pointers++
		case a.kind == Secrets:
		default:
			p.Others++
		}
		a.use(used)
	}
	for _, a := range candidates {
		if err := p.consider(ctx, repo, a, o, used); err != nil {
			return Plan{}, fmt.Errorf("looking for what can be removed: %w", err)
		}
	}
	if err := p.count(ctx, used, o.Holds); err != nil {
		return Plan{}, fmt.Errorf("looking for what can be removed: %w", err)
	}
	return p, nil
}

// consider plans to remove an artifact that nothing needs, unless it is young.
func (p *Plan) consider(ctx context.Context, repo Repository, a artifact, o Options, used map[string]bool) error {
	r := Removal{Kind: a.kind, Digest: a.Digest, Tags: a.tags, Created: a.created, artifact: a}
	var err error
	if r.referrers, err = referrers(ctx, repo, a.Descriptor); err != nil {
		return err
	}
	for _, ref := range r.referrers {
		if ref.created.After(r.Created) {
			r.Created = ref.created
		}
	}
	if a.kind == Secrets && o.Now().Sub(r.Created) < o.Grace { // they may be about to be published
		a.use(used)
		return nil
	}
	if a.kind == Bundle && o.Now().Sub(r.Created) < max(o.Grace, o.KeepFor) {
		p.Young++
		p.Bundles++
		a.use(used)
		return nil
	}
	r.Referrers = len(r.referrers)
	p.Removals = append(p.Removals, r)
	return nil
}

// count fills in what is freed: content that several removals share counts for the first.
func (p *Plan) count(ctx context.Context, used map[string]bool, holds func(context.Context, bundle.Descriptor) (bool, error)) error {
	if holds == nil {
		holds = func(context.Context, bundle.Descriptor) (bool, error) { return true, nil }
	}
	for i := range p.Removals {
		r := &p.Removals[i]
		for _, a := range append([]artifact{r.artifact}, r.referrers...) {
			for _, part := range a.parts {
				if used[part.Digest] {
					continue
				}
				used[part.Digest] = true
				there, err := holds(ctx, part)
				if err != nil {
					return err
				}
				if there {
					r.Bytes += part.Size
				}
			}
		}
		p.Bytes += r.Bytes
	}
	return nil
}
