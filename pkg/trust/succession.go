package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
)

const (
	maxRootSignature = 2 * maxRoot // bytes of a signature with the document inside, which is in base64
	maxSuccession    = 1024        // versions that are walked at once
)

// RootType is the artifact type of the manifest that carries a root document with its signatures.
const RootType = "application/vnd.vigo.root.v1"

// RootTag names the manifest that carries version n of the root document. It never moves.
func RootTag(n int64) string { return fmt.Sprintf("root-%d", n) }

// rootStatement is what is signed for a root: an in-toto statement about the digest of the document, with the document as
// predicate. Equal roots give equal bytes, so that several people can sign the same.
func rootStatement(r Root) ([]byte, error) {
	doc, err := r.Marshal()
	if err != nil {
		return nil, err
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, doc); err != nil {
		return nil, err
	}
	return statementAbout(bundle.DigestOf(doc), RootPredicate, flat.Bytes())
}

// SignRoot signs a root document. The result is a Sigstore bundle for [PublishRoot]. A root needs the thresholds of its
// own root role and of the one before it.
func (s *Signer) SignRoot(ctx context.Context, r Root) ([]byte, error) {
	payload, err := rootStatement(r)
	if err != nil {
		return nil, fmt.Errorf("signing a root document: %w", err)
	}
	return s.sign(ctx, payload)
}

// PublishRoot stores a root document with its signatures under [RootTag], where agents look for it. Other signatures of
// the same document may be published later; another document under the same number is refused as equivocation.
func PublishRoot(ctx context.Context, store bundle.Store, r Root, signatures [][]byte) error {
	tag := RootTag(r.Version)
	statement, err := rootStatement(r)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", tag, err)
	}
	switch _, there, err := rootsAt(ctx, store, r.Version); {
	case errors.Is(err, bundle.ErrNotFound):
	case err != nil:
		return fmt.Errorf("looking for %s: %w", tag, err)
	default:
		for _, raw := range there {
			if other, err := payloadOf(raw); err == nil && !bytes.Equal(other, statement) {
				return &Refusal{Name: bundle.Equivocation, Detail: "another root document is published under this number", What: tag}
			}
		}
	}
	return pushRoot(ctx, store, r.Version, signatures)
}

// PublishSuccessor stores the root after r under its [RootTag], unless it is there: with as many signatures as make agents
// follow it, which is checked first. What agents would refuse is overwritten, so that who can write to a registry cannot
// keep a root from it. Another document that enough keys signed is refused as equivocation.
func (r Root) PublishSuccessor(ctx context.Context, store bundle.Store, signatures [][]byte) (Root, error) {
	next, err := r.VerifySuccessor(signatures)
	if err != nil {
		return Root{}, err
	}
	tag := RootTag(next.Version)
	there, err := r.Successor(ctx, store)
	var refused *Refusal
	switch {
	case err == nil:
		want, err := rootStatement(next)
		if err != nil {
			return Root{}, err
		}
		if got, err := rootStatement(there.Root); err != nil || !bytes.Equal(got, want) {
			return Root{}, &Refusal{Name: bundle.Equivocation, Detail: "another root document is published under this number", What: tag}
		}
		return next, nil
	case errors.Is(err, bundle.ErrNotFound), errors.As(err, &refused):
		return next, pushRoot(ctx, store, next.Version, signatures)
	}
	return Root{}, err
}

func pushRoot(ctx context.Context, store bundle.Store, version int64, signatures [][]byte) error {
	tag := RootTag(version)
	m := bundle.Manifest{
		SchemaVersion: 2, MediaType: bundle.ManifestMediaType, ArtifactType: RootType,
		Config:      bundle.DescriptorOf(emptyMediaType, []byte("{}")),
		Annotations: map[string]string{bundle.AnnotationVersion: fmt.Sprint(version)},
	}
	for _, raw := range signatures {
		m.Layers = append(m.Layers, bundle.DescriptorOf(bundle.SignatureMediaType, raw))
	}
	d, err := pushCarrier(ctx, store, m, signatures)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", tag, err)
	}
	if err := store.Tag(ctx, d, tag); err != nil {
		return fmt.Errorf("tagging %s: %w", tag, err)
	}
	return nil
}

// rootsAt returns the manifest of version n and the signatures it carries, not verified.
func rootsAt(ctx context.Context, src bundle.Source, n int64) (bundle.Descriptor, [][]byte, error) {
	d, err := src.Resolve(ctx, RootTag(n))
	if err != nil {
		return d, nil, err
	}
	data, err := bundle.Fetch(ctx, src, d, maxCarrier)
	if err != nil {
		return d, nil, err
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return d, nil, err
	}
	if m.ArtifactType != RootType {
		return d, nil, &Refusal{Name: bundle.BadFormat, Detail: fmt.Sprintf("it is an artifact of type %.120q, not a root document", m.ArtifactType), What: RootTag(n)}
	}
	var all [][]byte
	for _, layer := range m.Layers[:min(len(m.Layers), maxSignatures)] {
		raw, err := bundle.Fetch(ctx, src, layer, maxRootSignature)
		if err != nil {
			return d, nil, err
		}
		all = append(all, raw)
	}
	return d, all, nil
}

// SignedRoot is a root document as a registry shows it, with its signatures verified.
type SignedRoot struct {
	Root    Root
	Carrier bundle.Descriptor // of the manifest its tag leads to
}

// Successor looks for the root after r, and returns it when enough keys of the root role of r and enough of its own signed
// it (TUF specification, section 5.3). It fails with [bundle.ErrNotFound] when there is none.
//
// The windows of keys do not count here: a root is still what its owners meant when a key has run out since, and a node
// that was away for long could not come back otherwise.
func (r Root) Successor(ctx context.Context, src bundle.Source) (SignedRoot, error) {
	tag := RootTag(r.Version + 1)
	carrier, signatures, err := rootsAt(ctx, src, r.Version+1)
	if err != nil {
		return SignedRoot{}, fmt.Errorf("looking for %s: %w", tag, err)
	}
	next, err := r.VerifySuccessor(signatures)
	if err != nil {
		return SignedRoot{}, err
	}
	return SignedRoot{Root: next, Carrier: carrier}, nil
}

// VerifySuccessor reads the root after r out of its signatures, and returns it when enough keys of the root role of r and
// enough of its own signed it.
func (r Root) VerifySuccessor(signatures [][]byte) (Root, error) {
	tag := RootTag(r.Version + 1)
	payload, err := r.agreed(signatures, tag)
	if err != nil {
		return Root{}, fmt.Errorf("by the keys of root %d: %w", r.Version, err)
	}
	next, err := parseRootStatement(payload)
	if err != nil {
		return Root{}, err
	}
	if next.Version != r.Version+1 {
		return Root{}, &Refusal{Name: bundle.Rollback, Detail: fmt.Sprintf("it carries root %d", next.Version), What: tag}
	}
	own, err := next.agreed(signatures, tag)
	if err != nil {
		return Root{}, fmt.Errorf("by its own keys: %w", err)
	}
	if !bytes.Equal(own, payload) {
		return Root{}, &Refusal{Name: bundle.Equivocation, Detail: "its own keys signed another document", What: tag}
	}
	return next, nil
}

// Newest follows the successors of r as far as there are any, and returns the last. What is refused on the way ends the
// walk: the root before it is returned with the error.
func (r Root) Newest(ctx context.Context, src bundle.Source) (Root, error) {
	for range maxSuccession {
		next, err := r.Successor(ctx, src)
		if errors.Is(err, bundle.ErrNotFound) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		r = next.Root
	}
	return r, nil // the rest comes with the next look
}

// RootSigners returns the IDs of the keys of the root role of r that signed document next, sorted. Their windows do not
// count.
func (r Root) RootSigners(next Root, signatures [][]byte) ([]string, error) {
	want, err := rootStatement(next)
	if err != nil {
		return nil, err
	}
	var by []string
	for _, raw := range signatures {
		s, err := verifyEnvelope(raw, "", r.rootKeys(), time.Time{})
		if err == nil && bytes.Equal(s.Payload, want) && !slices.Contains(by, s.Key.ID()) {
			by = append(by, s.Key.ID())
		}
	}
	slices.Sort(by)
	return by, nil
}

// rootKeys are the keys of the root role without their windows.
func (r Root) rootKeys() []Key {
	keys, _, _ := r.role(RoleRoot)
	for i := range keys {
		keys[i] = Key{Public: keys[i].Public}
	}
	return keys
}

// agreed returns the one payload that at least the threshold of distinct keys of r's root role signed.
func (r Root) agreed(signatures [][]byte, tag string) ([]byte, error) {
	keys, threshold := r.rootKeys(), r.Roles[RoleRoot].Threshold
	signers := map[string][]string{} // payload to IDs of keys
	best := tally{what: tag, threshold: threshold}
	for _, raw := range signatures {
		s, err := verifyEnvelope(raw, "", keys, time.Time{})
		if err != nil {
			best.note(err)
			continue
		}
		payload := string(s.Payload)
		if !slices.Contains(signers[payload], s.Key.ID()) {
			signers[payload] = append(signers[payload], s.Key.ID())
		}
		if len(signers[payload]) > len(best.keys) {
			best.keys = signers[payload]
		}
	}
	if err := best.verdict(); err != nil {
		return nil, err
	}
	var agreed []string
	for payload, by := range signers {
		if len(by) >= threshold {
			agreed = append(agreed, payload)
		}
	}
	if len(agreed) > 1 {
		return nil, &Refusal{Name: bundle.Equivocation, Detail: "two documents were signed under one number", What: tag}
	}
	return []byte(agreed[0]), nil
}

// parseRootStatement reads a verified payload.
func parseRootStatement(payload []byte) (Root, error) {
	var s statement
	if err := decode(payload, &s); err != nil {
		return Root{}, err
	}
	if s.PredicateType != RootPredicate {
		return Root{}, &Refusal{Name: bundle.Predicate, Detail: fmt.Sprintf("it was signed as %.120q, not as a root document", s.PredicateType)}
	}
	r, err := ParseRoot(s.Predicate)
	if err != nil {
		return Root{}, err
	}
	// What was signed is the one rendering of the root; a digest that differs would name another document.
	if want, err := rootStatement(r); err != nil || !bytes.Equal(want, payload) {
		return Root{}, &Refusal{Name: bundle.BadFormat, Detail: "the statement is not about the root it carries"}
	}
	return r, nil
}

// payloadOf returns what a signature claims to sign, not verified.
func payloadOf(raw []byte) ([]byte, error) {
	b, err := parseEnvelope(raw)
	if err != nil {
		return nil, err
	}
	return b.Payload(), nil
}
