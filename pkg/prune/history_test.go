package prune_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/prune"
	"vigo.dev/pkg/trust"
)

// history is a fleet that lives: commits, rollbacks, rollouts, heartbeats, and somebody who prunes.
type history struct {
	t        *testing.T
	rng      *rand.Rand
	repo     repository
	now      time.Time
	key      *trust.Signer
	channels map[string][]bundle.Pointer // all that were published, oldest first
	built    []*made
	weight   int                 // bytes that each bundle has for itself
	asked    map[string]string   // what is to be promoted to a channel
	owned    []bundle.Descriptor // bundles with a tag of a person
}

// repository is one that is published to and pruned.
type repository interface {
	bundle.Store
	Tags(ctx context.Context, visit func(tag string) error) error
	Delete(ctx context.Context, d bundle.Descriptor) error
}

// made is a bundle with when it was signed.
type made struct {
	bundle.Built
	signed time.Time
	commit string
}

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	key, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &history{t: t, rng: rand.New(rand.NewPCG(seed, 1)), repo: bundletest.NewMemory(), key: key,
		now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), channels: map[string][]bundle.Pointer{}, asked: map[string]string{}}
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// commit builds, tags and signs a bundle, of a commit that may be old.
func (h *history) commit() *made {
	h.t.Helper()
	n := len(h.built)
	commit := fmt.Sprintf("%040x", n+1)
	text := fmt.Sprintf("commit %d", n)
	m := &made{signed: h.now, commit: commit}
	var err error
	m.Built, err = bundle.Build(bundle.Config{Fleet: "lab", Channels: []string{"main"}, Counter: int64(n),
		Source: bundle.Origin{Commit: commit, CommitTime: h.now.Add(-time.Duration(h.rng.IntN(100)) * time.Hour)}},
		[]bundle.LayerInput{
			{Files: []bundle.File{{Path: "fleet.yaml", Data: []byte(text)}, {Path: "ballast", Data: h.ballast()}}},
			{Module: "shared", Files: []bundle.File{{Path: "modules/shared/module.yaml", Data: fmt.Appendf(nil, "shared %d", n/3)}}}, // layers are shared
		})
	h.must(err)
	h.must(m.Push(h.t.Context(), h.repo, "c-"+commit[len(commit)-12:]))
	h.sign(m)
	h.built = append(h.built, m)
	return m
}

// ballast is what no compression makes smaller.
func (h *history) ballast() []byte {
	data := make([]byte, h.weight)
	for i := range data {
		data[i] = byte(h.rng.Uint32())
	}
	return data
}

func (h *history) sign(m *made) {
	sig, err := h.key.SignManifest(h.t.Context(), m.Descriptor)
	h.must(err)
	_, err = trust.Attach(h.t.Context(), h.repo, m.Descriptor, sig, h.now)
	h.must(err)
	m.signed = h.now
}

func target(m *made) bundle.Target {
	return bundle.Target{Digest: m.Descriptor.Digest, Size: m.Descriptor.Size}
}

// point publishes the next pointer of a channel.
func (h *history) point(channel string, stable *made, edit func(*bundle.Pointer)) {
	h.t.Helper()
	all := h.channels[channel]
	p := bundle.Pointer{Fleet: "lab", Channel: channel, Epoch: 1, Seq: int64(len(all) + 1), Issued: h.now, Expires: h.now.Add(7 * 24 * time.Hour), Stable: target(stable)}
	if edit != nil {
		edit(&p)
	}
	sig, err := h.key.SignPointer(h.t.Context(), p)
	h.must(err)
	h.must(trust.PublishPointer(h.t.Context(), h.repo, p, [][]byte{sig}))
	h.channels[channel] = append(all, p)
}

// present returns the bundles that are there whole, with their signatures.
func (h *history) present() []*made {
	h.t.Helper()
	var there []*made
	for _, m := range h.built {
		d, err := h.repo.Resolve(h.t.Context(), m.Descriptor.Digest)
		if errors.Is(err, bundle.ErrNotFound) {
			continue
		}
		h.must(err)
		if _, _, err := bundle.Read(h.t.Context(), h.repo, d); err != nil {
			h.t.Errorf("bundle of %s: %v", m.commit, err)
		}
		for _, b := range m.Blobs {
			if _, err := bundle.Fetch(h.t.Context(), h.repo, b.Descriptor, bundle.MaxLayer); err != nil {
				h.t.Errorf("a blob of %s: %v", m.commit, err)
			}
		}
		if refs, err := h.repo.Referrers(h.t.Context(), d, bundle.SignatureMediaType); err != nil || len(refs) == 0 {
			h.t.Errorf("the signature of %s: %v", m.commit, err)
		}
		there = append(there, m)
	}
	return there
}

// wanted returns why each bundle is needed, worked out from what was done, not from the repository.
func (h *history) wanted(o prune.Options) map[string]string {
	why := map[string]string{}
	name := func(p bundle.Pointer, reason string) {
		for _, digest := range p.Names() {
			why[digest] = reason
		}
	}
	for channel, all := range h.channels {
		var targets []string
		for i, p := range slices.Backward(all) {
			switch {
			case i == len(all)-1:
				name(p, channel+" points to it")
			case h.now.Sub(p.Issued) < o.KeepFor:
				name(p, channel+" pointed to it not long ago")
			}
			if !slices.Contains(targets, p.Stable.Digest) && len(targets) < o.Keep {
				targets = append(targets, p.Stable.Digest)
				name(p, channel+" may be rolled back to it")
			}
		}
	}
	for i, m := range h.built {
		if h.now.Sub(m.signed) < max(o.Grace, o.KeepFor) {
			why[m.Descriptor.Digest] = "it was signed not long ago"
		}
		if len(h.built)-i <= o.Keep {
			why[m.Descriptor.Digest] = "it was built last"
		}
	}
	for channel, digest := range h.asked {
		why[digest] = "it is asked for " + channel
	}
	for _, d := range h.owned {
		why[d.Digest] = "somebody gave it a tag"
	}
	return why
}

// check compares what is there with what is needed: not less, and not more.
func (h *history) check(o prune.Options) {
	h.t.Helper()
	why, there := h.wanted(o), map[string]bool{}
	for _, m := range h.present() {
		there[m.Descriptor.Digest] = true
		if why[m.Descriptor.Digest] == "" {
			h.t.Errorf("the bundle of %s is still there, and nothing needs it", m.commit)
		}
	}
	for digest, reason := range why {
		if !there[digest] {
			h.t.Errorf("%s was removed, but %s", digest, reason)
		}
	}
	for channel, all := range h.channels {
		p := all[len(all)-1]
		for _, tag := range []string{"channel-" + channel, "channel-" + channel + "-" + p.Version()} {
			if _, err := h.repo.Resolve(h.t.Context(), tag); err != nil {
				h.t.Errorf("%s: %v", tag, err)
			}
		}
	}
}

// live does one thing that happens in a fleet.
func (h *history) live() {
	h.now = h.now.Add(time.Duration(h.rng.IntN(48)) * time.Hour / 4)
	channel := []string{"main", "staging", "lab-2"}[h.rng.IntN(3)]
	there := h.present()
	any := func() *made { return there[h.rng.IntN(len(there))] }
	all := h.channels[channel]
	switch n := h.rng.IntN(10); {
	case n < 4 || len(there) == 0:
		h.point(channel, h.commit(), nil)
	case n < 6 && len(all) > 0: // a heartbeat
		last := all[len(all)-1]
		h.point(channel, there[slices.IndexFunc(there, func(m *made) bool { return m.Descriptor.Digest == last.Stable.Digest })], nil)
	case n == 6: // a rollback
		h.point(channel, any(), nil)
	case n == 7: // a rollout, with something to fetch ahead
		c, ahead := target(any()), target(any())
		h.point(channel, any(), func(p *bundle.Pointer) { p.Candidate, p.Prefetch = &c, []bundle.Target{ahead} })
	case n == 8: // a person keeps one
		m := any()
		h.must(h.repo.Tag(h.t.Context(), m.Descriptor, fmt.Sprintf("v1.%d", len(h.owned))))
		h.owned = append(h.owned, m.Descriptor)
	case n == 9 && h.rng.IntN(2) == 0: // it is asked that a channel be given one
		m := any()
		h.must(trust.PublishRequest(h.t.Context(), h.repo, trust.Request{Fleet: "lab", Channel: channel, Bundle: target(m), Requested: h.now}))
		h.asked[channel] = m.Descriptor.Digest
	default: // it is signed by one more key
		h.sign(any())
	}
}

func (h *history) prune(o prune.Options) {
	h.t.Helper()
	plan, err := prune.Make(h.t.Context(), h.repo, o)
	h.must(err)
	done, err := plan.Remove(h.t.Context(), h.repo, o, nil)
	h.must(err)
	if len(done) != len(plan.Removals) {
		h.t.Errorf("%d of %d removals were carried out", len(done), len(plan.Removals))
	}
	again, err := prune.Make(h.t.Context(), h.repo, o)
	h.must(err)
	if len(again.Removals) != 0 {
		h.t.Errorf("there is something left to remove: %+v", again.Removals)
	}
}

// Whatever has happened to a fleet, pruning removes exactly what nothing needs.
func TestPruningRemovesExactlyWhatNothingNeeds(t *testing.T) {
	t.Parallel()
	removed := 0
	for seed := range uint64(50) {
		h := newHistory(t, seed)
		o := prune.Options{Keep: 1 + h.rng.IntN(4), KeepFor: time.Duration(h.rng.IntN(60)) * time.Hour,
			Grace: time.Duration(h.rng.IntN(12)) * time.Hour, Now: func() time.Time { return h.now }}
		for range 30 {
			h.live()
			if h.rng.IntN(8) > 0 {
				continue
			}
			before := len(h.present())
			h.prune(o)
			h.check(o)
			removed += before - len(h.present())
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if removed < 60 {
		t.Errorf("only %d bundles were removed in all histories: they try out too little", removed)
	}
}
