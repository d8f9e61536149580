package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
	"vigo.dev/pkg/trust"
)

// TestEveryByte changes each byte of all that belongs to a small bundle, one after the other: manifest, index of modules,
// layers, the signature and what carries it. All are refused.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	k, store := newKeys(t, 1), bundletest.NewMemory()
	schema := expr.NewSchema()
	traits.Schema(schema)
	cfg, layers, err := controller.Compile(policy("good"), catalog.Language{Kinds: resources.Registry(), Schema: schema}, bundle.Config{})
	if err != nil {
		t.Fatal(err)
	}
	built, err := bundle.Build(cfg, controller.Inputs(layers))
	if err == nil {
		err = built.Push(t.Context(), store, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.bundle.SignManifest(t.Context(), built.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	carrier, err := trust.Attach(t.Context(), store, built.Descriptor, signature, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	verifier := trust.NewVerifier(k.root, time.Now)
	if err := take(t.Context(), verifier, store, built.Descriptor); err != nil {
		t.Fatalf("as it is: %v", err)
	}
	digests := []string{built.Descriptor.Digest, carrier.Digest, bundle.DigestOf(signature)}
	for _, blob := range built.Blobs {
		digests = append(digests, blob.Descriptor.Digest)
	}
	positions := 0
	for _, digest := range digests {
		var whole []byte
		store.Tamper(digest, func(data []byte) []byte { whole = slices.Clone(data); return data })
		for at := range whole {
			store.Tamper(digest, func([]byte) []byte {
				data := slices.Clone(whole)
				data[at] ^= 1 << (at % 8)
				return data
			})
			var refusal *bundle.Refusal
			if err := take(t.Context(), verifier, store, built.Descriptor); !errors.As(err, &refusal) {
				t.Fatalf("byte %d of %s: %v", at, digest, err)
			}
			positions++
		}
		store.Tamper(digest, func([]byte) []byte { return whole })
	}
	if err := take(t.Context(), verifier, store, built.Descriptor); err != nil {
		t.Fatalf("as it was: %v", err)
	}
	t.Logf("%d positions in %d blobs", positions, len(digests))
}

// take reads a bundle as an agent does: signature, documents, then each layer.
func take(ctx context.Context, v *trust.Verifier, src bundle.Source, d bundle.Descriptor) error {
	verified, err := v.Bundle(ctx, src, d, fleetName, channel)
	if err != nil {
		return err
	}
	for _, layer := range verified.Manifest.Layers {
		rc, err := src.Open(ctx, layer)
		if err != nil {
			return fmt.Errorf("opening a layer: %w", err)
		}
		_, err = bundle.ReadLayer(rc, bundle.DefaultLimits())
		if _, rest := io.Copy(io.Discard, rc); err == nil {
			err = rest
		}
		if err := errors.Join(err, rc.Close()); err != nil {
			return err
		}
	}
	return nil
}
