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
	name string      // of what it trusts, for people
	seen func(Check) // is told what was looked at; nil: nobody is
}

// NewVerifier verifies against root; now tells the time for the windows of keys.
func NewVerifier(root Root, now func() time.Time) *Verifier {
	return &Verifier{root: root, now: now, name: fmt.Sprintf("listed in root %d", root.Version)}
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
	v := NewVerifier(r, now)
	v.name = "the one that was given"
	return v, nil
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
	m, c, err := v.documents(ctx, src, d, fleet, channel)
	if err != nil {
		return Verified{}, err
	}
	return Verified{Manifest: m, Config: c, Keys: keys}, nil
}

// documents returns manifest and config of a bundle that is meant for a fleet and a channel.
func (v *Verifier) documents(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string) (bundle.Manifest, bundle.Config, error) {
	m, c, err := bundle.Read(ctx, src, d)
	if err != nil {
		return m, c, v.refuse(CheckConfig, d.Digest, err)
	}
	v.see(CheckConfig, d.Digest, fmt.Sprintf("manifest and config name the same %s", shortly(len(c.Layers), "layer")))
	err = v.ofFleet(d, c, fleet)
	if e := v.ofChannel(d, c, channel); err == nil {
		err = e
	}
	return m, c, err
}

// ofFleet refuses a bundle that is meant for another fleet.
func (v *Verifier) ofFleet(d bundle.Descriptor, c bundle.Config, fleet string) error {
	if fleet != "" && c.Fleet != fleet {
		return v.refuse(CheckFleet, d.Digest, &Refusal{Name: bundle.WrongFleet, Detail: fmt.Sprintf("the bundle is for fleet %.80q, this is %q", c.Fleet, fleet), What: d.Digest})
	}
	v.see(CheckFleet, d.Digest, fmt.Sprintf("the bundle is for fleet %.80q", c.Fleet))
	return nil
}

// ofChannel refuses a bundle that is not meant for a channel.
func (v *Verifier) ofChannel(d bundle.Descriptor, c bundle.Config, channel string) error {
	if channel != "" && !slices.Contains(c.Channels, channel) {
		return v.refuse(CheckChannel, d.Digest,
			&Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("the bundle is for the channels %.200q, not for %q", c.Channels, channel), What: d.Digest})
	}
	v.see(CheckChannel, d.Digest, fmt.Sprintf("the bundle is for the channels %.200q", c.Channels))
	return nil
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
		return nil, v.refuse(CheckKey, d.Digest, &Refusal{Name: bundle.WrongKey, Detail: "no key is trusted for bundles", What: d.Digest})
	}
	referrers, err := src.Referrers(ctx, d, bundle.SignatureMediaType)
	if err != nil {
		return nil, v.refuse(CheckSignature, d.Digest, fmt.Errorf("looking for signatures of %s: %w", d.Digest, err))
	}
	t := tally{what: d.Digest, threshold: threshold}
	now := v.now()
	var other error // what refers to most bundles and is looked at for itself
	for _, r := range referrers[:min(len(referrers), maxSignatures)] {
		raw, err := carried(ctx, src, r, d.Digest)
		if err != nil {
			t.note(err)
			v.ignore(aspect(err), r.Digest, err)
			continue
		}
		// What is claimed here is what would be verified.
		if c := claimed(raw); c == ProvenancePredicate || c == PromotionPredicate {
			other = &Refusal{Name: bundle.Predicate, Detail: fmt.Sprintf("it carries %s, which is not a signature of a bundle (%s)", c, SignPredicate)}
			continue
		}
		s, err := verifyEnvelope(raw, d.Digest, keys, now)
		switch {
		case err != nil:
			t.note(err)
			v.ignore(aspect(err), r.Digest, err)
		case s.PredicateType != SignPredicate:
			err := &Refusal{Name: bundle.Predicate, Detail: fmt.Sprintf("a trusted key signed it as %.120q, which is not a signature of a bundle (%s)", s.PredicateType, SignPredicate)}
			t.note(err)
			v.ignore(aspect(err), r.Digest, err)
		default:
			t.count(s.Key.ID())
			v.seeKey(r.Digest, d.Digest, s)
		}
	}
	if other != nil && len(t.keys)+len(t.refused) == 0 {
		t.note(other)
	}
	return t.keys, v.counted(&t)
}

// Signers returns the distinct keys of the role bundle that signed a manifest, be they enough or not. It fails when it could
// not be looked at and nobody is known.
func (v *Verifier) Signers(ctx context.Context, src bundle.Source, d bundle.Descriptor) ([]string, error) {
	keys, err := v.signatures(ctx, src, d)
	if len(keys) > 0 || errors.As(err, new(*Refusal)) {
		err = nil
	}
	return keys, err
}

// counted is the verdict of a tally, told to whoever watches.
func (v *Verifier) counted(t *tally) error {
	if err := t.verdict(); err != nil {
		return v.refuse(aspect(err), t.what, err)
	}
	v.see(CheckThreshold, t.what, fmt.Sprintf("signed by %s, of at least %d that must", shortly(len(t.keys), "trusted key"), t.threshold))
	return nil
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
