package trust

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	sigstorebundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"vigo.dev/pkg/bundle"
)

// signed is what a Sigstore bundle holds after it was verified.
type signed struct {
	Key           Key // the trusted one
	PredicateType string
	Payload       []byte // the signed statement
}

// window is a key that may sign between two times. It answers for the injected clock: sigstore-go itself only knows
// that of the operating system.
type window struct {
	signature.Verifier
	valid bool
}

// ValidAtTime implements root.TimeConstrainedVerifier.
func (w window) ValidAtTime(time.Time) bool { return w.valid }

// verifyEnvelope verifies raw with one of keys. subject, if not empty, is the digest the statement must be about.
// Verification is offline.
func verifyEnvelope(raw []byte, subject string, keys []Key, now time.Time) (signed, error) {
	var b sigstorebundle.Bundle
	if err := b.UnmarshalJSON(raw); err != nil {
		return signed{}, &Refusal{Name: bundle.BadFormat, Detail: "not a Sigstore bundle: " + oneLine(err)}
	}
	envelope := b.GetDsseEnvelope()
	if envelope == nil {
		return signed{}, &Refusal{Name: bundle.BadFormat, Detail: "the Sigstore bundle holds no DSSE envelope"}
	}
	material := b.GetVerificationMaterial()
	if material.GetCertificate() != nil || material.GetX509CertificateChain() != nil {
		s, err := verifyKeyless(&b, subject, keys, now)
		s.Payload = envelope.GetPayload()
		return s, err
	}
	hint := material.GetPublicKey().GetHint()
	candidates, known := withHint(keys, hint)
	for _, k := range candidates {
		s, err := verifyWith(&b, subject, k, now)
		if err == nil {
			s.Payload = envelope.GetPayload()
			return s, nil
		}
		if known {
			return signed{}, err
		}
	}
	return signed{}, &Refusal{Name: bundle.WrongKey, Detail: fmt.Sprintf("it is signed by key %.60q, which is not trusted for this", hint)}
}

// withHint picks the keys a signature can be by. A hint is not part of what is signed: when it names no key, all are
// tried.
func withHint(keys []Key, hint string) (candidates []Key, known bool) {
	for _, k := range keys {
		if k.Identity != nil {
			continue
		}
		if k.ID() == hint {
			return []Key{k}, true
		}
		candidates = append(candidates, k)
	}
	return candidates, false
}

// artifactPolicy asks that a statement is about subject, when there is one. Without, it stands for itself, and the caller
// compares.
func artifactPolicy(subject string) (verify.ArtifactPolicyOption, error) {
	if subject == "" {
		return verify.WithoutArtifactUnsafe(), nil
	}
	sum, err := bundle.ParseDigest(subject)
	if err != nil {
		return nil, err
	}
	return verify.WithArtifactDigest("sha256", sum), nil
}

func verifyWith(b *sigstorebundle.Bundle, subject string, k Key, now time.Time) (signed, error) {
	artifact, err := artifactPolicy(subject)
	if err != nil {
		return signed{}, err
	}
	verifiers, err := verifiersOf(k.Public.key)
	if err != nil {
		return signed{}, err
	}
	expired := k.usable(now)
	var failed error
	for _, one := range verifiers {
		material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return window{Verifier: one, valid: expired == nil}, nil
		})
		// Not WithNoObserverTimestamps, which overlooks the windows of keys.
		v, err := verify.NewVerifier(material, verify.WithCurrentTime())
		if err != nil {
			return signed{}, fmt.Errorf("setting up verification: %w", err)
		}
		res, err := v.Verify(b, verify.NewPolicy(artifact, verify.WithKey()))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		return signed{Key: k, PredicateType: res.Statement.GetPredicateType()}, nil
	}
	if expired != nil {
		return signed{}, expired
	}
	return signed{}, &Refusal{Name: bundle.BadSignature, Detail: "it does not verify with key " + k.ID() + ": " + oneLine(failed)}
}

// verifiersOf returns what may verify with a key. cosign up to 3.1.3 signs with Ed25519ph when it is given an Ed25519
// key, so both forms are accepted; RFC 8032 separates them, one signature never verifies as the other.
func verifiersOf(key crypto.PublicKey) ([]signature.Verifier, error) {
	plain, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("loading a key: %w", err)
	}
	if _, ok := key.(ed25519.PublicKey); !ok {
		return []signature.Verifier{plain}, nil
	}
	prehashed, err := signature.LoadVerifierWithOpts(key, options.WithED25519ph(), options.WithHash(crypto.SHA512))
	if err != nil {
		return nil, fmt.Errorf("loading a key: %w", err)
	}
	return []signature.Verifier{plain, prehashed}, nil
}

// oneLine makes what a parser says fit for a report.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
