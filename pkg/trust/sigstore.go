package trust

import (
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/sigstore"
)

// signed is what a Sigstore bundle holds after it was verified.
type signed struct {
	Key           Key // the trusted one
	PredicateType string
	Payload       []byte // the signed statement
}

// parseEnvelope reads a Sigstore bundle.
func parseEnvelope(raw []byte) (*sigstore.Bundle, error) {
	b, err := sigstore.ParseBundle(raw)
	if err != nil {
		return nil, &Refusal{Name: bundle.BadFormat, Detail: "not a Sigstore bundle: " + oneLine(err)}
	}
	return b, nil
}

// verifyEnvelope verifies raw with one of keys. subject, if not empty, is the digest the statement must be about.
// Verification is offline.
func verifyEnvelope(raw []byte, subject string, keys []Key, now time.Time) (signed, error) {
	b, err := parseEnvelope(raw)
	if err != nil {
		return signed{}, err
	}
	if !b.Envelope() {
		return signed{}, &Refusal{Name: bundle.BadFormat, Detail: "the Sigstore bundle holds no DSSE envelope"}
	}
	var sum []byte
	if subject != "" {
		if sum, err = bundle.ParseDigest(subject); err != nil {
			return signed{}, err
		}
	}
	if b.Keyless() {
		return verifyKeyless(b, sum, keys, now)
	}
	candidates, known := withHint(keys, b.Hint())
	for _, k := range candidates {
		s, err := verifyWith(b, sum, k, now)
		if err == nil || known {
			return s, err
		}
	}
	return signed{}, &Refusal{Name: bundle.WrongKey, Detail: fmt.Sprintf("it is signed by key %.60q, which is not trusted for this", b.Hint())}
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

func verifyWith(b *sigstore.Bundle, subject []byte, k Key, now time.Time) (signed, error) {
	if err := k.usable(now); err != nil {
		return signed{}, err
	}
	s, err := b.VerifyKey(k.Public.key, subject)
	if err != nil {
		return signed{}, &Refusal{Name: bundle.BadSignature, Detail: "it does not verify with key " + k.ID() + ": " + oneLine(err)}
	}
	return signed{Key: k, PredicateType: s.PredicateType, Payload: b.Payload()}, nil
}

// oneLine makes what a parser says fit for a report.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
