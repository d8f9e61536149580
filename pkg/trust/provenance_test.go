package trust_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

func (f *fleet) attest(key *trust.Signer, d bundle.Descriptor, p trust.Provenance) []byte {
	f.t.Helper()
	raw, err := key.SignProvenance(f.t.Context(), d, p)
	if err == nil {
		_, err = trust.AttachProvenance(f.t.Context(), f.store, d, raw, noon)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

// origin is the provenance of a bundle of these tests.
func origin() trust.Provenance {
	return trust.Provenance{
		Repository: "https://git.example.com/policy.git", Ref: "main", Commit: "9fceb02d0ae598e95dc970b74767f19372d61af8", Fleet: "lab",
		Approvals: []string{"ada", "ben"}, Promotions: []trust.Promotion{{Channel: "main", Approved: []string{"x", "y"}}},
		Builder: trust.BuilderID, Version: "1.2.3", Finished: noon,
	}
}

func TestAProvenanceIsReadAsItWasSigned(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.attest(f.bundleKey, f.built.Descriptor, origin())
	got, err := trust.NewVerifier(f.root, clock).Provenance(t.Context(), f.store, f.built.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	want := origin()
	want.Key = f.bundleKey.Public().ID()
	if diff := cmp.Diff([]trust.Provenance{want}, got); diff != "" {
		t.Error(diff)
	}
}

// What other tools look for is where SLSA says that it is.
func TestAProvenanceIsThatOfSLSA(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	raw := f.attest(f.bundleKey, f.built.Descriptor, origin())
	var doc struct {
		DSSEEnvelope struct {
			Payload     []byte
			PayloadType string
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(doc.DSSEEnvelope.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"_type": "https://in-toto.io/Statement/v1",
		"subject": [{"digest": {"sha256": "`+f.built.Descriptor.Digest[len("sha256:"):]+`"}, "annotations": {}}],
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": {
			"buildDefinition": {
				"buildType": "https://vigo.dev/bundle/v1",
				"externalParameters": {"repository": "https://git.example.com/policy.git", "ref": "main"},
				"internalParameters": {"fleet": "lab", "approvals": ["ada", "ben"], "promotions": [{"channel": "main", "approved": ["x", "y"]}]},
				"resolvedDependencies": [{"uri": "git+https://git.example.com/policy.git@refs/heads/main",
					"digest": {"gitCommit": "9fceb02d0ae598e95dc970b74767f19372d61af8"}}]
			},
			"runDetails": {
				"builder": {"id": "https://vigo.dev/controller/v1", "version": {"vigo": "1.2.3"}},
				"metadata": {"finishedOn": "2026-11-23T12:00:00Z"}
			}
		}
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whoever may attest may not therefore deploy, and an attestation is not the second of two signatures.
func TestAProvenanceIsNoSignature(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.build("lab", "main", "attested").Descriptor
	f.attest(f.bundleKey, d, origin())
	wantRefusal(t, f.bundleOf(d), bundle.Predicate)

	second := newKey(t)
	f.root.Grant(trust.RoleBundle, 2, trust.Key{Public: second.Public()})
	f.attest(second, f.built.Descriptor, origin())
	wantRefusal(t, f.bundleOf(f.built.Descriptor), bundle.Threshold)
}

// Nor does a provenance make a pointer, or a signature a provenance.
func TestOnlyAProvenanceOfATrustedKeyIsOne(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	raw, err := f.channelKey.SignProvenance(t.Context(), f.built.Descriptor, origin())
	if err != nil {
		t.Fatal(err)
	}
	f.carry(f.pointer(2), raw)
	_, _, err = f.newest()
	wantRefusal(t, err, bundle.Predicate)
	f.attest(f.channelKey, f.built.Descriptor, origin()) // a key of another role
	f.attest(newKey(t), f.built.Descriptor, origin())
	if all, err := trust.NewVerifier(f.root, clock).Provenance(t.Context(), f.store, f.built.Descriptor); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAnInspectionShowsWhereABundleComesFrom(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if got := came(f.inspect("channel-main"), trust.CheckProvenance); !slices.Equal(got, []trust.State{trust.StateAbsent}) {
		t.Error(got)
	}
	built, err := bundle.Build(bundle.Config{Fleet: "lab", Channels: []string{"main"}, Source: bundle.Origin{Commit: origin().Commit, CommitTime: noon.Add(-time.Hour)}},
		[]bundle.LayerInput{{Files: []bundle.File{{Path: "compiled.json", Data: []byte("{}")}}}})
	if err == nil {
		err = built.Push(t.Context(), f.store, "v1")
	}
	if err != nil {
		t.Fatal(err)
	}
	f.sign(f.bundleKey, built.Descriptor)
	f.attest(f.bundleKey, built.Descriptor, origin())
	i := f.inspect("v1")
	if err := i.Err(); err != nil || len(i.Provenance) != 1 {
		t.Errorf("%+v, %v", i.Provenance, err)
	}
	lie := origin()
	lie.Commit = "0000000000000000000000000000000000000000"
	f.attest(f.bundleKey, built.Descriptor, lie)
	wantRefusal(t, f.inspect("v1").Err(), bundle.Conflicting)
}
