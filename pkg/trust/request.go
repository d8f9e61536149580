package trust

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"vigo.dev/pkg/bundle"
)

// PromotionPredicate is the predicate type of a request to give a channel a bundle. Who signs one approves of it.
const PromotionPredicate = "https://vigo.dev/promotion/v1"

// PromotionType is the artifact type of the manifest that carries the open request of a channel, unsigned.
const PromotionType = "application/vnd.vigo.promotion.v1"

// PromotionTag names the open request of a channel. It moves: a new request takes the place of the one before.
func PromotionTag(channel string) string { return "promotion-" + channel }

// A Request asks that a channel be given a bundle. Everybody who approves signs the same bytes, so that nobody's approval
// of one thing counts for another.
type Request struct {
	Fleet     string        `json:"fleet"`
	Channel   string        `json:"channel"`
	Bundle    bundle.Target `json:"bundle"`
	From      Base          `json:"from"` // where the channel was when it was asked
	Requested time.Time     `json:"requested"`
	Note      string        `json:"note,omitempty"` // why, for who is to approve
}

// A Base is where a channel was. The zero value: nothing was published on it.
type Base struct {
	Epoch  int64  `json:"epoch"`
	Seq    int64  `json:"seq"`              // 0: before the first pointer of the epoch
	Digest string `json:"digest,omitempty"` // of the bundle its pointer named
}

// Version renders epoch and number as those of a pointer, or "nothing".
func (b Base) Version() string {
	if b == (Base{}) {
		return "nothing"
	}
	return bundle.Pointer{Epoch: b.Epoch, Seq: b.Seq}.Version()
}

// before says whether b is of a pointer before that of c.
func (b Base) before(c Base) bool {
	return bundle.Pointer{Epoch: b.Epoch, Seq: b.Seq}.Compare(bundle.Pointer{Epoch: c.Epoch, Seq: c.Seq}) < 0
}

// The most a request may hold, in bytes.
const (
	maxNote    = 1 << 10
	maxRequest = 16 << 10
)

// Payload renders what is signed: an in-toto statement about the bundle with the request as predicate. Equal requests give
// equal bytes.
func (r Request) Payload() ([]byte, error) {
	r.Requested = r.Requested.UTC().Truncate(time.Second)
	if err := r.check(); err != nil {
		return nil, err
	}
	predicate, err := compactJSON(r)
	if err != nil {
		return nil, err
	}
	return statementAbout(r.Bundle.Digest, PromotionPredicate, predicate)
}

func (r Request) check() error {
	bad := func(detail string) error {
		return &Refusal{Name: bundle.BadFormat, Detail: detail, What: "the promotion request"}
	}
	if _, err := bundle.ParseDigest(r.Bundle.Digest); err != nil {
		return err
	}
	switch {
	case r.Fleet == "" || r.Channel == "":
		return bad("it names no fleet or no channel")
	case r.Bundle.Size <= 0 || r.Bundle.Size > bundle.MaxManifest:
		return bad(fmt.Sprintf("it names a manifest of %d bytes", r.Bundle.Size))
	case r.From.Epoch < 0 || r.From.Seq < 0 || (r.From.Seq == 0) != (r.From.Digest == ""):
		return bad("it names a pointer that cannot be")
	case r.Requested.IsZero() || !written(r.Requested):
		return bad("it does not say when it was asked")
	case len(r.Note) > maxNote:
		return bad(fmt.Sprintf("its note has more than %d bytes", maxNote))
	}
	return nil
}

// parseRequest reads a payload. Only the one rendering of a request is accepted: what people were shown is what they signed.
func parseRequest(payload []byte) (Request, error) {
	var s statement
	if err := decode(payload, &s); err != nil {
		return Request{}, err
	}
	if s.PredicateType != PromotionPredicate {
		return Request{}, &Refusal{Name: bundle.Predicate, Detail: fmt.Sprintf("it was signed as %.120q, not as an approval", s.PredicateType)}
	}
	var r Request
	if err := decodeStrict(s.Predicate, maxRequest, &r); err != nil {
		return Request{}, err
	}
	want, err := r.Payload()
	if err != nil {
		return Request{}, err
	}
	if !bytes.Equal(want, payload) {
		return Request{}, &Refusal{Name: bundle.BadFormat, Detail: "the statement is not the one that such a request makes"}
	}
	return r, nil
}

// PublishRequest stores a request under its [PromotionTag], in place of the one before. It is not signed: it does nothing
// by itself.
func PublishRequest(ctx context.Context, store bundle.Store, r Request) error {
	payload, err := r.Payload()
	if err != nil {
		return fmt.Errorf("publishing a promotion request: %w", err)
	}
	tag := PromotionTag(r.Channel)
	d, err := pushCarrier(ctx, store, bundle.Manifest{
		SchemaVersion: 2, MediaType: bundle.ManifestMediaType, ArtifactType: PromotionType,
		Config:      bundle.DescriptorOf(emptyMediaType, []byte("{}")),
		Layers:      []bundle.Descriptor{bundle.DescriptorOf(payloadType, payload)},
		Annotations: map[string]string{bundle.AnnotationCreated: r.Requested.UTC().Format(time.RFC3339)},
	}, [][]byte{payload})
	if err != nil {
		return fmt.Errorf("publishing %s: %w", tag, err)
	}
	if err := store.Tag(ctx, d, tag); err != nil {
		return fmt.Errorf("tagging %s: %w", tag, err)
	}
	return nil
}

// OpenRequest returns the open request of a channel, and the digest of what is signed to approve it. It fails with
// [bundle.ErrNotFound] when there is none.
func OpenRequest(ctx context.Context, src bundle.Source, fleet, channel string) (Request, string, error) {
	tag := PromotionTag(channel)
	d, err := src.Resolve(ctx, tag)
	if err != nil {
		return Request{}, "", fmt.Errorf("looking for %s: %w", tag, err)
	}
	data, err := bundle.Fetch(ctx, src, d, maxCarrier)
	if err != nil {
		return Request{}, "", err
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return Request{}, "", fmt.Errorf("%s: %w", tag, err)
	}
	if m.ArtifactType != PromotionType || len(m.Layers) != 1 {
		return Request{}, "", &Refusal{Name: bundle.BadFormat, Detail: fmt.Sprintf("it is an artifact of type %.120q, not a promotion request", m.ArtifactType), What: tag}
	}
	payload, err := bundle.Fetch(ctx, src, m.Layers[0], maxRequest)
	if err != nil {
		return Request{}, "", err
	}
	r, err := parseRequest(payload)
	switch {
	case err != nil:
		return Request{}, "", fmt.Errorf("%s: %w", tag, err)
	case r.Channel != channel:
		return Request{}, "", &Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("the request is for channel %.80q", r.Channel), What: tag}
	case fleet != "" && r.Fleet != fleet:
		return Request{}, "", &Refusal{Name: bundle.WrongFleet, Detail: fmt.Sprintf("the request is for fleet %.80q, not for %q", r.Fleet, fleet), What: tag}
	}
	return r, bundle.DigestOf(payload), nil
}

// RequestedBundle returns the digest of the bundle that a manifest of [PromotionType] asks for.
func RequestedBundle(ctx context.Context, src bundle.Source, m bundle.Manifest) (string, error) {
	r, err := ReadRequest(ctx, src, m)
	return r.Bundle.Digest, err
}

// ReadRequest returns the request that a manifest of [PromotionType] carries.
func ReadRequest(ctx context.Context, src bundle.Source, m bundle.Manifest) (Request, error) {
	if len(m.Layers) != 1 {
		return Request{}, &Refusal{Name: bundle.BadFormat, Detail: "it is no promotion request"}
	}
	payload, err := bundle.Fetch(ctx, src, m.Layers[0], maxRequest)
	if err != nil {
		return Request{}, err
	}
	return parseRequest(payload)
}

// Approve signs a request. The result is a Sigstore bundle for [AttachApproval].
func (s *Signer) Approve(ctx context.Context, r Request) ([]byte, error) {
	payload, err := r.Payload()
	if err != nil {
		return nil, fmt.Errorf("approving a promotion: %w", err)
	}
	return s.sign(ctx, payload)
}

// AttachApproval stores an approval as a referrer of the bundle that was asked for, so that it goes wherever the bundle and
// its signatures go.
func AttachApproval(ctx context.Context, store bundle.Store, r Request, approval []byte, now time.Time) error {
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: r.Bundle.Digest, Size: r.Bundle.Size}
	_, err := attach(ctx, store, d, PromotionPredicate, approval, now)
	return err
}
