package hub_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/hub"
	"vigo.dev/pkg/trust"
)

// attach signs as of now.
func (s *site) attach(d bundle.Descriptor, signature []byte) {
	s.t.Helper()
	_, err := trust.Attach(s.t.Context(), s.centre, d, signature, s.now)
	s.must(err)
}

// mortal is a store that dies after some removals, as that of a hub which is killed.
type mortal struct {
	*bundletest.Memory
	lives int // removals until it dies; negative: it does not
}

var errKilled = errors.New("killed")

// Delete implements prune.Repository.
func (m *mortal) Delete(ctx context.Context, d bundle.Descriptor) error {
	if m.lives == 0 {
		return errKilled
	}
	m.lives--
	return m.Memory.Delete(ctx, d)
}

// A hub that is killed at any point of pruning, over and over, shows its site a whole bundle at any time, keeps those of the
// rollback window, and gets rid of the rest in the end.
func TestPruningWhileItIsKilled(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			s := newSite(t)
			store := &mortal{Memory: s.local, lives: -1}
			keep := 1 + random.IntN(3)
			retention := hub.Retention{Keep: keep, KeepFor: 24 * time.Hour}
			var released []bundle.Built // as the channel pointed to them, the newest last
			open := func() *hub.Mirror {
				scope, err := hub.ParseScope(nil, []string{"role=web"}, roleLanguage())
				s.must(err)
				m, err := hub.NewMirror(hub.MirrorConfig{Upstream: s.centre, Local: store, Fleet: "acme", Channels: []string{"stable"}, Root: s.root,
					Scope: scope, State: s.state, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.now }})
				s.must(err)
				return m
			}
			for seq := int64(1); seq <= 12; seq++ {
				s.now = s.now.Add(time.Duration(1+random.IntN(30)) * time.Hour)
				built := s.pack(fmt.Sprint(seq))
				if len(released) > 2 && random.IntN(4) == 0 {
					built = released[random.IntN(len(released))] // a rollback
				}
				p := s.pointer(seq, built)
				p.Issued, p.Expires = s.now, s.now.Add(time.Hour)
				s.point(p)
				released = append(released, built)
				m := open()
				s.must(m.Sync(t.Context()))
				s.showsScoped(s.local, seq)
				store.lives = random.IntN(8)
				if _, err := m.Prune(t.Context(), retention); err != nil && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				store.lives = -1
				s.showsScoped(s.local, seq)
			}
			s.now = s.now.Add(30 * time.Minute)
			_, err := open().Prune(t.Context(), retention)
			s.must(err)
			s.showsScoped(s.local, 12)
			window := map[string]bool{}
			for i := len(released) - 1; i >= 0 && len(window) < keep; i-- {
				window[released[i].Descriptor.Digest] = true
				if got := s.holds(s.local, released[i]); got != " apt base web" {
					t.Errorf("of a target of a rollback it holds %q", got)
				}
			}

			// When time has gone by, and nothing new came, only the window is left.
			s.now = s.now.Add(60 * 24 * time.Hour)
			_, err = open().Prune(t.Context(), hub.Retention{Keep: keep})
			s.must(err)
			left := map[string]bool{}
			for _, built := range released {
				if _, err := s.local.Resolve(t.Context(), built.Descriptor.Digest); err == nil {
					left[built.Descriptor.Digest] = true
				}
			}
			if len(left) < len(window) || len(left) > 2*keep { // those that were built last are kept beside those of the channel
				t.Errorf("%d bundles are left of %d, %d are in the window", len(left), len(released), len(window))
			}
		})
	}
}

// showsScoped fails unless an agent of the site finds this pointer, and of its bundle the layers of the scope.
func (s *site) showsScoped(local bundle.Source, seq int64) {
	s.t.Helper()
	v := trust.NewVerifier(s.root, func() time.Time { return s.now })
	p, _, err := v.Pointer(s.t.Context(), local, "acme", "stable")
	s.must(err)
	if p.Seq != seq {
		s.t.Fatalf("the hub shows pointer %s, want seq %d", p.Version(), seq)
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}
	_, err = v.Bundle(s.t.Context(), local, d, "acme", "stable")
	s.must(err)
	if got := s.holds(local, bundle.Built{Descriptor: d}); got != " apt base web" {
		s.t.Fatalf("of the bundle it shows it holds %q", got)
	}
}

// Before anything was mirrored there is nothing to remove, and nothing wrong.
func TestPruningAnEmptyHub(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if removed, err := s.mirror().Prune(t.Context(), hub.Retention{Keep: 1}); err != nil || len(removed) != 0 {
		t.Errorf("%v, %v", removed, err)
	}
}
