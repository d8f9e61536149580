package controller

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
)

// onceKeys refuse to give the number of a pointer to other bytes, as the real ones do.
type onceKeys struct{ testKeys }

func (k onceKeys) Publish(ctx context.Context, store bundle.Store, p bundle.Pointer, sigs [][]byte) error {
	_, fixed := p.Tags()
	var m bundle.Manifest
	d, err := store.Resolve(ctx, fixed)
	if err == nil {
		err = fetchJSON(ctx, store, d, &m)
	}
	switch {
	case err == nil && m.Layers[0].Digest != digestOf(sigs[0]):
		return &bundle.Refusal{Name: bundle.Equivocation, What: fixed}
	case err != nil && !errors.Is(err, bundle.ErrNotFound):
		return err
	}
	return k.testKeys.Publish(ctx, store, p, sigs)
}

// TestTwin: a copy of a controller with the same keys is faster by one pointer, and is stopped then. The other one says so, and
// goes on from there by itself.
func TestTwin(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]time.Duration{"other words": time.Second, "the same words": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			twin(t, later)
		})
	}
}

// twin has the second to publish so much later than the first: in the same second they sign the same.
func twin(t *testing.T, later time.Duration) {
	r := newRig(t)
	r.repo.Commit("one")
	first := r.start()
	first.cfg.Keys = onceKeys{r.keys}
	r.step()
	data := r.data
	r.data = t.TempDir()
	if err := os.CopyFS(r.data, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
	r.now = r.now.Add(time.Second)
	r.start().cfg.Keys = onceKeys{r.keys}
	r.step()
	r.now = r.now.Add(later)
	r.c = first
	if err := first.Step(t.Context()); err == nil || !strings.Contains(strings.Join(first.Status().Failure.Hints, " "), "another controller") {
		t.Fatalf("it says %v, %+v", err, first.Status().Failure)
	}
	r.step()
	r.repo.Put(map[string]string{"motd": "three"}).Commit("three")
	r.step()
	if p := r.pointer("production"); p.Seq != 3 || p.Stable.Commit != first.Status().Built.Commit {
		t.Errorf("the registry shows %s of commit %s", p.Version(), p.Stable.Commit)
	}
	oneDigestATag(t, r.store)
}
