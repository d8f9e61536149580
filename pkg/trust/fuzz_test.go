package trust

import (
	"errors"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
)

func FuzzParsePointer(f *testing.F) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	payload, err := PointerPayload(bundle.Pointer{Fleet: "lab", Channel: "main", Seq: 1, Issued: now, Expires: now.Add(time.Hour),
		Stable: bundle.Target{Digest: bundle.DigestOf(nil), Size: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(`{"predicateType":"https://vigo.dev/channel/v1","predicate":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePointer(data)
		if err != nil {
			return
		}
		if _, err := PointerPayload(p); err != nil {
			t.Fatalf("what was read cannot be signed: %v", err)
		}
	})
}

func FuzzVerifyEnvelope(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	other, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	d := bundle.DescriptorOf(bundle.ManifestMediaType, []byte("x"))
	sig, err := other.SignManifest(f.Context(), d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := verifyEnvelope(raw, d.Digest, []Key{{Public: key.Public()}}, time.Unix(0, 0))
		if err == nil {
			t.Fatal("accepted")
		}
		var r *Refusal
		if !errors.As(err, &r) {
			t.Fatalf("no refusal: %v", err)
		}
	})
}
