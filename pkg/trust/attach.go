package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/bundle"
)

// The parts of the manifests that carry signatures, as cosign writes them.
const (
	emptyMediaType      = "application/vnd.oci.empty.v1+json"
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
	contentDSSE         = "dsse-envelope"
)

// Attach stores a signature from [Signer.SignManifest] as a referrer of subject: what `cosign sign` does. On registries
// without the referrers API the store keeps the fallback tag. Attaching the same bytes at the same time again is no
// error.
func Attach(ctx context.Context, store bundle.Store, subject bundle.Descriptor, signature []byte, now time.Time) (bundle.Descriptor, error) {
	return attach(ctx, store, subject, SignPredicate, signature, now)
}

// attach stores a Sigstore bundle as a referrer of subject. The predicate type in the annotations is for people and for
// cosign: what counts is the one that was signed.
func attach(ctx context.Context, store bundle.Store, subject bundle.Descriptor, predicateType string, signature []byte, now time.Time) (bundle.Descriptor, error) {
	config := bundle.DescriptorOf(emptyMediaType, []byte("{}"))
	config.ArtifactType = bundle.SignatureMediaType
	m := bundle.Manifest{
		SchemaVersion: 2,
		MediaType:     bundle.ManifestMediaType,
		ArtifactType:  bundle.SignatureMediaType,
		Config:        config,
		Layers:        []bundle.Descriptor{bundle.DescriptorOf(bundle.SignatureMediaType, signature)},
		Subject:       &bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{
			annotationContent:        contentDSSE,
			annotationPredicate:      predicateType,
			bundle.AnnotationCreated: now.UTC().Format(time.RFC3339),
		},
	}
	d, err := pushCarrier(ctx, store, m, [][]byte{signature})
	if err != nil {
		return d, fmt.Errorf("attaching a signature to %s: %w", subject.Digest, err)
	}
	return d, nil
}

// PublishPointer stores a pointer with its signatures from [Signer.SignPointer] and gives it both its tags, the one that
// moves last. Doing it again with the same signatures changes nothing. The tag that stays is never given to other
// bytes: that is refused as equivocation.
func PublishPointer(ctx context.Context, store bundle.Store, p bundle.Pointer, signatures [][]byte) error {
	layers := make([]bundle.Descriptor, 0, len(signatures))
	for _, s := range signatures {
		layers = append(layers, bundle.DescriptorOf(bundle.SignatureMediaType, s))
	}
	m := bundle.Manifest{
		SchemaVersion: 2,
		MediaType:     bundle.ManifestMediaType,
		ArtifactType:  bundle.PointerType,
		Config:        bundle.DescriptorOf(emptyMediaType, []byte("{}")),
		Layers:        layers,
		Annotations: map[string]string{
			bundle.AnnotationCreated: p.Issued.UTC().Format(time.RFC3339),
			bundle.AnnotationVersion: p.Version(),
		},
	}
	moving, fixed := p.Tags()
	d, err := pushCarrier(ctx, store, m, signatures)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", fixed, err)
	}
	switch there, err := store.Resolve(ctx, fixed); {
	case err == nil && there.Digest != d.Digest:
		return &Refusal{Name: bundle.Equivocation, Detail: "the tag is there with other content, " + there.Digest + ", and never moves", What: fixed}
	case errors.Is(err, bundle.ErrNotFound):
		if err := store.Tag(ctx, d, fixed); err != nil {
			return fmt.Errorf("tagging %s: %w", fixed, err)
		}
	case err != nil:
		return fmt.Errorf("looking for %s: %w", fixed, err)
	}
	if err := store.Tag(ctx, d, moving); err != nil {
		return fmt.Errorf("tagging %s: %w", moving, err)
	}
	return nil
}

// pushCarrier stores a manifest and what it names.
func pushCarrier(ctx context.Context, store bundle.Store, m bundle.Manifest, blobs [][]byte) (bundle.Descriptor, error) {
	if err := store.Push(ctx, m.Config, bytes.NewReader([]byte("{}"))); err != nil {
		return bundle.Descriptor{}, err
	}
	for i, blob := range blobs {
		if err := store.Push(ctx, m.Layers[i], bytes.NewReader(blob)); err != nil {
			return bundle.Descriptor{}, err
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return bundle.Descriptor{}, err
	}
	d := bundle.DescriptorOf(bundle.ManifestMediaType, data)
	d.ArtifactType = m.ArtifactType
	return d, store.Push(ctx, d, bytes.NewReader(data))
}
