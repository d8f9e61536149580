package trust

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
)

// A Verifier verifies against one root. It may be used from several goroutines.
type Verifier struct {
	root Root
	now  func() time.Time
}

// NewVerifier verifies against root; now tells the time for the windows of keys.
func NewVerifier(root Root, now func() time.Time) *Verifier {
	return &Verifier{root: root, now: now}
}

// NewKeyVerifier verifies bundles and pointers of every channel against one public key in PEM.
func NewKeyVerifier(pem []byte, now func() time.Time) (*Verifier, error) {
	public, err := ParsePublicKey(pem)
	if err != nil {
		return nil, err
	}
	r := Root{Version: math.MaxInt32}
	for _, role := range []string{RoleRoot, RoleBundle, RoleAnyChannel} {
		r.Grant(role, 1, Key{Public: public})
	}
	return NewVerifier(r, now), nil
}

// Verified is a bundle whose signatures were verified.
type Verified struct {
	Manifest bundle.Manifest
	Config   bundle.Config
	Keys     []string // IDs of the distinct trusted keys that signed it
}

// Bundle verifies that d is signed for the role bundle and is meant for a fleet and a channel, and returns its
// documents. An empty fleet or channel is not compared.
func (v *Verifier) Bundle(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string) (Verified, error) {
	keys, err := v.signatures(ctx, src, d)
	if err != nil {
		return Verified{}, err
	}
	m, c, err := bundle.Read(ctx, src, d)
	if err != nil {
		return Verified{}, err
	}
	if fleet != "" && c.Fleet != fleet {
		return Verified{}, &Refusal{Name: bundle.WrongFleet, Detail: fmt.Sprintf("the bundle is for fleet %.80q, this is %q", c.Fleet, fleet), What: d.Digest}
	}
	if channel != "" && !slices.Contains(c.Channels, channel) {
		return Verified{}, &Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("the bundle is for the channels %.200q, not for %q", c.Channels, channel), What: d.Digest}
	}
	return Verified{Manifest: m, Config: c, Keys: keys}, nil
}

// Signature verifies that a manifest of any type is signed for the role bundle.
func (v *Verifier) Signature(ctx context.Context, src bundle.Source, d bundle.Descriptor) error {
	_, err := v.signatures(ctx, src, d)
	return err
}

// signatures returns the distinct trusted keys that signed d, at least as many as the threshold of the role bundle.
func (v *Verifier) signatures(ctx context.Context, src bundle.Source, d bundle.Descriptor) ([]string, error) {
	keys, threshold, ok := v.root.role(RoleBundle)
	if !ok {
		return nil, &Refusal{Name: bundle.WrongKey, Detail: "no key is trusted for bundles", What: d.Digest}
	}
	referrers, err := src.Referrers(ctx, d, bundle.SignatureMediaType)
	if err != nil {
		return nil, fmt.Errorf("looking for signatures of %s: %w", d.Digest, err)
	}
	t := tally{what: d.Digest, threshold: threshold}
	now := v.now()
	for _, r := range referrers[:min(len(referrers), maxSignatures)] {
		raw, err := carried(ctx, src, r, d.Digest)
		if err != nil {
			t.note(err)
			continue
		}
		s, err := verifyEnvelope(raw, d.Digest, keys, now)
		switch {
		case err != nil:
			t.note(err)
		case s.PredicateType != SignPredicate:
			t.note(&Refusal{Name: bundle.Predicate, Detail: fmt.Sprintf("a trusted key signed it as %.120q, which is not a signature of a bundle (%s)", s.PredicateType, SignPredicate)})
		default:
			t.count(s.KeyID)
		}
	}
	return t.keys, t.verdict()
}

// carried fetches the Sigstore bundle that referrer r of subject carries.
func carried(ctx context.Context, src bundle.Source, r bundle.Descriptor, subject string) ([]byte, error) {
	data, err := bundle.Fetch(ctx, src, r, maxCarrier)
	if err != nil {
		return nil, err
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return nil, err
	}
	if m.Subject == nil || m.Subject.Digest != subject || len(m.Layers) != 1 || m.Layers[0].MediaType != bundle.SignatureMediaType {
		return nil, &Refusal{Name: bundle.BadFormat, Detail: "the referrer " + r.Digest + " does not carry one signature of this"}
	}
	return bundle.Fetch(ctx, src, m.Layers[0], maxSignature)
}

// SignedPointer is a pointer as a registry shows it, with its signatures verified.
type SignedPointer struct {
	Pointer    bundle.Pointer
	Carrier    bundle.Descriptor // of the manifest the tag leads to
	Payload    string            // digest of the signed statement
	Signatures [][]byte          // Sigstore bundles, valid ones
	Keys       []string          // IDs of the distinct trusted keys that signed it
}

// Pointer returns the newest pointer of a channel and the digest of what was signed. Whether it is newer than what was
// accepted before, and not expired, is for [Memory.Accept] to say.
func (v *Verifier) Pointer(ctx context.Context, src bundle.Source, fleet, channel string) (bundle.Pointer, string, error) {
	s, err := v.SignedPointer(ctx, src, fleet, channel)
	return s.Pointer, s.Payload, err
}

// SignedPointer is like Pointer and also returns the signatures.
func (v *Verifier) SignedPointer(ctx context.Context, src bundle.Source, fleet, channel string) (SignedPointer, error) {
	tag, _ := bundle.Pointer{Channel: channel}.Tags()
	d, err := src.Resolve(ctx, tag)
	if err != nil {
		return SignedPointer{}, fmt.Errorf("looking for %s: %w", tag, err)
	}
	data, err := bundle.Fetch(ctx, src, d, maxCarrier)
	if err != nil {
		return SignedPointer{}, err
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return SignedPointer{}, fmt.Errorf("%s: %w", tag, err)
	}
	if m.ArtifactType != bundle.PointerType {
		return SignedPointer{}, &Refusal{Name: bundle.BadFormat, Detail: fmt.Sprintf("it is an artifact of type %.120q, not a channel pointer", m.ArtifactType), What: tag}
	}
	best, err := v.best(ctx, src, tag, channel, m.Layers)
	if err != nil {
		return SignedPointer{}, err
	}
	best.Carrier = d
	return best, v.belongs(best.Pointer, fleet, channel)
}

// best verifies every signature and returns the newest statement that enough distinct keys signed. Signatures of different
// statements do not add up. Who can write to a registry can put an old pointer beside the new one: that changes nothing.
func (v *Verifier) best(ctx context.Context, src bundle.Source, tag, channel string, layers []bundle.Descriptor) (SignedPointer, error) {
	keys, threshold, ok := v.root.role(RoleChannel(channel))
	if !ok {
		return SignedPointer{}, &Refusal{Name: bundle.WrongKey, Detail: fmt.Sprintf("no key is trusted for channel %q", channel), What: tag}
	}
	t := tally{what: tag, threshold: threshold}
	found := map[string]*SignedPointer{}
	now := v.now()
	for _, layer := range layers[:min(len(layers), maxSignatures)] {
		raw, err := bundle.Fetch(ctx, src, layer, maxSignature)
		if err != nil {
			t.note(err)
			continue
		}
		s, err := verifyEnvelope(raw, "", keys, now)
		if err != nil {
			t.note(err)
			continue
		}
		p, err := parsePointer(s.Payload)
		if err != nil {
			t.note(err)
			continue
		}
		digest := bundle.DigestOf(s.Payload)
		if found[digest] == nil {
			found[digest] = &SignedPointer{Pointer: p, Payload: digest}
		}
		one := found[digest]
		if !slices.Contains(one.Keys, s.KeyID) {
			one.Keys, one.Signatures = append(one.Keys, s.KeyID), append(one.Signatures, raw)
		}
		if len(one.Keys) > len(t.keys) {
			t.keys = one.Keys
		}
	}
	if err := t.verdict(); err != nil {
		return SignedPointer{}, err
	}
	return newestOf(found, threshold, tag)
}

// newestOf returns the newest of the statements that have enough signatures, and refuses two of one number.
func newestOf(found map[string]*SignedPointer, threshold int, tag string) (SignedPointer, error) {
	var best, twin *SignedPointer
	for _, one := range found {
		if len(one.Keys) < threshold {
			continue
		}
		switch {
		case best == nil || one.Pointer.Compare(best.Pointer) > 0:
			best, twin = one, nil
		case one.Pointer.Compare(best.Pointer) == 0:
			twin = one
		}
	}
	switch {
	case best == nil:
		return SignedPointer{}, errors.New("verifying a pointer: no statement has the signatures that were counted")
	case twin != nil:
		return SignedPointer{}, &Refusal{Name: bundle.Equivocation, What: tag,
			Detail: fmt.Sprintf("it carries two pointers %s, %s and %s", best.Pointer.Version(), min(best.Payload, twin.Payload), max(best.Payload, twin.Payload))}
	}
	return *best, nil
}

// belongs refuses a pointer that is meant for somebody else.
func (v *Verifier) belongs(p bundle.Pointer, fleet, channel string) error {
	what := "pointer " + p.Version()
	switch {
	case p.Channel != channel:
		return &Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("it is for channel %.80q, not for %q", p.Channel, channel), What: what}
	case fleet != "" && p.Fleet != fleet:
		return &Refusal{Name: bundle.WrongFleet, Detail: fmt.Sprintf("it is for fleet %.80q, not for %q", p.Fleet, fleet), What: what}
	case p.Epoch > v.root.Version:
		return &Refusal{Name: bundle.WrongEpoch, Detail: fmt.Sprintf("its epoch is %d, the trusted root has version %d", p.Epoch, v.root.Version), What: what}
	}
	return nil
}
