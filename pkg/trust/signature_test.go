package trust_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// golden returns the referrer manifest, the Sigstore bundle and the statement that cosign made.
func golden(t *testing.T) (manifest, envelope, statement map[string]any) {
	t.Helper()
	paths, err := filepath.Glob("testdata/cosign/golden/blobs/sha256/*")
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden layout:", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if json.Unmarshal(data, &doc) != nil {
			continue
		}
		if doc["subject"] != nil {
			manifest = doc
		}
		if doc["dsseEnvelope"] != nil {
			envelope, statement = doc, payloadOf(t, data)
		}
	}
	return manifest, envelope, statement
}

func payloadOf(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var doc struct {
		DSSE struct{ Payload []byte } `json:"dsseEnvelope"`
	}
	var statement map[string]any
	if err := errors.Join(json.Unmarshal(raw, &doc), json.Unmarshal(doc.DSSE.Payload, &statement)); err != nil {
		t.Fatal(err)
	}
	return statement
}

// What is one of a kind: digests, sizes, times, keys and signatures.
func blank(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			switch key {
			case "digest", "size", "hint", "sig", "payload", "org.opencontainers.image.created", "sha256":
				if s, ok := v[key].(string); ok {
					v[key] = strings.Split(s, ":")[0][:min(6, len(strings.Split(s, ":")[0]))]
				}
				if _, ok := v[key].(float64); ok {
					v[key] = "number"
				}
				if _, ok := v[key].(map[string]any); ok {
					v[key] = blank(v[key])
				} else if key != "digest" {
					v[key] = "one of a kind"
				}
			default:
				v[key] = blank(v[key])
			}
		}
	case []any:
		for i := range v {
			v[i] = blank(v[i])
		}
	}
	return v
}

func TestOurSignatureIsThatOfCosignFieldByField(t *testing.T) {
	t.Parallel()
	wantManifest, wantEnvelope, wantStatement := golden(t)
	f := newFleet(t)
	data, err := bundle.Fetch(t.Context(), f.store, f.signature, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bundle.Fetch(t.Context(), f.store, m.Layers[0], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var gotManifest, gotEnvelope map[string]any
	if err := errors.Join(json.Unmarshal(data, &gotManifest), json.Unmarshal(raw, &gotEnvelope)); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]map[string]any{{wantManifest, gotManifest}, {wantEnvelope, gotEnvelope}, {wantStatement, payloadOf(t, raw)}} {
		if diff := cmp.Diff(blank(pair[0]), blank(pair[1])); diff != "" {
			t.Errorf("ours differs from cosign's (-cosign +ours):\n%s", diff)
		}
	}
}

// keypair gives sigstore-go the same key.
type keypair struct {
	*sign.EphemeralKeypair
	private ed25519.PrivateKey
	id      string
}

func (k keypair) GetHint() []byte { return []byte(k.id) }
func (k keypair) SignData(_ context.Context, data []byte) (signature, digest []byte, err error) {
	sum := sha256.Sum256(data)
	return ed25519.Sign(k.private, data), sum[:], nil
}

func TestOurEnvelopeIsThatOfSigstoreGo(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	p := newFleet(t).pointer(1)
	payload, err := trust.PointerPayload(p)
	if err != nil {
		t.Fatal(err)
	}
	ephemeral, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: "application/vnd.in-toto+json"},
		keypair{ephemeral, private, key.Public().ID()}, sign.BundleOptions{Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := key.SignPointer(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"payload": theirs.GetDsseEnvelope().GetPayload(), "type": theirs.GetDsseEnvelope().GetPayloadType(), "media": theirs.GetMediaType(),
		"hint": theirs.GetVerificationMaterial().GetPublicKey().GetHint(), "sig": theirs.GetDsseEnvelope().GetSignatures()[0].GetSig(),
	}
	var doc struct {
		MediaType            string
		VerificationMaterial struct{ PublicKey struct{ Hint string } }
		DsseEnvelope         struct {
			Payload     []byte
			PayloadType string
			Signatures  []struct{ Sig []byte }
		}
	}
	if err := json.Unmarshal(ours, &doc); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{"payload": doc.DsseEnvelope.Payload, "type": doc.DsseEnvelope.PayloadType, "media": doc.MediaType,
		"hint": doc.VerificationMaterial.PublicKey.Hint, "sig": doc.DsseEnvelope.Signatures[0].Sig}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestKeysTravelAsPEM(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	data, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := trust.LoadSigner(data)
	if err != nil || again.Public().ID() != key.Public().ID() {
		t.Errorf("%v, %v", again, err)
	}
	public, err := trust.ParsePublicKey(key.Public().PEM())
	if err != nil || public.ID() != key.Public().ID() {
		t.Errorf("%v, %v", public, err)
	}
	for name, pem := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "two": append(slices.Clone(key.Public().PEM()), key.Public().PEM()...),
		"a private key": data, "large": bytes.Repeat([]byte("x"), 100<<10),
	} {
		if _, err := trust.ParsePublicKey(pem); err == nil {
			t.Errorf("%s was taken for a public key", name)
		}
	}
	if _, err := trust.LoadSigner(key.Public().PEM()); err == nil {
		t.Error("a public key signs")
	}
}

func TestTheHintIsThatOfCosign(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/cosign/ecdsa.pub")
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParsePublicKey(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := "gvonrUBdZ5N9EJs+HEx5SU3FwrVTF0B5CjI2Laiu7Ag="; key.ID() != want {
		t.Errorf("ID %s, want %s", key.ID(), want)
	}
}
