package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/prune"
)

// Retention says what a hub removes from its store, and when.
type Retention struct {
	Every   time.Duration // between two prunings; 0: never
	Keep    int           // as in [prune.Options]
	KeepFor time.Duration
}

// pruneSoon is when a hub that was started prunes first: it has other things to do before.
const pruneSoon = 5 * time.Minute

// Prune removes from the local store what no pointer, rollback or rollout needs, and returns what that was. Nothing is mirrored
// meanwhile, so that a bundle which is about to be shown is not taken for one that was. Being killed in the middle leaves
// bundles that no pointer names without some of their signatures; the next time removes the rest of them.
func (m *Mirror) Prune(ctx context.Context, r Retention) ([]prune.Removal, error) {
	repo, ok := m.Local.(prune.Repository)
	if !ok {
		return nil, errors.New("pruning: this kind of store does not remove anything")
	}
	m.syncing.Lock()
	defer m.syncing.Unlock()
	o := prune.Options{Keep: r.Keep, KeepFor: r.KeepFor, Grace: prune.DefaultGrace, Holds: m.holds, Now: m.Now}
	plan, err := prune.Make(ctx, repo, o)
	if errors.Is(err, prune.ErrNoChannel) {
		return nil, nil // nothing is shown yet
	}
	if err != nil {
		return nil, fmt.Errorf("pruning: %w", err)
	}
	defer m.shelf.forget()
	return plan.Remove(ctx, repo, o, nil)
}

// pruneLoop prunes at intervals.
func (h *Hub) pruneLoop(ctx context.Context) {
	if h.Retention.Every <= 0 {
		return
	}
	for wait := min(pruneSoon, h.Retention.Every); pause(ctx, wait, nil); wait = h.Retention.Every {
		removed, err := h.mirror.Prune(ctx, h.Retention)
		var bytes int64
		for _, r := range removed {
			h.metrics.pruned.WithLabelValues(r.Kind).Inc()
			bytes += r.Bytes
		}
		if len(removed) > 0 {
			h.Log.Info("removed old bundles and pointers", "removed", len(removed), "bytes", bytes)
		}
		if err != nil && ctx.Err() == nil {
			h.metrics.pruneFailures.Inc()
			h.Log.Warn("removing old bundles", "err", err)
		}
	}
}
