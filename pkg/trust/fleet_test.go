package trust_test

import (
	"errors"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/trust"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// fleet is a store with a bundle that is signed and pointed to, and the keys for it.
type fleet struct {
	t          testing.TB
	store      *bundletest.Memory
	built      bundle.Built
	bundleKey  *trust.Signer
	channelKey *trust.Signer
	root       trust.Root
	signature  bundle.Descriptor // the referrer
}

func newKey(t testing.TB) *trust.Signer {
	t.Helper()
	s, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, store: bundletest.NewMemory(), bundleKey: newKey(t), channelKey: newKey(t)}
	f.root.Version = 3
	f.root.Grant(trust.RoleRoot, 1, trust.Key{Public: newKey(t).Public()})
	f.root.Grant(trust.RoleBundle, 1, trust.Key{Public: f.bundleKey.Public()})
	f.root.Grant(trust.RoleChannel("main"), 1, trust.Key{Public: f.channelKey.Public()})
	f.built = f.build("lab", "main")
	f.signature = f.sign(f.bundleKey, f.built.Descriptor)
	f.point(f.pointer(1), f.channelKey)
	return f
}

func (f *fleet) build(name string, channels ...string) bundle.Built {
	f.t.Helper()
	built, err := bundle.Build(bundle.Config{Fleet: name, Channels: channels}, []bundle.LayerInput{{Files: []bundle.File{{Path: "compiled.json", Data: []byte("{}")}}}})
	if err == nil {
		err = built.Push(f.t.Context(), f.store, "")
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return built
}

func (f *fleet) sign(key *trust.Signer, d bundle.Descriptor) bundle.Descriptor {
	f.t.Helper()
	sig, err := key.SignManifest(f.t.Context(), d)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.attach(d, sig)
}

func (f *fleet) attach(d bundle.Descriptor, sig []byte) bundle.Descriptor {
	f.t.Helper()
	r, err := trust.Attach(f.t.Context(), f.store, d, sig, noon)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (f *fleet) pointer(seq int64) bundle.Pointer {
	return bundle.Pointer{Fleet: "lab", Channel: "main", Epoch: 3, Seq: seq, Issued: noon, Expires: noon.Add(24 * time.Hour),
		Stable: bundle.Target{Digest: f.built.Descriptor.Digest, Size: f.built.Descriptor.Size}}
}

// point puts p at the tag of channel main, whatever it says.
func (f *fleet) point(p bundle.Pointer, keys ...*trust.Signer) {
	f.t.Helper()
	var sigs [][]byte
	for _, k := range keys {
		sig, err := k.SignPointer(f.t.Context(), p)
		if err != nil {
			f.t.Fatal(err)
		}
		sigs = append(sigs, sig)
	}
	f.carry(p, sigs...)
}

func (f *fleet) carry(p bundle.Pointer, sigs ...[]byte) {
	f.t.Helper()
	if err := trust.PublishPointer(f.t.Context(), f.store, p, sigs); err != nil {
		f.t.Fatal(err)
	}
	_, fixed := p.Tags()
	d, err := f.store.Resolve(f.t.Context(), fixed)
	if err == nil {
		err = f.store.Tag(f.t.Context(), d, "channel-main")
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) bundleOf(d bundle.Descriptor) error {
	_, err := trust.NewVerifier(f.root, clock).Bundle(f.t.Context(), f.store, d, "lab", "main")
	return err
}

func (f *fleet) newest() (bundle.Pointer, string, error) {
	return trust.NewVerifier(f.root, clock).Pointer(f.t.Context(), f.store, "lab", "main")
}

func wantRefusal(t *testing.T, err error, name string) {
	t.Helper()
	var r *trust.Refusal
	if !errors.As(err, &r) || r.Name != name || r.Detail == "" {
		t.Fatalf("got %v, want the refusal %q", err, name)
	}
	t.Log(err)
}
