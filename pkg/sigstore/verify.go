package sigstore

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

var errEnvelope = errors.New("the bundle holds no DSSE envelope")

// VerifyKey verifies that a bundle is signed with a key and holds a statement about subject, the SHA-256 of something; an
// empty subject is not compared. Whether the key is trusted at this time is left to the caller.
//
// cosign up to 3.1.3 signs with Ed25519ph when it is given an Ed25519 key, so both forms are accepted; RFC 8032 separates
// them, one signature never verifies as the other.
func (b *Bundle) VerifyKey(key crypto.PublicKey, subject []byte) (Statement, error) {
	if b.envelope == nil {
		return Statement{}, errEnvelope
	}
	if b.Keyless() {
		return Statement{}, errors.New("the bundle is signed with a certificate, not with a key")
	}
	how, err := registered(key)
	if err != nil {
		return Statement{}, err
	}
	schemes := []scheme{how}
	if _, ok := key.(ed25519.PublicKey); ok {
		schemes = append(schemes, scheme{})
	}
	if err := b.envelope.verify(key, schemes); err != nil {
		return Statement{}, err
	}
	predicateType, err := b.envelope.statement(subject)
	return Statement{PredicateType: predicateType}, err
}

// VerifyKeyless verifies that a bundle is signed with a certificate that a Sigstore instance issued, was used while it was
// valid, and holds a statement about subject, the SHA-256 of something; an empty subject is not compared. Who signed is for
// the caller to judge.
//
// What the trusted root names is asked for: with a log of certificates the certificate has to be in one, with a log of
// signatures the signature, and one of the latter or a timestamp authority must say when it was signed. The certificate must
// have been valid at all of these times.
func (b *Bundle) VerifyKeyless(t *TrustedRoot, subject []byte) (Statement, error) {
	if b.envelope == nil {
		return Statement{}, errEnvelope
	}
	if !b.Keyless() {
		return Statement{}, errors.New("the bundle is signed with a key, not with a certificate")
	}
	leaf, signer, err := parseLeaf(b.leaf)
	if err != nil {
		return Statement{}, err
	}
	s := signedEnvelope{envelope: b.envelope, certificate: leaf}
	if len(b.envelope.signatures) > 0 {
		s.signature = b.envelope.signatures[0].sig
	}
	times, err := b.witnessedAt(t, s)
	if err != nil {
		return Statement{}, err
	}
	for _, at := range times {
		chains, err := t.chains(leaf, at)
		if err != nil {
			return Statement{}, err
		}
		if len(t.ctLogs) == 0 {
			continue
		}
		if err := t.certified(chains); err != nil {
			return Statement{}, err
		}
	}
	schemes, err := ofEnvelopes(leaf.PublicKey)
	if err != nil {
		return Statement{}, err
	}
	if err := b.envelope.verify(leaf.PublicKey, schemes); err != nil {
		return Statement{}, err
	}
	predicateType, err := b.envelope.statement(subject)
	return Statement{PredicateType: predicateType, Signer: signer}, err
}

// witnessedAt returns the times, at least one, at which logs and timestamp authorities say that the signature was there.
func (b *Bundle) witnessedAt(t *TrustedRoot, s signedEnvelope) ([]time.Time, error) {
	var times []time.Time
	if len(t.logs) > 0 {
		logged, err := t.logged(s, b.entries)
		if err != nil {
			return nil, err
		}
		times = logged
	}
	if len(b.timestamps) > maxTimestamps {
		return nil, fmt.Errorf("it holds more than %d timestamps", maxTimestamps)
	}
	stamped, ignored := t.stamped(s.signature, b.timestamps)
	if times = append(times, stamped...); len(times) == 0 {
		return nil, errors.Join(errors.New("nobody who is trusted says when it was signed"), ignored)
	}
	return times, nil
}
