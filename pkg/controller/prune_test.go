package controller

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/prune"
	"vigo.dev/pkg/trust"
)

// Whatever is removed while commits are published, what channels point to is there, and the old ones go.
func TestAControllerPrunesWhileItPublishes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hours := new(atomic.Int64)
	now := func() time.Time { return r.now.Add(time.Duration(hours.Load()) * time.Hour) }
	reg, err := registry.New(registry.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := reg.Store(t.Context(), "vigo/bundles")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := OpenKeyring(t.Context(), t.TempDir(), KeyringOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	git, err := gitsource.Open(gitsource.Options{URL: r.repo.Dir, Dir: filepath.Join(r.data, "git")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = git.Close() })
	c, err := New(Config{Data: r.data, Git: git, Store: store, Keys: keys, Builder: testBuilder{&r.builds}, Rules: r.rules,
		Retention: Retention{Keep: 2}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.ParseRoot(keys.Root())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var pruning sync.WaitGroup
	pruning.Go(func() {
		for ctx.Err() == nil {
			if err := c.prune(ctx, store.(prune.Repository)); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for n := range 12 {
		r.repo.Put(map[string]string{"motd": fmt.Sprint(n)}).Commit(fmt.Sprint("commit ", n))
		if err := c.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := trust.NewVerifier(root, now)
		p, _, err := v.Pointer(t.Context(), store, "acme", "staging")
		if err != nil {
			t.Fatal(err)
		}
		d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}
		if _, err := v.Bundle(t.Context(), store, d, "acme", "staging"); err != nil {
			t.Fatalf("commit %d: what is published cannot be run: %v", n, err)
		}
		hours.Add(2)
	}
	stop()
	pruning.Wait()
	if err := c.prune(t.Context(), store.(prune.Repository)); err != nil {
		t.Error(err)
	}
	bundles := 0
	err = store.(prune.Repository).Tags(t.Context(), func(tag string) error {
		if strings.HasPrefix(tag, "c-") {
			bundles++
		}
		return nil
	})
	if err != nil || bundles != 2 {
		t.Errorf("%d bundles are left, want two: %v", bundles, err)
	}
}

// hasty is keys beside which somebody removes a bundle just when a pointer to it is published.
type hasty struct {
	testKeys
	remove func(digest string)
}

func (h hasty) Publish(ctx context.Context, store bundle.Store, p bundle.Pointer, sigs [][]byte) error {
	err := h.testKeys.Publish(ctx, store, p, sigs)
	h.remove(p.Stable.Digest)
	return err
}

func TestABundleThatIsRemovedWhileItIsPublishedIsPublishedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("first")
	r.start()
	removed := 0
	r.c.cfg.Keys = hasty{r.keys, func(digest string) {
		if removed++; removed == 1 {
			if err := os.Remove(r.store.blob(digest)); err != nil {
				t.Error(err)
			}
		}
	}}
	if err := r.c.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "publishing it again") {
		t.Errorf("the first round: %v", err)
	}
	r.step()
	r.step()
	for _, channel := range []string{"staging", "production"} {
		p := r.pointer(channel)
		d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}
		if _, err := bundle.Fetch(t.Context(), r.store, d, bundle.MaxManifest); err != nil || p.Seq != 1 {
			t.Errorf("channel %s, pointer %s: %v", channel, p.Version(), err)
		}
	}
	if f := r.c.Status().Failure; f != nil {
		t.Errorf("it still tells of %q", f.Message)
	}
}
