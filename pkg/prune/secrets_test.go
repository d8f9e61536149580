package prune_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/prune"
	"vigo.dev/pkg/seal"
)

// TestSealedSecretsOfOldPointersGo keeps what a kept pointer names and what may be about to be published, and removes the rest.
func TestSealedSecretsOfOldPointersGo(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 7)
	stable := h.commit()
	var all []bundle.Built
	sealed := func() bundle.Built {
		built, err := seal.Pack("lab", "main", map[string][]byte{seal.ID(nil): fmt.Append(nil, len(all))}, h.now)
		h.must(err)
		h.must(built.Push(t.Context(), h.repo, seal.Tag(built.Descriptor.Digest)))
		all = append(all, built)
		return built
	}
	for range 3 {
		h.now = h.now.Add(time.Hour)
		d := sealed().Descriptor
		h.point("main", stable, func(p *bundle.Pointer) { p.Secrets = &bundle.Target{Digest: d.Digest, Size: d.Size} })
	}
	h.now = h.now.Add(1000 * time.Hour)
	sealed() // and no pointer yet
	o := prune.Options{Keep: 1, Grace: time.Hour, Now: func() time.Time { return h.now }}
	there := func() (got []bool) {
		for _, built := range all {
			_, err := h.repo.Resolve(t.Context(), seal.Tag(built.Descriptor.Digest))
			if err != nil && !errors.Is(err, bundle.ErrNotFound) {
				t.Fatal(err)
			}
			got = append(got, err == nil)
		}
		return got
	}
	remove := func() {
		plan, err := prune.Make(t.Context(), h.repo, o)
		h.must(err)
		_, err = plan.Remove(t.Context(), h.repo, o, nil)
		h.must(err)
	}
	remove()
	if got := fmt.Sprint(there()); got != "[false false true true]" {
		t.Errorf("of four there are %s", got)
	}
	h.now = h.now.Add(2 * time.Hour)
	remove()
	if got := fmt.Sprint(there()); got != "[false false true false]" {
		t.Errorf("later, of four there are %s", got)
	}
}
