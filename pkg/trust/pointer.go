package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
)

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
	return v.pointerAt(ctx, src, d, tag, fleet, channel)
}

// pointerAt is SignedPointer for the manifest that tag leads to.
func (v *Verifier) pointerAt(ctx context.Context, src bundle.Source, d bundle.Descriptor, tag, fleet, channel string) (SignedPointer, error) {
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
		return SignedPointer{}, v.refuse(CheckKey, tag, &Refusal{Name: bundle.WrongKey, Detail: fmt.Sprintf("no key is trusted for channel %q", channel), What: tag})
	}
	t := tally{what: tag, threshold: threshold}
	found := map[string]*SignedPointer{}
	now := v.now()
	for _, layer := range layers[:min(len(layers), maxSignatures)] {
		raw, s, p, err := v.signedPointer(ctx, src, layer, keys, now)
		if err != nil {
			t.note(err)
			v.ignore(aspect(err), layer.Digest, err)
			continue
		}
		v.seeKey(layer.Digest, p.Stable.Digest, s)
		digest := bundle.DigestOf(s.Payload)
		if found[digest] == nil {
			found[digest] = &SignedPointer{Pointer: p, Payload: digest}
		}
		one := found[digest]
		if id := s.Key.ID(); !slices.Contains(one.Keys, id) {
			one.Keys, one.Signatures = append(one.Keys, id), append(one.Signatures, raw)
		}
		if len(one.Keys) > len(t.keys) {
			t.keys = one.Keys
		}
	}
	if err := v.counted(&t); err != nil {
		return SignedPointer{}, err
	}
	best, err := newestOf(found, threshold, tag)
	return best, v.refuse(CheckSequence, tag, err)
}

// signedPointer reads and verifies one signature of a pointer.
func (v *Verifier) signedPointer(ctx context.Context, src bundle.Source, layer bundle.Descriptor, keys []Key, now time.Time) (raw []byte, s signed, p bundle.Pointer, err error) {
	if raw, err = bundle.Fetch(ctx, src, layer, maxSignature); err != nil {
		return nil, s, p, err
	}
	if s, err = verifyEnvelope(raw, "", keys, now); err != nil {
		return nil, s, p, err
	}
	p, err = parsePointer(s.Payload)
	return raw, s, p, err
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
	if p.Channel != channel {
		return v.refuse(CheckChannel, what, &Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("it is for channel %.80q, not for %q", p.Channel, channel), What: what})
	}
	v.see(CheckChannel, what, fmt.Sprintf("it is for channel %q", p.Channel))
	if fleet != "" && p.Fleet != fleet {
		return v.refuse(CheckFleet, what, &Refusal{Name: bundle.WrongFleet, Detail: fmt.Sprintf("it is for fleet %.80q, not for %q", p.Fleet, fleet), What: what})
	}
	v.see(CheckFleet, what, fmt.Sprintf("it is for fleet %.80q", p.Fleet))
	if p.Epoch > v.root.Version {
		return v.refuse(CheckEpoch, what,
			&Refusal{Name: bundle.WrongEpoch, Detail: fmt.Sprintf("its epoch is %d, the trusted root has version %d", p.Epoch, v.root.Version), What: what})
	}
	v.see(CheckEpoch, what, fmt.Sprintf("its epoch is %d, which the trusted root knows", p.Epoch))
	return nil
}

// ClaimedPointers returns what a manifest claims to be pointers, without verifying anything: for who wants to know which
// bundles may be needed, whoever says so. What cannot be read as a pointer is left out; an error means that it could not
// be looked at.
func ClaimedPointers(ctx context.Context, src bundle.Source, m bundle.Manifest) ([]bundle.Pointer, error) {
	var claimed []bundle.Pointer
	for _, layer := range m.Layers {
		raw, err := bundle.Fetch(ctx, src, layer, maxSignature)
		if errors.As(err, new(*Refusal)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		payload, err := payloadOf(raw)
		if err != nil {
			continue
		}
		if p, err := parsePointer(payload); err == nil {
			claimed = append(claimed, p)
		}
	}
	return claimed, nil
}
