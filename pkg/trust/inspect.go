package trust

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
)

// An Inquiry is what [Verifier.Inspect] is asked about.
type Inquiry struct {
	Tag     string // or digest
	Name    string // of it for people; empty: Tag
	Fleet   string // that it must be meant for; empty: any
	Channel string // that it must be meant for; empty: any, and for a pointer the one of its tag
}

// An Inspection is all that was looked at on the way to trusting what a tag leads to.
type Inspection struct {
	Digest  string          // of the manifest
	Type    string          // of the artifact
	Blobs   int             // that were read and compared with their digests
	Pointer *bundle.Pointer // that was verified
	Checks  []Check         // in the order they were made
	// Provenance is what trusted keys state about where it comes from; of a pointer, where the bundles it names do.
	Provenance []Provenance
}

// Err returns why it is not to be trusted: the first refusal, or else the first thing that could not be looked at.
func (i Inspection) Err() error { return firstError(i.Checks) }

// settle sees to it that an error shows in the checks, whoever returned it.
func (i *Inspection) settle(v *Verifier, name, what string, err error) {
	if err != nil && i.Err() == nil {
		_ = v.refuse(name, what, err)
	}
}

// Inspect makes every check an agent would make of what a tag or a digest leads to, with the agent's own code, and goes on
// after one has failed: a person wants to see them all. A channel pointer is inspected with the bundles it names. Nothing
// is remembered, so that neither rollback nor equivocation can be found.
func (v *Verifier) Inspect(ctx context.Context, src bundle.Source, q Inquiry) Inspection {
	var i Inspection
	watched := *v
	watched.seen = func(c Check) { i.Checks = append(i.Checks, c) }
	w := &watched

	d, err := src.Resolve(ctx, q.Tag)
	if err != nil {
		_ = w.refuse(CheckManifest, q.Tag, fmt.Errorf("looking for %s: %w", cmp.Or(q.Name, q.Tag), err))
		return i
	}
	i.Digest = d.Digest
	w.see(CheckManifest, q.Tag, "it is "+d.Digest)
	m, ok := w.manifest(ctx, src, d)
	if !ok {
		return i
	}
	i.Type = m.ArtifactType
	switch {
	case m.ArtifactType == bundle.PointerType:
		w.see(CheckType, d.Digest, "a channel pointer ("+m.ArtifactType+")")
		w.inspectPointer(ctx, src, d, m, q, &i)
	case m.ArtifactType == bundle.ArtifactType && m.Config.MediaType == bundle.ConfigMediaType:
		w.see(CheckType, d.Digest, "a bundle ("+m.ArtifactType+")")
		w.inspectBundle(ctx, src, d, q.Fleet, q.Channel, &i)
		i.Blobs += w.content(ctx, src, d, m)
	default:
		err := &Refusal{Name: bundle.BadFormat, What: d.Digest,
			Detail: fmt.Sprintf("an artifact of type %.120q with a config of type %.120q: agents take it neither as a bundle nor as a pointer", m.ArtifactType, m.Config.MediaType)}
		if q.Fleet == "" && q.Channel == "" { // as with cosign, anything may be signed
			w.ignore(CheckType, d.Digest, err)
		} else {
			_ = w.refuse(CheckType, d.Digest, err)
		}
		_, failed := w.signatures(ctx, src, d)
		i.settle(w, CheckThreshold, d.Digest, failed)
		i.Blobs += w.content(ctx, src, d, m)
	}
	return i
}

// manifest reads the manifest of anything.
func (v *Verifier) manifest(ctx context.Context, src bundle.Source, d bundle.Descriptor) (bundle.Manifest, bool) {
	data, err := bundle.Fetch(ctx, src, d, bundle.MaxManifest)
	if err != nil {
		_ = v.refuse(CheckDigest, d.Digest, err)
		return bundle.Manifest{}, false
	}
	v.see(CheckDigest, d.Digest, fmt.Sprintf("its %d bytes have this digest", len(data)))
	m, err := bundle.ReadManifest(data)
	return m, v.refuse(CheckType, d.Digest, err) == nil
}

// inspectBundle looks at the signatures of a bundle and at what it says of itself.
func (v *Verifier) inspectBundle(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string, i *Inspection) {
	_, err := v.signatures(ctx, src, d)
	i.settle(v, CheckThreshold, d.Digest, err)
	_, c, err := v.documents(ctx, src, d, fleet, channel)
	i.settle(v, CheckConfig, d.Digest, err)
	i.Provenance = append(i.Provenance, v.inspectProvenance(ctx, src, d, c)...)
}

// content reads every blob that a manifest names, which fails where it does not have its digest.
func (v *Verifier) content(ctx context.Context, src bundle.Source, d bundle.Descriptor, m bundle.Manifest) (blobs int) {
	for _, part := range append([]bundle.Descriptor{m.Config}, m.Layers...) {
		if _, err := bundle.Fetch(ctx, src, part, bundle.MaxLayer); err != nil {
			_ = v.refuse(CheckContent, part.Digest, err)
			continue
		}
		blobs++
	}
	if blobs == len(m.Layers)+1 {
		v.see(CheckContent, d.Digest, fmt.Sprintf("%s that it names were read, each has its digest", shortly(blobs, "blob")))
	}
	return blobs + 1 // and the manifest
}

// inspectPointer looks at a channel pointer and at every bundle it names.
func (v *Verifier) inspectPointer(ctx context.Context, src bundle.Source, d bundle.Descriptor, m bundle.Manifest, q Inquiry, i *Inspection) {
	channel := q.Channel
	if channel == "" {
		channel = claimedChannel(ctx, src, q.Tag, m)
	}
	moving, _ := bundle.Pointer{Channel: channel}.Tags()
	s, err := v.pointerAt(ctx, src, d, moving, q.Fleet, channel)
	i.settle(v, CheckSignature, d.Digest, err)
	if err != nil {
		return
	}
	p := s.Pointer
	i.Pointer = &p
	what := "pointer " + p.Version()
	v.see(CheckSequence, what, fmt.Sprintf("epoch %d, number %d; whether a node has seen a later one is for the node to say", p.Epoch, p.Seq))
	if _, err := (Memory{}).Accept(p, s.Payload, v.now()); err != nil {
		_ = v.refuse(CheckExpiry, what, err)
	} else {
		v.see(CheckExpiry, what, "good until "+p.Expires.UTC().Format("2006-01-02T15:04:05Z"))
	}
	v.inspectOrder(p)
	targets := append([]bundle.Target{p.Stable}, p.Prefetch...)
	if p.Candidate != nil {
		targets = append(targets, *p.Candidate)
	}
	for _, t := range targets {
		one := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: t.Digest, Size: t.Size}
		m, ok := v.manifest(ctx, src, one)
		if !ok {
			continue
		}
		v.inspectBundle(ctx, src, one, p.Fleet, p.Channel, i)
		_, err := v.Approved(ctx, src, one, p.Fleet, p.Channel)
		i.settle(v, CheckApprovals, t.Digest, err)
		i.Blobs += v.content(ctx, src, one, m)
	}
}

// inspectOrder looks at the order of modes that a pointer carries. Whether a node knows a later one is for the node to say.
func (v *Verifier) inspectOrder(p bundle.Pointer) {
	if len(p.Order) == 0 {
		return
	}
	what := "the order of modes of pointer " + p.Version()
	o, err := v.Ordered(p.Fleet, p.Channel, p.Order)
	if v.refuse(CheckOrder, what, err) != nil {
		return
	}
	var set []string
	for _, mode := range slices.Sorted(maps.Keys(o.Modes)) {
		state := "off"
		if o.Modes[mode] {
			state = "ON"
		}
		set = append(set, mode+" "+state)
	}
	v.see(CheckOrder, what, fmt.Sprintf("%s, given %s, signed by %s", strings.Join(set, ", "), o.Given.UTC().Format(time.RFC3339), strings.Join(o.Keys, ", ")))
}

// claimedChannel is the channel whose pointer a tag is to carry. A tag that leads to it under one of its own names, or a
// digest, is asked what it claims; nothing of that is believed before the keys of that channel have signed it.
func claimedChannel(ctx context.Context, src bundle.Source, tag string, m bundle.Manifest) string {
	name, isTag := strings.CutPrefix(tag, "channel-")
	for _, layer := range m.Layers[:min(len(m.Layers), maxSignatures)] {
		raw, err := bundle.Fetch(ctx, src, layer, maxSignature)
		if err != nil {
			continue
		}
		payload, err := payloadOf(raw)
		if err != nil {
			continue
		}
		p, err := parsePointer(payload)
		if err != nil {
			continue
		}
		if moving, fixed := p.Tags(); !isTag || tag == moving || tag == fixed {
			return p.Channel
		}
	}
	return name
}
