package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/rollout"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
)

// statement is an in-toto statement v1. Its JSON is what cosign writes, field by field.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// envelope is a Sigstore bundle v0.3 around a DSSE envelope that was signed with a key. Writing it takes no more than
// this; a test holds it against sigstore-go. Reading and verifying is left to package sigstore.
type envelope struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	DSSE struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []sig  `json:"signatures"`
	} `json:"dsseEnvelope"`
}

type sig struct {
	Sig []byte `json:"sig"`
}

func encodeEnvelope(hint string, payload, signature []byte) ([]byte, error) {
	var e envelope
	e.MediaType = bundle.SignatureMediaType
	e.VerificationMaterial.PublicKey.Hint = hint
	e.DSSE.Payload, e.DSSE.PayloadType, e.DSSE.Signatures = payload, payloadType, []sig{{signature}}
	return compactJSON(e)
}

// preAuth is the pre-authentication encoding of DSSE v1: what is really signed.
func preAuth(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// compactJSON is json.Marshal without the escapes for HTML.
func compactJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func statementAbout(digest, predicateType string, predicate []byte) ([]byte, error) {
	if _, err := bundle.ParseDigest(digest); err != nil {
		return nil, err
	}
	return compactJSON(statement{
		Type:          statementType,
		Subject:       []subject{{Digest: map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}, Annotations: map[string]string{}}},
		PredicateType: predicateType,
		Predicate:     predicate,
	})
}

func manifestStatement(digest string) ([]byte, error) {
	return statementAbout(digest, SignPredicate, []byte("{}"))
}

// PointerPayload renders what is signed for a pointer: an in-toto statement about the stable bundle with the pointer as
// predicate. Equal pointers give equal bytes, so that several people can sign the same. Its digest is what
// [Memory.Accept] and Pointer.Prev call the payload.
func PointerPayload(p bundle.Pointer) ([]byte, error) {
	p.Issued, p.Expires = p.Issued.UTC().Truncate(time.Second), p.Expires.UTC().Truncate(time.Second)
	if err := checkPointer(p); err != nil {
		return nil, err
	}
	predicate, err := compactJSON(p)
	if err != nil {
		return nil, err
	}
	return statementAbout(p.Stable.Digest, bundle.PointerPredicate, predicate)
}

// parsePointer reads a verified payload.
func parsePointer(payload []byte) (bundle.Pointer, error) {
	var s statement
	if err := decode(payload, &s); err != nil {
		return bundle.Pointer{}, err
	}
	if s.PredicateType != bundle.PointerPredicate {
		return bundle.Pointer{}, &Refusal{Name: bundle.Predicate, Detail: fmt.Sprintf("it was signed as %.120q, not as a channel pointer", s.PredicateType)}
	}
	var p bundle.Pointer
	if err := decode(s.Predicate, &p); err != nil {
		return bundle.Pointer{}, err
	}
	if len(s.Subject) != 1 || "sha256:"+s.Subject[0].Digest["sha256"] != p.Stable.Digest {
		return bundle.Pointer{}, &Refusal{Name: bundle.BadFormat, Detail: "the statement is about another bundle than the pointer names"}
	}
	return p, checkPointer(p)
}

// The most a pointer may hold.
const (
	maxPrefetch = 64
	maxRevoked  = 1024
	maxModes    = 64
	maxWhen     = 4096 // characters of the condition of a stage
)

// written says whether a time can be written as it is signed: in UTC, in a year of four digits. One that can be read from JSON
// may fall out of those by its zone.
func written(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 0 && year <= 9999
}

func checkPointer(p bundle.Pointer) error {
	refuse := func(name, detail string) error {
		return &Refusal{Name: name, Detail: detail, What: "pointer " + p.Version()}
	}
	switch {
	case p.Fleet == "" || p.Channel == "":
		return refuse(bundle.BadFormat, "the pointer names no fleet or no channel")
	case p.Epoch < 0 || p.Seq < 1:
		return refuse(bundle.BadFormat, "the number of the pointer is not positive")
	case p.Issued.IsZero() || p.Expires.Before(p.Issued):
		return refuse(bundle.BadFormat, "the pointer expires before it is issued")
	case !written(p.Issued) || !written(p.Expires):
		return refuse(bundle.BadFormat, "the times of the pointer are of no year that can be written")
	case len(p.Prefetch) > maxPrefetch || len(p.Revoked) > maxRevoked || len(p.Modes) > maxModes:
		return refuse(bundle.TooLarge, fmt.Sprintf("more than %d bundles to prefetch, %d revoked ones or %d modes", maxPrefetch, maxRevoked, maxModes))
	}
	if err := checkOrder(p.Order); err != nil {
		return refuse(bundle.TooLarge, err.Error())
	}
	targets := append([]bundle.Target{p.Stable}, p.Prefetch...)
	if p.Secrets != nil {
		targets = append(targets, *p.Secrets)
	}
	for _, t := range []*bundle.Target{p.Candidate, p.CandidateSecrets} {
		if t != nil {
			targets = append(targets, *t)
		}
	}
	if err := checkDirective(p, refuse); err != nil {
		return err
	}
	for _, t := range targets {
		if _, err := bundle.ParseDigest(t.Digest); err != nil {
			return err
		}
		if t.Size <= 0 || t.Size > bundle.MaxManifest {
			return refuse(bundle.BadFormat, fmt.Sprintf("a manifest of %d bytes is named", t.Size))
		}
	}
	for _, digest := range p.Revoked {
		if _, err := bundle.ParseDigest(digest); err != nil {
			return err
		}
		if digest == p.Stable.Digest || p.Candidate != nil && digest == p.Candidate.Digest {
			return &Refusal{Name: bundle.Revoked, Detail: "pointer " + p.Version() + " names a bundle that it revokes", What: digest}
		}
	}
	return nil
}

// checkDirective bounds what a pointer says of a rollout, which every node of the channel reads.
func checkDirective(p bundle.Pointer, refuse func(name, detail string) error) error {
	d := p.Rollout
	switch {
	case d == nil:
		return nil
	case p.Candidate == nil || d.ID == "" || len(d.ID) > 128 || len(d.Salt) > 128:
		return refuse(bundle.BadFormat, "the pointer has a rollout without a candidate or a name")
	case len(d.Admit) > rollout.MaxStages || len(d.Keep) > rollout.MaxKept || len(d.Revert) > rollout.MaxKept:
		return refuse(bundle.TooLarge, fmt.Sprintf("more than %d stages, or %d bundles to keep or to leave", rollout.MaxStages, rollout.MaxKept))
	}
	for _, a := range d.Admit {
		if a.Stage == "" || len(a.Stage) > 128 || len(a.When) > maxWhen {
			return refuse(bundle.BadFormat, "a stage of the rollout has no name, or a condition that is too long")
		}
	}
	for _, digest := range append(slices.Clone(d.Keep), d.Revert...) {
		if _, err := bundle.ParseDigest(digest); err != nil {
			return err
		}
	}
	return nil
}

// decode reads one JSON document and nothing after it. Fields it does not know are left alone.
func decode(data []byte, v any) error { return decodeWith(json.NewDecoder(bytes.NewReader(data)), v) }

// decodeStrict is decode with a limit, refusing fields it does not know.
func decodeStrict(data []byte, limit int, v any) error {
	if len(data) > limit {
		return &Refusal{Name: bundle.TooLarge, Detail: fmt.Sprintf("the document has more than %d bytes", limit)}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return decodeWith(d, v)
}

func decodeWith(d *json.Decoder, v any) error {
	if err := d.Decode(v); err != nil {
		return &Refusal{Name: bundle.BadFormat, Detail: "not the document that was expected: " + err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &Refusal{Name: bundle.Trailing, Detail: "there are bytes after the end of the document"}
	}
	return nil
}
