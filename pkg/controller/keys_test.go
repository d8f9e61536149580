package controller

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func blobOf(mediaType string, data []byte) Blob {
	return Blob{bundle.Descriptor{MediaType: mediaType, Digest: digestOf(data), Size: int64(len(data))}, data}
}

// testKeys signs pointers so that two signatures of the same pointer differ, as with ECDSA.
type testKeys struct{ key ed25519.PrivateKey }

func newTestKeys(seed string) testKeys {
	sum := sha256.Sum256([]byte(seed))
	return testKeys{ed25519.NewKeyFromSeed(sum[:])}
}

type testSigned struct{ Salt, Payload, Sig []byte }

func (k testKeys) Epoch() int64 { return 1 }

func (k testKeys) Attach(ctx context.Context, store bundle.Store, d bundle.Descriptor, _ time.Time) error {
	there, err := store.Referrers(ctx, d, bundle.SignatureMediaType)
	if err != nil || len(there) > 0 {
		return err
	}
	sig := blobOf(bundle.SignatureMediaType, ed25519.Sign(k.key, []byte(d.Digest)))
	return pushManifest(ctx, store, bundle.Manifest{ArtifactType: bundle.SignatureMediaType, Layers: []bundle.Descriptor{sig.Descriptor}, Subject: &d}, []Blob{sig})
}

func (k testKeys) SignPointer(_ context.Context, p bundle.Pointer) ([]byte, string, error) {
	payload, err := json.Marshal(p)
	if err != nil {
		return nil, "", err
	}
	s := testSigned{Salt: make([]byte, 8), Payload: payload}
	if _, err := rand.Read(s.Salt); err != nil {
		return nil, "", err
	}
	s.Sig = ed25519.Sign(k.key, append(s.Salt, payload...))
	data, err := json.Marshal(s)
	return data, digestOf(payload), err
}

func (k testKeys) Publish(ctx context.Context, store bundle.Store, p bundle.Pointer, sigs [][]byte) error {
	moving, fixed := p.Tags()
	layer := blobOf(bundle.SignatureMediaType, sigs[0])
	return pushManifest(ctx, store, bundle.Manifest{ArtifactType: bundle.PointerType, Layers: []bundle.Descriptor{layer.Descriptor}}, []Blob{layer}, fixed, moving)
}

func pushManifest(ctx context.Context, store bundle.Store, m bundle.Manifest, blobs []Blob, tags ...string) error {
	for _, b := range blobs {
		if err := store.Push(ctx, b.Descriptor, bytes.NewReader(b.Data)); err != nil {
			return err
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d := blobOf(bundle.ManifestMediaType, data).Descriptor
	if err := store.Push(ctx, d, bytes.NewReader(data)); err != nil {
		return err
	}
	for _, tag := range tags {
		if err := store.Tag(ctx, d, tag); err != nil {
			return err
		}
	}
	return nil
}

func (k testKeys) Current(ctx context.Context, src bundle.Source, fleet, channel string) (bundle.Pointer, [][]byte, string, error) {
	var p bundle.Pointer
	var m bundle.Manifest
	var s testSigned
	d, err := src.Resolve(ctx, "channel-"+channel)
	if err != nil {
		return p, nil, "", err
	}
	if err := fetchJSON(ctx, src, d, &m); err != nil {
		return p, nil, "", err
	}
	if err := fetchJSON(ctx, src, m.Layers[0], &s); err != nil {
		return p, nil, "", err
	}
	if !ed25519.Verify(k.key.Public().(ed25519.PublicKey), append(s.Salt, s.Payload...), s.Sig) {
		return p, nil, "", ErrForeign
	}
	sig, err := json.Marshal(s)
	if err != nil {
		return p, nil, "", err
	}
	if err := json.Unmarshal(s.Payload, &p); err != nil || p.Fleet != fleet {
		return p, nil, "", fmt.Errorf("fleet %q, want %q: %w: %w", p.Fleet, fleet, ErrForeign, err)
	}
	return p, [][]byte{sig}, digestOf(s.Payload), nil
}

func fetchJSON(ctx context.Context, src bundle.Source, d bundle.Descriptor, v any) error {
	r, err := src.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// testBuilder packs every file below policy/ into one layer; the file "channels" names fleet and channels, with @branch
// behind those that are fed from another one, and a file called "bad" does not compile.
type testBuilder struct{ builds *int }

func (b testBuilder) Build(fsys fs.FS, cfg bundle.Config) (Artifact, error) {
	if b.builds != nil {
		*b.builds++
	}
	if _, err := fs.Stat(fsys, "bad"); err == nil {
		return Artifact{}, fault.Problems{{Pos: fault.Pos{File: "bad", Line: 3, Col: 7}, Msg: "is bad", Hint: "make it good"}}
	}
	names, err := fs.ReadFile(fsys, "channels")
	if err != nil {
		return Artifact{}, err
	}
	words := strings.Fields(string(names))
	var files []bundle.File
	for _, name := range []string{"channels", "motd"} {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return Artifact{}, err
		}
		files = append(files, bundle.File{Path: name, Data: data})
	}
	cfg.Fleet = words[0]
	sources := map[string]policy.Origin{}
	for _, word := range words[1:] {
		name, branch, elsewhere := strings.Cut(word, "@")
		if elsewhere && branch != cfg.Source.Ref {
			sources[name] = policy.Origin{Branch: branch}
			continue
		}
		cfg.Channels = append(cfg.Channels, name)
	}
	built, err := bundle.Build(cfg, []bundle.LayerInput{{Files: files}})
	if err != nil {
		return Artifact{}, err
	}
	a := Artifact{Descriptor: built.Descriptor, Manifest: built.Manifest, Config: built.Config, Sources: sources}
	for _, blob := range built.Blobs {
		a.Blobs = append(a.Blobs, Blob(blob))
	}
	return a, nil
}
