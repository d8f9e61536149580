package prune_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/prune"
)

// mover publishes a rollback to an old bundle in the middle of the work of somebody who prunes.
type mover struct {
	repository
	deletes int
	move    func()
}

func (m *mover) Delete(ctx context.Context, d bundle.Descriptor) error {
	err := m.repository.Delete(ctx, d)
	if m.deletes++; m.deletes == 1 {
		m.move()
	}
	return err
}

func TestPruningStopsWhenAChannelMoves(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 1)
	var all []*made
	for range 12 {
		h.now = h.now.Add(time.Hour)
		all = append(all, h.commit())
		h.point("main", all[len(all)-1], nil)
	}
	h.now = h.now.Add(100 * time.Hour)
	o := prune.Options{Keep: 2, Grace: time.Hour, Now: func() time.Time { return h.now }}
	repo := &mover{repository: h.repo, move: func() { h.point("main", all[5], nil) }}
	plan, err := prune.Make(t.Context(), repo, o)
	h.must(err)
	done, err := plan.Remove(t.Context(), repo, o, nil)
	if !errors.Is(err, prune.ErrMoved) || len(done) != 1 {
		t.Errorf("it went on after a rollback to a bundle it was about to remove: %d removed, %v", len(done), err)
	}
	h.prune(o)
	h.check(o)
	if _, err := h.repo.Resolve(t.Context(), all[5].Descriptor.Digest); err != nil {
		t.Errorf("the bundle that is rolled back to: %v", err)
	}
}

// What a controller is about to publish stays, though nothing points to it yet and it is old.
func TestWhatIsProtectedStays(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 2)
	old := h.commit()
	for range 3 {
		h.now = h.now.Add(time.Hour)
		h.point("main", h.commit(), nil)
	}
	h.now = h.now.Add(1000 * time.Hour)
	o := prune.Options{Keep: 1, Now: func() time.Time { return h.now }, Protect: func() []string { return []string{old.Descriptor.Digest} }}
	h.prune(o)
	if _, err := h.repo.Resolve(t.Context(), old.Descriptor.Digest); err != nil {
		t.Error(err)
	}
	if n := len(h.present()); n != 2 {
		t.Errorf("%d bundles are there, want the present one and the one that is protected", n)
	}
}

// A removal that was cut off anywhere is finished by the next.
func TestAPruningThatIsCutOffIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	errCut := errors.New("connection reset")
	for at := range 12 {
		h := newHistory(t, uint64(at))
		for range 6 {
			h.now = h.now.Add(time.Hour)
			h.point("main", h.commit(), nil)
		}
		h.now = h.now.Add(1000 * time.Hour)
		o := prune.Options{Keep: 1, Grace: time.Hour, Now: func() time.Time { return h.now }}
		plan, err := prune.Make(t.Context(), h.repo, o)
		h.must(err)
		left := at
		if _, err := plan.Remove(t.Context(), &cutter{h.repo, &left, errCut}, o, nil); !errors.Is(err, errCut) {
			t.Fatalf("cut at %d: %v", at, err)
		}
		h.prune(o)
		h.check(o)
	}
}

type cutter struct {
	repository
	left *int
	err  error
}

func (c *cutter) Delete(ctx context.Context, d bundle.Descriptor) error {
	if *c.left--; *c.left < 0 {
		return c.err
	}
	return c.repository.Delete(ctx, d)
}

func TestNothingIsRemovedWhereAChannelCannotBeRead(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 3)
	for range 3 {
		h.now = h.now.Add(time.Hour)
		h.point("main", h.commit(), nil)
	}
	h.now = h.now.Add(1000 * time.Hour)
	config := bundle.DescriptorOf("application/vnd.oci.empty.v1+json", []byte("{}"))
	carrier, err := json.Marshal(bundle.Manifest{SchemaVersion: 2, MediaType: bundle.ManifestMediaType, ArtifactType: bundle.PointerType, Config: config, Layers: []bundle.Descriptor{config}})
	h.must(err)
	d := bundle.DescriptorOf(bundle.ManifestMediaType, carrier)
	h.must(errors.Join(h.repo.Push(t.Context(), d, bytes.NewReader(carrier)), h.repo.Tag(t.Context(), d, "channel-main")))
	if plan, err := prune.Make(t.Context(), h.repo, prune.Options{Keep: 1, Now: func() time.Time { return h.now }}); err == nil {
		t.Errorf("a channel that says nothing needs nothing: %+v", plan.Removals)
	}
}
