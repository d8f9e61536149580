package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

func TestASignedBundleIsAccepted(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	v, err := trust.NewVerifier(f.root, clock).Bundle(t.Context(), f.store, f.built.Descriptor, "lab", "main")
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Keys) != 1 || v.Keys[0] != f.bundleKey.Public().ID() || v.Config.Fleet != "lab" || len(v.Manifest.Layers) != 1 {
		t.Errorf("verified %+v", v)
	}
}

func TestEd25519KeysSignToo(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	d := f.build("lab", "main", "ed25519").Descriptor
	f.sign(key, d)
	wantRefusal(t, f.bundleOf(d), bundle.WrongKey)
	f.root.Grant(trust.RoleBundle, 1, trust.Key{Public: key.Public()})
	if err := f.bundleOf(d); err != nil {
		t.Error(err)
	}
}

func TestAnUnsignedBundleIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	wantRefusal(t, f.bundleOf(f.build("lab", "main", "other").Descriptor), bundle.Unsigned)
}

func TestAWrongKeyIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.build("lab", "main", "other").Descriptor
	f.sign(newKey(t), d)
	wantRefusal(t, f.bundleOf(d), bundle.WrongKey)
	f.sign(f.channelKey, d) // a key of another role
	wantRefusal(t, f.bundleOf(d), bundle.WrongKey)
	f.sign(f.bundleKey, d) // all referrers are tried
	if err := f.bundleOf(d); err != nil {
		t.Error(err)
	}
}

func TestAWrongKeyBehindATrustedHintIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.build("lab", "main", "other").Descriptor
	thief := newKey(t)
	sig, err := thief.SignManifest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	f.attach(d, []byte(strings.Replace(string(sig), thief.Public().ID(), f.bundleKey.Public().ID(), 1)))
	wantRefusal(t, f.bundleOf(d), bundle.BadSignature)
}

func TestAnUnknownHintDoesNotHideATrustedKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.build("lab", "main", "other").Descriptor
	sig, err := f.bundleKey.SignManifest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	f.attach(d, []byte(strings.Replace(string(sig), f.bundleKey.Public().ID(), "release-key", 1)))
	if err := f.bundleOf(d); err != nil {
		t.Error(err)
	}
}

func TestASignatureOfAnotherBundleIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.build("lab", "main", "other").Descriptor
	sig, err := f.bundleKey.SignManifest(t.Context(), f.built.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	f.attach(d, sig)
	wantRefusal(t, f.bundleOf(d), bundle.BadSignature)
}

func TestAPointerSignatureIsNoBundleSignature(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	built := f.build("lab", "main", "other")
	p := f.pointer(2)
	p.Stable = bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}
	sig, err := f.bundleKey.SignPointer(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	f.attach(built.Descriptor, sig)
	wantRefusal(t, f.bundleOf(built.Descriptor), bundle.Predicate)
}

func TestABundleSignatureIsNoPointer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	sig, err := f.channelKey.SignManifest(t.Context(), f.built.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	f.carry(f.pointer(2), sig)
	_, _, err = f.newest()
	wantRefusal(t, err, bundle.Predicate)
}

func TestABundleForAnotherFleetOrChannelIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	other := f.build("factory", "main").Descriptor
	f.sign(f.bundleKey, other)
	wantRefusal(t, f.bundleOf(other), bundle.WrongFleet)
	staging := f.build("lab", "staging").Descriptor
	f.sign(f.bundleKey, staging)
	wantRefusal(t, f.bundleOf(staging), bundle.WrongChannel)
}

func TestRetiredAndFutureKeysAreRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for name, window := range map[string]trust.Key{
		"retired": {NotAfter: noon.Add(-time.Second)},
		"future":  {NotBefore: noon.Add(time.Second)},
	} {
		window.Public = f.bundleKey.Public()
		f.root.Grant(trust.RoleBundle, 1, window)
		t.Run(name, func(t *testing.T) { wantRefusal(t, f.bundleOf(f.built.Descriptor), bundle.KeyExpired) })
	}
	f.root.Grant(trust.RoleBundle, 1, trust.Key{Public: f.bundleKey.Public(), NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)})
	if err := f.bundleOf(f.built.Descriptor); err != nil {
		t.Error(err)
	}
}

func TestTheSameKeyTwiceIsNotTwoKeys(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	second := newKey(t)
	f.root.Grant(trust.RoleBundle, 2, trust.Key{Public: second.Public()})
	f.sign(f.bundleKey, f.built.Descriptor)
	wantRefusal(t, f.bundleOf(f.built.Descriptor), bundle.Threshold)
	f.sign(second, f.built.Descriptor)
	if err := f.bundleOf(f.built.Descriptor); err != nil {
		t.Error(err)
	}
}

func TestTamperedBytesAreRefused(t *testing.T) {
	t.Parallel()
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	more := func(b []byte) []byte { return append(b, ' ') }
	for name, edit := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{"a wrong byte": {flip, bundle.WrongDigest}, "truncated": {cut, bundle.Truncated}, "longer": {more, bundle.WrongSize}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.store.Tamper(f.built.Descriptor.Digest, edit.change)
			wantRefusal(t, f.bundleOf(f.built.Descriptor), edit.want)
			f = newFleet(t)
			f.store.Tamper(f.built.Blobs[len(f.built.Blobs)-1].Descriptor.Digest, edit.change) // config
			wantRefusal(t, f.bundleOf(f.built.Descriptor), edit.want)
			f = newFleet(t)
			m, _, err := bundle.Read(t.Context(), f.store, f.built.Descriptor)
			if err != nil {
				t.Fatal(err)
			}
			f.store.Tamper(m.Layers[0].Digest, edit.change)
			_, err = bundle.Fetch(t.Context(), f.store, m.Layers[0], bundle.MaxLayer)
			wantRefusal(t, err, edit.want)
			f = newFleet(t)
			d, err := f.store.Resolve(t.Context(), "channel-main")
			if err != nil {
				t.Fatal(err)
			}
			f.store.Tamper(d.Digest, edit.change)
			_, _, err = f.newest()
			wantRefusal(t, err, edit.want)
		})
	}
}

func TestATamperedSignatureIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	data, err := bundle.Fetch(t.Context(), f.store, f.signature, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	f.store.Tamper(m.Layers[0].Digest, func(b []byte) []byte { b[len(b)-20] ^= 1; return b })
	wantRefusal(t, f.bundleOf(f.built.Descriptor), bundle.WrongDigest)
}

func TestASignatureThatCannotBeFetchedIsNoRefusal(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	down := errors.New("no route to host")
	f.store.Fail(down)
	if err := f.bundleOf(f.built.Descriptor); !errors.Is(err, down) || errors.As(err, new(*trust.Refusal)) {
		t.Errorf("got %v", err)
	}
	if _, _, err := f.newest(); !errors.Is(err, down) || errors.As(err, new(*trust.Refusal)) {
		t.Errorf("got %v", err)
	}
}

func TestTwoSignaturesInOneEnvelopeAreRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.build("lab", "main", "other").Descriptor
	sig, err := f.bundleKey.SignManifest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(sig, &doc); err != nil {
		t.Fatal(err)
	}
	envelope := doc["dsseEnvelope"].(map[string]any)
	one := envelope["signatures"].([]any)[0]
	envelope["signatures"] = []any{one, one}
	if sig, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	f.attach(d, sig)
	var r *trust.Refusal
	if err := f.bundleOf(d); !errors.As(err, &r) {
		t.Errorf("got %v", err)
	}
}

func TestHostileReferrersDoNotHideAGoodSignature(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.build("lab", "main", "other").Descriptor
	for _, junk := range [][]byte{[]byte("{}"), []byte("junk"), bytes.Repeat([]byte("["), 100_000), make([]byte, 300<<10)} {
		f.attach(d, junk)
	}
	f.sign(f.bundleKey, d)
	if err := f.bundleOf(d); err != nil {
		t.Error(err)
	}
}
