package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/seal"
	"vigo.dev/pkg/trust"
)

// Tags of bundles that a controller or `vigo build` gives; any other, but that of a mirror, is that of a person, who wants the
// bundle.
var commitTag = regexp.MustCompile(`^c-[0-9a-f]{12}(-[0-9a-f]{12})?$`)

// MirrorTag is the tag that a mirror gives to a bundle, to keep it from being collected as garbage.
func MirrorTag(digest string) string { return "b-" + strings.TrimPrefix(digest, "sha256:")[:24] }

// Tags of sealed secrets.
var secretsTag = regexp.MustCompile(`^s-[0-9a-f]{24}$`)

// Tags that stand for the list of referrers of a manifest, on registries without the API for them.
var fallbackTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}$`)

// The most there may be; more is an error rather than half a picture.
const (
	maxTags      = 200_000
	maxReferrers = 256 // of one artifact, with theirs
)

// An artifact is a manifest with its tags.
type artifact struct {
	bundle.Descriptor
	kind     string // Bundle, Pointer; empty: something else
	counter  int64  // release counter of a bundle
	ours     bool   // all its tags are of the kind that is made anew for each
	tags     []string
	parts    []bundle.Descriptor // itself, its config and its layers
	created  time.Time
	pointers []bundle.Pointer // what a pointer says, as far as it can be read
	asked    string           // digest of the bundle that a promotion request asks for
}

// use marks what an artifact consists of.
func (a artifact) use(used map[string]bool) {
	for _, part := range a.parts {
		used[part.Digest] = true
	}
}

// An inventory is what a repository holds under tags.
type inventory struct {
	artifacts []artifact
	channels  map[string]string // tag that moves with a channel to the digest it points to
}

// scan reads the manifests of all tags.
func scan(ctx context.Context, repo Repository) (inventory, error) {
	inv := inventory{channels: map[string]string{}}
	var tags []string
	err := repo.Tags(ctx, func(tag string) error {
		if len(tags) == maxTags {
			return fmt.Errorf("the repository has more than %d tags: %w", maxTags, bundle.ErrLimit)
		}
		if !fallbackTag.MatchString(tag) {
			tags = append(tags, tag)
		}
		return nil
	})
	if err != nil {
		return inv, err
	}
	at := map[string]int{}
	for _, tag := range tags {
		d, err := repo.Resolve(ctx, tag)
		if errors.Is(err, bundle.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return inv, err
		}
		i, known := at[d.Digest]
		if !known {
			a, err := read(ctx, repo, d)
			if err != nil {
				return inv, fmt.Errorf("tag %s: %w", tag, err)
			}
			i = len(inv.artifacts)
			at[d.Digest], inv.artifacts = i, append(inv.artifacts, a)
		}
		if err := inv.add(i, tag); err != nil {
			return inv, err
		}
	}
	slices.SortFunc(inv.artifacts, func(a, b artifact) int { // pointers before the bundles they name
		return cmp.Or(cmp.Compare(b.kind, a.kind), a.created.Compare(b.created), cmp.Compare(a.Digest, b.Digest))
	})
	return inv, nil
}

// add notes one more tag of an artifact.
func (inv *inventory) add(i int, tag string) error {
	a := &inv.artifacts[i]
	a.tags = append(a.tags, tag)
	switch a.kind {
	case Bundle:
		a.ours = a.ours && (commitTag.MatchString(tag) || tag == MirrorTag(a.Digest))
	case Secrets:
		a.ours = a.ours && secretsTag.MatchString(tag)
	case Pointer:
		if len(a.pointers) == 0 {
			return fmt.Errorf("tag %s: the pointer cannot be read, so it is not known what it needs", tag)
		}
		for _, p := range a.pointers {
			if _, fixed := p.Tags(); tag == fixed {
				return nil
			}
		}
		a.ours = false
		inv.channels[tag] = a.Digest
	}
	return nil
}

// read reads a manifest. What is damaged, or no manifest that we know, is something else that stays.
func read(ctx context.Context, repo Repository, d bundle.Descriptor) (artifact, error) {
	a := artifact{Descriptor: d, parts: []bundle.Descriptor{d}}
	if d.MediaType != bundle.ManifestMediaType || d.Size > bundle.MaxManifest {
		return a, nil
	}
	data, err := bundle.Fetch(ctx, repo, d, bundle.MaxManifest)
	var m bundle.Manifest
	if err == nil {
		m, err = bundle.ReadManifest(data)
	}
	if errors.As(err, new(*bundle.Refusal)) || errors.Is(err, bundle.ErrDigest) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	a.parts = append(append(a.parts, m.Config), m.Layers...)
	a.created, _ = time.Parse(time.RFC3339, m.Annotations[bundle.AnnotationCreated]) // without one it is as old as can be
	switch m.ArtifactType {
	case bundle.ArtifactType:
		a.kind, a.ours = Bundle, true
		a.counter, _ = strconv.ParseInt(m.Annotations[bundle.AnnotationVersion], 10, 64) // without one it is the oldest
	case seal.ArtifactType:
		a.kind, a.ours = Secrets, true
	case trust.PromotionType:
		a.asked, err = trust.RequestedBundle(ctx, repo, m)
	case bundle.PointerType:
		a.kind, a.ours = Pointer, true
		a.pointers, err = trust.ClaimedPointers(ctx, repo, m)
	}
	return a, err
}

// referrers lists what refers to a manifest, and to that, with the list of them that clients keep under a tag where the
// registry does not.
func referrers(ctx context.Context, repo Repository, d bundle.Descriptor) ([]artifact, error) {
	var all []artifact
	for subjects := []bundle.Descriptor{d}; len(subjects) > 0; subjects = subjects[1:] {
		list, err := repo.Resolve(ctx, "sha256-"+subjects[0].Digest[len("sha256:"):])
		switch {
		case err == nil: // before what it lists: it is removed after that
			all = append(all, artifact{Descriptor: list, parts: []bundle.Descriptor{list}})
		case !errors.Is(err, bundle.ErrNotFound):
			return nil, err
		}
		found, err := repo.Referrers(ctx, subjects[0], "")
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if slices.ContainsFunc(all, func(a artifact) bool { return a.Digest == f.Digest }) {
				continue
			}
			if len(all) == maxReferrers {
				return nil, fmt.Errorf("%s has more than %d referrers: %w", d.Digest, maxReferrers, bundle.ErrLimit)
			}
			a, err := read(ctx, repo, f)
			if err != nil && !errors.Is(err, bundle.ErrNotFound) { // it is on the list, and gone
				return nil, err
			}
			all, subjects = append(all, a), append(subjects, f)
		}
	}
	return all, nil
}

// needed returns the digests of the pointers to keep, and of the bundles that these name, that were asked for, or that were
// built last and may be.
func (inv inventory) needed(o Options) map[string]bool {
	needed := map[string]bool{}
	for _, a := range inv.newestBundles(o.Keep) {
		needed[a.Digest] = true
	}
	for _, a := range inv.artifacts {
		if a.asked != "" {
			needed[a.asked] = true
		}
		if a.kind == Pointer && (!a.ours || o.Now().Sub(newest(a).Issued) < o.KeepFor) {
			needed[a.Digest] = true
		}
	}
	for _, pointers := range inv.byChannel() {
		bundles := map[string]bool{}
		for _, a := range pointers { // the newest first
			stable := newest(a).Stable.Digest
			if !bundles[stable] && len(bundles) < o.Keep {
				bundles[stable], needed[a.Digest] = true, true
			}
		}
	}
	for _, a := range inv.artifacts {
		if a.kind == Pointer && needed[a.Digest] {
			for _, p := range a.pointers {
				for _, digest := range p.Names() {
					needed[digest] = true
				}
			}
		}
	}
	return needed
}

// newestBundles returns the n bundles that were built last.
func (inv inventory) newestBundles(n int) []artifact {
	var bundles []artifact
	for _, a := range inv.artifacts {
		if a.kind == Bundle {
			bundles = append(bundles, a)
		}
	}
	slices.SortFunc(bundles, func(a, b artifact) int {
		return cmp.Or(cmp.Compare(b.counter, a.counter), b.created.Compare(a.created), cmp.Compare(a.Digest, b.Digest))
	})
	return bundles[:min(n, len(bundles))]
}

// byChannel sorts pointers by channel, the newest first.
func (inv inventory) byChannel() map[string][]artifact {
	channels := map[string][]artifact{}
	for _, a := range inv.artifacts {
		if a.kind == Pointer {
			p := newest(a)
			name := p.Fleet + "/" + p.Channel
			channels[name] = append(channels[name], a)
		}
	}
	for _, pointers := range channels {
		slices.SortFunc(pointers, func(a, b artifact) int { return newest(b).Compare(newest(a)) })
	}
	return channels
}

// newest is the pointer that counts of those one artifact carries.
func newest(a artifact) bundle.Pointer {
	return slices.MaxFunc(a.pointers, bundle.Pointer.Compare)
}
