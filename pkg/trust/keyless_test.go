package trust_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/trust/trusttest"
)

// release is the workflow that may sign bundles without a key.
var release = trust.Identity{Issuer: "https://token.actions.githubusercontent.com", Subject: "https://github.com/acme/policy/.github/workflows/release.yml@refs/heads/main"}

// keyless is a Sigstore instance and what it is trusted by.
type keyless struct {
	t           *testing.T
	sigstore    *trusttest.Sigstore
	trustedRoot []byte
	*fleet
}

func newKeyless(t *testing.T) *keyless {
	t.Helper()
	s, err := trusttest.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	k := &keyless{t: t, sigstore: s, fleet: newFleet(t)}
	if k.trustedRoot, err = s.TrustedRoot(); err != nil {
		t.Fatal(err)
	}
	k.built = k.build("lab", "main", "keyless") // signed by nobody
	return k
}

// signed attaches a signature by somebody.
func (k *keyless) signed(id trust.Identity) {
	k.t.Helper()
	signature, err := k.sigstore.SignManifest(k.built.Descriptor.Digest, id)
	if err != nil {
		k.t.Fatal(err)
	}
	k.attach(k.built.Descriptor, signature)
}

// verify asks whether release signed the bundle.
func (k *keyless) verify() error {
	k.t.Helper()
	v, err := trust.NewKeylessVerifier(k.trustedRoot, release, clock)
	if err != nil {
		k.t.Fatal(err)
	}
	_, err = v.Bundle(k.t.Context(), k.store, k.built.Descriptor, "lab", "main")
	return err
}

func TestAKeylessSignatureIsAccepted(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	wantRefusal(t, k.verify(), bundle.Unsigned)
	k.signed(release)
	if err := k.verify(); err != nil {
		t.Fatal(err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]trust.Identity{
		"another workflow": {Issuer: release.Issuer, Subject: release.Subject + "x"},
		"another issuer":   {Issuer: release.Issuer + ".example", Subject: release.Subject},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t)
			k.signed(id)
			wantRefusal(t, k.verify(), bundle.WrongKey)
		})
	}
}

func TestAnotherSigstoreIsRefused(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	k.signed(release)
	other, err := trusttest.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	if k.trustedRoot, err = other.TrustedRoot(); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, k.verify(), bundle.BadSignature)
}

// A short-lived certificate is worth nothing without somebody who says when it was used.
func TestAKeylessSignatureWithoutItsWitnessesIsRefused(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"tlogEntries", "timestampVerificationData", "certificate"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t)
			signature, err := k.sigstore.SignManifest(k.built.Descriptor.Digest, release)
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]json.RawMessage
			if err := json.Unmarshal(signature, &doc); err != nil {
				t.Fatal(err)
			}
			doc["verificationMaterial"] = without(t, doc["verificationMaterial"], part)
			if signature, err = json.Marshal(doc); err != nil {
				t.Fatal(err)
			}
			k.attach(k.built.Descriptor, signature)
			var r *trust.Refusal
			if err := k.verify(); !errors.As(err, &r) {
				t.Fatalf("got %v", err)
			}
			t.Log(r)
		})
	}
}

// An attestation by the right identity is no signature, and a signature of other bytes none of these.
func TestKeylessConfusionIsRefused(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	attestation, err := k.sigstore.Sign(trusttest.Statement(k.built.Descriptor.Digest, "https://slsa.dev/provenance/v1"), release)
	if err != nil {
		t.Fatal(err)
	}
	k.attach(k.built.Descriptor, attestation)
	wantRefusal(t, k.verify(), bundle.Predicate)

	k = newKeyless(t)
	elsewhere, err := k.sigstore.SignManifest(bundle.DigestOf([]byte("other")), release)
	if err != nil {
		t.Fatal(err)
	}
	k.attach(k.built.Descriptor, elsewhere)
	wantRefusal(t, k.verify(), bundle.BadSignature)
}

// Whoever trusts keys alone does not take certificates, and the other way round.
func TestKeysAndIdentitiesAreNotMixedUp(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	k.signed(release)
	wantRefusal(t, k.bundleOf(k.built.Descriptor), bundle.WrongKey)
	k.sign(k.bundleKey, k.built.Descriptor)
	if err := k.bundleOf(k.built.Descriptor); err != nil {
		t.Error(err)
	}
	k = newKeyless(t)
	k.sign(k.bundleKey, k.built.Descriptor)
	wantRefusal(t, k.verify(), bundle.WrongKey)
}

func TestATrustedRootThatProvesNothingIsRefused(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	for name, doc := range map[string][]byte{
		"not JSON":           []byte("mediaType"),
		"nobody in it":       []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`),
		"nobody tells time":  without(t, k.trustedRoot, "tlogs", "timestampAuthorities"),
		"nobody certifies":   without(t, k.trustedRoot, "certificateAuthorities"),
		"larger than a root": bytes.Repeat([]byte(" "), 300<<10),
	} {
		_, err := trust.NewKeylessVerifier(doc, release, clock)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantRefusal(t, err, bundle.BadFormat)
	}
	if _, err := trust.NewKeylessVerifier(k.trustedRoot, trust.Identity{Issuer: release.Issuer}, clock); err == nil {
		t.Error("everybody is trusted")
	}
}

func without(t *testing.T, doc []byte, names ...string) []byte {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, ok := fields[name]; !ok {
			t.Fatalf("there is no %s to take away", name)
		}
		delete(fields, name)
	}
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What the public instance made in 2023: a certificate that is in a log of certificates, and long past its ten minutes. It
// attests where a package was built, which is no signature of a bundle; all that comes before that holds up.
func TestTheRealSigstoreIsUnderstood(t *testing.T) {
	t.Parallel()
	raw, err := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	trustedRoot, err := data.TrustedRoot(t, "public-good.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	who := trust.Identity{Issuer: "https://token.actions.githubusercontent.com",
		Subject: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"}
	if got, err := trust.VerifyAny(raw, trustedRoot, who, time.Now()); err != nil || got != "https://slsa.dev/provenance/v1" {
		t.Errorf("%q, %v", got, err)
	}
	who.Subject += "/fork"
	_, err = trust.VerifyAny(raw, trustedRoot, who, time.Now())
	wantRefusal(t, err, bundle.WrongKey)
}

// identified is the root of a fleet whose bundles are signed by the workflow, beside its own key.
func (k *keyless) identified(threshold int) {
	k.t.Helper()
	if err := k.root.PinSigstore(k.trustedRoot); err != nil {
		k.t.Fatal(err)
	}
	k.root.Grant(trust.RoleBundle, threshold, trust.Key{Identity: &release})
	document, err := k.root.Marshal()
	if err != nil {
		k.t.Fatal(err)
	}
	if k.root, err = trust.ParseRoot(document); err != nil {
		k.t.Fatal(err)
	}
	if again, err := k.root.Marshal(); err != nil || !bytes.Equal(again, document) {
		k.t.Errorf("the document is another after it was read: %v", err)
	}
}

func TestARootMayListAnIdentity(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	k.identified(2)
	d := k.built.Descriptor
	k.signed(trust.Identity{Issuer: release.Issuer, Subject: "somebody else"})
	wantRefusal(t, k.bundleOf(d), bundle.WrongKey)
	k.signed(release)
	wantRefusal(t, k.bundleOf(d), bundle.Threshold)
	k.signed(release)
	wantRefusal(t, k.bundleOf(d), bundle.Threshold) // the same twice
	k.sign(k.bundleKey, d)
	if err := k.bundleOf(d); err != nil {
		t.Error(err)
	}
	if err := k.root.Allows(trust.RoleBundle, release.ID(), noon); err != nil {
		t.Error(err)
	}
	k.root.Withdraw(trust.RoleBundle, release.ID())
	if k.root.Enough(trust.RoleBundle, []string{release.ID(), k.bundleKey.Public().ID()}) {
		t.Error("an identity that was withdrawn counts")
	}
}

// An identity has a window as keys have, which is compared with the time of verification.
func TestAnIdentityThatHasRunOutIsRefused(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	k.identified(1)
	k.signed(release)
	if err := k.bundleOf(k.built.Descriptor); err != nil {
		t.Fatal(err)
	}
	k.root.Grant(trust.RoleBundle, 1, trust.Key{Identity: &release, NotAfter: noon.Add(-time.Second)})
	wantRefusal(t, k.bundleOf(k.built.Descriptor), bundle.KeyExpired)
}

// Followers of a root take up the identities of the next, in which owners have signed for the Sigstore instance too.
func TestASuccessorBringsTheSigstoreAlong(t *testing.T) {
	t.Parallel()
	k := newKeyless(t)
	owner := newKey(t)
	delete(k.root.Roles, trust.RoleRoot)
	k.root.Grant(trust.RoleRoot, 1, trust.Key{Public: owner.Public()})
	first := k.root
	k.root = first.Next()
	k.identified(1)
	signature, err := owner.SignRoot(t.Context(), k.root)
	if err == nil {
		err = trust.PublishRoot(t.Context(), k.store, k.root, [][]byte{signature})
	}
	if err != nil {
		t.Fatal(err)
	}
	k.signed(release)
	if k.root, err = first.Newest(t.Context(), k.store); err != nil || k.root.Version != first.Version+1 {
		t.Fatalf("root %d, %v", k.root.Version, err)
	}
	if err := k.bundleOf(k.built.Descriptor); err != nil {
		t.Error(err)
	}
}

func TestIdentitiesSignBundlesAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*trust.Root){
		"roots":              func(r *trust.Root) { r.Grant(trust.RoleRoot, 1, trust.Key{Identity: &release}) },
		"pointers":           func(r *trust.Root) { r.Grant(trust.RoleChannel("main"), 1, trust.Key{Identity: &release}) },
		"approvals":          func(r *trust.Root) { r.Grant(trust.RoleApproval("main"), 1, trust.Key{Identity: &release}) },
		"without a Sigstore": func(r *trust.Root) { r.TrustedRoot = nil },
		"with an empty one":  func(r *trust.Root) { r.TrustedRoot = []byte(`{"mediaType":"x"}`) },
		"of anybody":         func(r *trust.Root) { r.Grant(trust.RoleBundle, 1, trust.Key{Identity: &trust.Identity{Issuer: "x"}}) },
		"and with a key at once": func(r *trust.Root) {
			r.Grant(trust.RoleBundle, 1, trust.Key{Identity: &release, Public: newKey(t).Public()})
		},
	} {
		k := newKeyless(t)
		k.identified(1)
		change(&k.root)
		if _, err := k.root.Marshal(); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			t.Log(name, err)
		}
	}
}
