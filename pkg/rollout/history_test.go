package rollout_test

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// histories is how many random histories are tried: some hundreds, or as many as VIGO_HISTORIES says.
func histories(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("VIGO_HISTORIES"), 10, 64)
	if os.Getenv("VIGO_HISTORIES") == "" {
		return 600
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// each runs f for as many seeds, on all CPUs.
func each(n uint64, f func(seed uint64)) {
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1); seed <= n; seed = next.Add(1) {
				f(seed)
			}
		})
	}
	wg.Wait()
}

// TestHistories: whatever happens to a fleet, the counters add up, nobody is taken back without being told to, nothing that
// was aborted goes on, no stage passes without a node that is well, the controller can sign each pointer after the one before,
// more failures never help, and a replay gives the same.
func TestHistories(t *testing.T) {
	t.Parallel()
	var phases [8]atomic.Int64
	order := []rollout.Phase{rollout.Running, rollout.Paused, rollout.Aborted, rollout.Reverting, rollout.Reverted, rollout.Completed, rollout.Superseded}
	each(histories(t), func(seed uint64) {
		w := newWorld(t, seed, false)
		for range 60 + w.rand.IntN(200) {
			w.step()
		}
		w.wantReplay()
		for i, p := range order {
			if w.state.Phase == p {
				phases[i].Add(1)
			}
		}
	})
	for i, p := range order[:6] {
		t.Logf("%s: %d", p, phases[i].Load())
		if phases[i].Load() == 0 {
			t.Errorf("no history ended %s: they show less than they should", p)
		}
	}
}

// TestNothingWaitsForEver: without operators and windows, a rollout has come to its end, or has stopped and said why, when
// the deadlines of its stages are over, whoever is offline.
func TestNothingWaitsForEver(t *testing.T) {
	t.Parallel()
	each(histories(t)/20, func(seed uint64) {
		w := newWorld(t, seed, true)
		until := w.now.Add(4*w.state.Spec.Deadline + 10*time.Minute)
		for w.now.Before(until) && w.state.Phase == rollout.Running {
			w.step()
		}
		switch w.state.Phase {
		case rollout.Completed, rollout.Aborted, rollout.Reverted, rollout.Reverting:
		case rollout.Paused:
			if w.state.Detail == "" {
				t.Errorf("seed %d: paused, and does not say why: %+v", seed, w.state.Reason)
			}
		default:
			t.Errorf("seed %d: still %s (%s %s) at stage %d: %v", seed, w.state.Phase, w.state.Reason, w.state.Detail, w.state.Stage, w.state.Counts)
		}
	})
}
