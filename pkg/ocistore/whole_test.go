package ocistore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// published is a bundle in a store, with its signature and a pointer to it.
type published struct {
	built      bundle.Built
	bundleKey  *trust.Signer
	channelKey *trust.Signer
	root       trust.Root
	pointer    bundle.Pointer
}

// files is what the layers of tests hold.
func files() []bundle.LayerInput {
	return []bundle.LayerInput{
		{Files: []bundle.File{{Path: "compiled.json", Data: []byte(`{}`)}}},
		{Module: "web", Files: []bundle.File{{Path: "compiled.json", Data: []byte(`{"web":1}`)}, {Path: "files/motd", Data: []byte("hello\n"), Exec: true}}},
	}
}

func publish(t testing.TB, store bundle.Store) published {
	t.Helper()
	ctx := t.Context()
	built, err := bundle.Build(bundle.Config{Fleet: "lab", Channels: []string{"main"}, Counter: 7,
		Source: bundle.Origin{Ref: "main", Commit: "c0ffee", CommitTime: noon}}, files())
	if err != nil {
		t.Fatal(err)
	}
	p := published{built: built}
	if p.bundleKey, err = trust.NewKey(); err != nil {
		t.Fatal(err)
	}
	if p.channelKey, err = trust.NewKey(); err != nil {
		t.Fatal(err)
	}
	p.root = trust.Root{Version: 1}
	p.root.Grant(trust.RoleRoot, 1, trust.Key{Public: p.bundleKey.Public()})
	p.root.Grant(trust.RoleBundle, 1, trust.Key{Public: p.bundleKey.Public()})
	p.root.Grant(trust.RoleChannel("main"), 1, trust.Key{Public: p.channelKey.Public()})
	if err := built.Push(ctx, store, "c-c0ffee"); err != nil {
		t.Fatal(err)
	}
	sig, err := p.bundleKey.SignManifest(ctx, built.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Attach(ctx, store, built.Descriptor, sig, noon); err != nil {
		t.Fatal(err)
	}
	p.point(t, store, 1)
	return p
}

// point publishes pointer number seq.
func (p *published) point(t testing.TB, store bundle.Store, seq int64) {
	t.Helper()
	p.pointer = bundle.Pointer{Fleet: "lab", Channel: "main", Epoch: 1, Seq: seq, Issued: noon, Expires: noon.Add(24 * time.Hour),
		Stable: bundle.Target{Digest: p.built.Descriptor.Digest, Size: p.built.Descriptor.Size}}
	sig, err := p.channelKey.SignPointer(t.Context(), p.pointer)
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.PublishPointer(t.Context(), store, p.pointer, [][]byte{sig}); err != nil {
		t.Fatal(err)
	}
}

// follow does what an agent does: pointer, bundle, layers.
func (p published) follow(ctx context.Context, src bundle.Source) ([]bundle.LayerInput, error) {
	v := trust.NewVerifier(p.root, clock)
	pointer, payload, err := v.Pointer(ctx, src, "lab", "main")
	if err != nil {
		return nil, err
	}
	if _, err := (trust.Memory{}).Accept(pointer, payload, noon); err != nil {
		return nil, err
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: pointer.Stable.Digest, Size: pointer.Stable.Size}
	b, err := v.Bundle(ctx, src, d, "lab", "main")
	if err != nil {
		return nil, err
	}
	var got []bundle.LayerInput
	for i, layer := range b.Manifest.Layers {
		rc, err := src.Open(ctx, layer)
		if err != nil {
			return nil, err
		}
		files, err := bundle.ReadLayer(rc, bundle.DefaultLimits())
		if err := errors.Join(err, rc.Close()); err != nil {
			return nil, err
		}
		got = append(got, bundle.LayerInput{Module: b.Config.Layers[i].Module, Files: files})
	}
	return got, nil
}

func TestABundleTravelsThroughALayout(t *testing.T) {
	t.Parallel()
	store, err := ocistore.Open(t.Context(), "oci-layout:"+t.TempDir(), ocistore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := publish(t, store)
	got, err := p.follow(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files(), got); diff != "" {
		t.Errorf("what was read differs (-want +got):\n%s", diff)
	}
}
