package reporting

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// TestAgenda has nodes come, go, come back and be retired, the service be away, and intervals change, all at random: after each
// look, what was told of each node is what looking at every one of them finds.
func TestAgenda(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	var names []string
	silences := 0
	for step := range 2000 {
		switch random.IntN(12) {
		case 0:
			if len(names) < 20 {
				names = append(names, fmt.Sprint("web-", len(names)))
				r.join(t, names[len(names)-1])
			}
		case 1:
			r.mu.Lock()
			r.Interval = time.Duration(1+random.IntN(60)) * time.Second
			r.mu.Unlock()
		case 2:
			if len(names) > 0 && random.IntN(20) == 0 {
				must(t, r.Retire(t.Context(), names[random.IntN(len(names))]))
			}
		default:
			for range random.IntN(3) {
				if len(names) > 0 {
					_, _ = r.CheckIn(t.Context(), report.CheckIn{Node: names[random.IntN(1+random.IntN(len(names)))]}) // it may be retired
				}
			}
		}
		pass := []time.Duration{0, time.Nanosecond, lookEvery, time.Second, 5 * time.Second, pause, pause}
		if random.IntN(50) == 0 { // longer than the service may be silent itself
			pass = []time.Duration{pause + time.Second, 3 * time.Minute, 25 * time.Hour}
		}
		r.pass(pass[random.IntN(len(pass))])
		r.Tick(t.Context())
		r.mu.Lock()
		for _, n := range r.nodes {
			at := r.presence(n, r.Now())
			if silent(at) {
				silences++
			}
			if silent(at) != silent(n.shown) || silent(at) && at != n.shown {
				t.Errorf("step %d: %s is %s, and was told of as %s", step, n.Name, at, n.shown)
			}
		}
		dates := len(r.agenda.dates)
		r.mu.Unlock()
		if dates > 10*len(names) {
			t.Fatalf("step %d: %d dates of %d nodes", step, dates, len(names))
		}
	}
	if silences == 0 {
		t.Error("nobody was ever silent")
	}
}

// TestLoading: the amnesty begins when a service answers, not when it begins to load what it holds.
func TestLoading(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.restart(t, time.Minute)
	r.pass(time.Hour) // it has much to load
	r.listens()
	r.pass(3*half - time.Second)
	r.Tick(t.Context())
	if got := r.node(t, "web-1").Presence; got == report.Stale {
		t.Errorf("before it could come back: %s", got)
	}
	r.pass(2 * time.Second)
	r.Tick(t.Context())
	if got := r.node(t, "web-1").Presence; got != report.Stale {
		t.Errorf("after three intervals of silence: %s", got)
	}
}
