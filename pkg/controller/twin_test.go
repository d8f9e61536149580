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

// shortKeys end in the middle: the tag that stays is written, the one that moves is not.
type shortKeys struct{ onceKeys }

var errKilled = errors.New("killed")

func (k shortKeys) Publish(ctx context.Context, store bundle.Store, p bundle.Pointer, sigs [][]byte) error {
	_, fixed := p.Tags()
	layer := blobOf(bundle.SignatureMediaType, sigs[0])
	return errors.Join(errKilled, pushManifest(ctx, store, bundle.Manifest{ArtifactType: bundle.PointerType, Layers: []bundle.Descriptor{layer.Descriptor}}, []Blob{layer}, fixed))
}

// TestATwinThatIsKilledBetweenItsTags has given a number to a pointer that the channel never showed. The other controller says so,
// finishes what it began, and goes on from there: the number has one content only.
func TestATwinThatIsKilledBetweenItsTags(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{true, false} { // whether the channel shows anything yet
		r := newRig(t)
		r.repo.Commit("one")
		r.start()
		r.c.cfg.Keys = onceKeys{r.keys}
		if begun {
			r.step()
		}
		first, data := r.c, r.data
		r.data = t.TempDir()
		if err := os.CopyFS(r.data, os.DirFS(data)); err != nil {
			t.Fatal(err)
		}
		r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
		r.now = r.now.Add(time.Second)
		r.start().cfg.Keys = shortKeys{onceKeys{r.keys}}
		if err := r.c.Step(t.Context()); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		r.now = r.now.Add(time.Second)
		r.c = first
		if err := first.Step(t.Context()); err == nil || !strings.Contains(strings.Join(first.Status().Failure.Hints, " "), "another controller") {
			t.Fatalf("it says %v", err)
		}
		r.step()
		r.repo.Put(map[string]string{"motd": "three"}).Commit("three")
		r.step()
		if p := r.pointer("production"); p.Stable.Commit != first.Status().Built.Commit {
			t.Errorf("the registry shows %s of commit %s", p.Version(), p.Stable.Commit)
		}
		oneDigestATag(t, r.store)
		contiguous(t, r.store, "channel-production-1.")
	}
}

// TestANumberThatWasGivenToSomethingElse: who may push has put something of their own where our next pointer goes. It is said, and
// nothing of it is published.
func TestANumberThatWasGivenToSomethingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.c.cfg.Keys = onceKeys{r.keys}
	r.step()
	before := r.pointer("production")
	next := before
	next.Seq++
	thief := newTestKeys("theirs")
	signature, _, err := thief.SignPointer(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	if err := (shortKeys{onceKeys{thief}}).Publish(t.Context(), r.store, next, [][]byte{signature}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
	r.now = r.now.Add(time.Second)
	for range 3 {
		err = r.c.Step(t.Context())
	}
	if f := r.c.Status().Failure; err == nil || f.Kind != FailedTrust || !strings.Contains(f.Message, "was given to something else") {
		t.Errorf("it says %v, %+v", err, f)
	}
	if p := r.pointer("production"); p.Seq != before.Seq {
		t.Errorf("the registry shows %s", p.Version())
	}
}
