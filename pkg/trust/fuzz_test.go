package trust

import (
	"bytes"
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
	f.Add(bytes.ReplaceAll(payload, []byte("2026-11-23T13:00:00Z"), []byte("9999-12-31T23:59:59-23:00")))
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

// What a key has signed may be anything: what is no statement of its kind is refused, never an error that looks like a registry
// which cannot be asked, and of what is refused nothing is used.
func FuzzStatements(f *testing.F) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	request, err := Request{Fleet: "lab", Channel: "main", Bundle: bundle.Target{Digest: bundle.DigestOf(nil), Size: 1}, Requested: now}.Payload()
	if err != nil {
		f.Fatal(err)
	}
	provenance, err := statementAbout(bundle.DigestOf(nil), ProvenancePredicate, []byte(`{"buildDefinition":{"resolvedDependencies":[{"digest":{"gitCommit":"c0ffee"}}]},"runDetails":{"builder":{"id":"x"}}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add(provenance)
	order, err := Order{Fleet: "lab", Channel: "main", Modes: map[string]bool{"x": true}, From: Base{Seq: 1, Digest: bundle.DigestOf(nil)}, Given: now}.Payload()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(order)
	f.Add(bytes.ReplaceAll(order, []byte("2026-11-23T12:00:00Z"), []byte("9999-12-31T23:59:59-23:00")))
	f.Add(bytes.ReplaceAll(request, []byte("2026-11-23T12:00:00Z"), []byte("9999-12-31T23:59:59-23:00")))
	f.Add([]byte(`{"predicateType":"https://vigo.dev/root/v1","predicate":{"version":1,"roles":null}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		refused := func(what string, used bool, err error) {
			var r *Refusal
			if err != nil && (used || !errors.As(err, &r)) {
				t.Errorf("%s: used %t, %v", what, used, err)
			}
		}
		req, err := parseRequest(payload)
		refused("request", req != Request{}, err)
		p, err := parseProvenance(payload, "key")
		refused("provenance", p.Builder != "" || p.Commit != "", err)
		order, err := parseOrder(payload)
		refused("order", order.Fleet != "", err)
		root, err := parseRootStatement(payload)
		refused("root", root.Version != 0, err)
	})
}
