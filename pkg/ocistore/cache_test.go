package ocistore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

func newCache(t *testing.T, origin bundle.Source, dir string) *ocistore.Cache {
	t.Helper()
	c, err := ocistore.Cached(origin, dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var errDown = errors.New("no route to host")

func TestTheCacheServesWhileTheOriginIsAway(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), t.TempDir()
	p := publish(t, origin)
	if _, err := p.follow(t.Context(), newCache(t, origin, dir)); err != nil {
		t.Fatal(err)
	}
	origin.Fail(errDown)
	c := newCache(t, origin, dir) // a new start
	if _, err := p.follow(t.Context(), c); err != nil {
		t.Errorf("offline: %v", err)
	}
	if !errors.Is(c.Offline(), errDown) {
		t.Errorf("Offline() = %v", c.Offline())
	}
	if _, err := c.Resolve(t.Context(), "channel-other"); !errors.Is(err, ocistore.ErrOffline) {
		t.Errorf("an unknown tag: %v", err)
	}
	if _, err := p.follow(t.Context(), c.Local()); err != nil {
		t.Errorf("from the folder alone: %v", err)
	}
	origin.Fail(nil)
	if _, err := newCache(t, origin, dir).Resolve(t.Context(), "channel-other"); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("online again: %v", err)
	}
}

func TestTheCacheFollowsAPointerThatMoves(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), t.TempDir()
	p := publish(t, origin)
	c := newCache(t, origin, dir)
	v := trust.NewVerifier(p.root, clock)
	for seq := range int64(3) {
		p.point(t, origin, seq+2)
		got, _, err := v.Pointer(t.Context(), c, "lab", "main")
		if err != nil || got.Seq != seq+2 {
			t.Fatalf("pointer %v, %v", got, err)
		}
	}
	origin.Fail(errDown)
	if got, _, err := v.Pointer(t.Context(), newCache(t, origin, dir), "lab", "main"); err != nil || got.Seq != 4 {
		t.Errorf("offline: pointer %v, %v", got, err)
	}
}

func TestContentIsFetchedOnce(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), t.TempDir()
	p := publish(t, origin)
	c := newCache(t, origin, dir)
	if _, err := p.follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	origin.Opened()
	if _, err := p.follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if again := origin.Opened(); len(again) != 0 {
		t.Errorf("fetched again: %v", again)
	}
}

func TestADamagedCacheIsFetchedAgain(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(string) error{
		"empty after a power cut": func(path string) error { return os.Truncate(path, 0) },
		"truncated":               func(path string) error { return os.Truncate(path, 20) },
		"a wrong byte": func(path string) error {
			data, err := os.ReadFile(path)
			data[len(data)/2] ^= 1
			return errors.Join(err, os.WriteFile(path, data, 0o600))
		},
		"gone": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin, dir := bundletest.NewMemory(), t.TempDir()
			p := publish(t, origin)
			if _, err := p.follow(t.Context(), newCache(t, origin, dir)); err != nil {
				t.Fatal(err)
			}
			blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
			if err != nil || len(blobs) < 6 {
				t.Fatal(blobs, err)
			}
			for _, path := range blobs {
				if err := damage(path); err != nil {
					t.Fatal(err)
				}
				if _, err := p.follow(t.Context(), newCache(t, origin, dir)); err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				data, err := os.ReadFile(path)
				if want := "sha256:" + filepath.Base(path); err != nil || bundle.DigestOf(data) != want {
					t.Errorf("%s was not repaired: %v", path, err)
				}
			}
		})
	}
}

func TestABrokenIndexCostsTagsOnly(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), t.TempDir()
	p := publish(t, origin)
	if _, err := p.follow(t.Context(), newCache(t, origin, dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"manif`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.follow(t.Context(), newCache(t, origin, dir)); err != nil {
		t.Error(err)
	}
}

func TestTamperedContentNeverEntersTheCache(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), t.TempDir()
	p := publish(t, origin)
	m, err := bundle.ReadManifest(p.built.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	layer := m.Layers[1]
	origin.Tamper(layer.Digest, func(b []byte) []byte { b[10] ^= 1; return b })
	c := newCache(t, origin, dir)
	_, err = p.follow(t.Context(), c)
	var r *trust.Refusal
	if !errors.As(err, &r) || r.Name != bundle.WrongDigest || c.Offline() != nil {
		t.Fatalf("got %v (offline: %v)", err, c.Offline())
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(layer.Digest, "sha256:"))); !os.IsNotExist(err) {
		t.Errorf("it is in the cache: %v", err)
	}
}

func TestAnOriginThatIsAwayIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	origin := bundletest.NewMemory()
	origin.Fail(errDown)
	now := noon
	c, err := ocistore.Cached(origin, t.TempDir(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), "x"); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	origin.Fail(nil)
	if _, err := c.Resolve(t.Context(), "x"); !errors.Is(err, ocistore.ErrOffline) {
		t.Errorf("it was asked again at once: %v", err)
	}
	now = now.Add(time.Minute)
	if _, err := c.Resolve(t.Context(), "x"); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("it was not asked again: %v", err)
	}
}

func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), t.TempDir()
	p := publish(t, origin)
	c := newCache(t, origin, dir)
	if _, err := p.follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	old := bundle.DescriptorOf(bundle.LayerMediaType, []byte("an old layer"))
	if err := origin.Push(t.Context(), old, bytes.NewReader([]byte("an old layer"))); err != nil {
		t.Fatal(err)
	}
	if rc, err := c.Open(t.Context(), old); err != nil || rc.Close() != nil {
		t.Fatal(err)
	}
	p.point(t, origin, 2)
	if _, err := p.follow(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := c.Prune(t.Context(), p.built.Descriptor.Digest); err != nil {
		t.Fatal(err)
	}
	origin.Fail(errDown)
	if _, err := p.follow(t.Context(), newCache(t, origin, dir)); err != nil {
		t.Errorf("something needed is gone: %v", err)
	}
	if _, err := c.Local().Open(t.Context(), old); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("the old layer is still there: %v", err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if n := strings.Count(string(index), `"digest"`); err != nil || n != 3 {
		t.Errorf("%d manifests are kept, want bundle, signature and pointer: %v", n, err)
	}
}
