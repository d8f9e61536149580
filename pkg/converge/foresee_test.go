package converge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// visible is a thing whose plan can be made before its turn.
type visible struct {
	thing
	looks  *atomic.Int32 // at any of them
	spoils string        // what its change takes away
	on     []*host.Host  // that it was planned on
}

func (v *visible) Foreseeable() bool { return true }

func (v *visible) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	v.looks.Add(1)
	v.on = append(v.on, h)
	p, err := v.thing.Plan(ctx, h)
	if v.spoils == "" || err != nil || p.Empty() {
		return p, err
	}
	var spoiling resource.Plan
	spoiling.Do(func(ctx context.Context) error {
		delete(v.w.values, v.spoils)
		_, err := p.Apply(ctx)
		return err
	}, p.Changes()...)
	return spoiling, nil
}

// visibles are n things of which none differs.
func visibles(w *world, n int) (items []resource.Item, looks *atomic.Int32) {
	looks = &atomic.Int32{}
	for i := range n {
		c := &visible{thing: thing{w: w, name: fmt.Sprint("f", i), want: "1"}, looks: looks}
		w.values[c.name] = c.want
		it := item(&c.thing, nil, nil)
		it.Resource = c
		items = append(items, it)
	}
	return items, looks
}

func TestWhatIsForeseenIsLookedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items, looks := visibles(w, 2000)
	items[700].Resource = &thing{w: w, name: "f700", want: "1"} // in between, one that cannot be foreseen
	want(t, outcomes(run(t, newMemory(w), false, items...)))
	if n := looks.Load(); n != 1999 {
		t.Errorf("%d looks at 1999 things", n)
	}
}

func TestWhatAChangeTouchesIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items, _ := visibles(w, 40)
	w.values["f3"] = "by hand"
	items[3].Resource.(*visible).spoils = "f20" // which was in line when it was foreseen
	want(t, outcomes(run(t, newMemory(w), false, items...)), "m/thing:f3 changed", "m/thing:f20 changed")
	if w.values["f20"] != "1" {
		t.Error("f20 was taken for what it had been")
	}
}

func TestADryRunForeseesPastDifferences(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items, looks := visibles(w, 500)
	w.values = map[string]string{}
	if r := run(t, newMemory(w), true, items...); r.Counts.Drift != 500 || looks.Load() != 500 {
		t.Errorf("%d differ, %d looks", r.Counts.Drift, looks.Load())
	}
}

// Where everything is to be changed, looking ahead is in vain, and is not done.
func TestLookingAheadInVainIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items, looks := visibles(w, 1000)
	for i := range items {
		if i%50 != 7 {
			delete(w.values, fmt.Sprint("f", i))
		}
	}
	r := run(t, newMemory(w), false, items...)
	if r.Counts.Changed != 980 {
		t.Errorf("%d changed", r.Counts.Changed)
	}
	// Each that is changed is looked at before and after.
	if n := int(looks.Load()); n > 2*980+20+100 {
		t.Errorf("%d looks", n)
	}
}

func TestAFailureOfForeseeingIsThatOfItsTurn(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items, looks := visibles(w, 10)
	items[2].Resource.(*visible).planErr = errors.New("unreadable")
	items[5].Requires = []int{2}
	want(t, outcomes(run(t, newMemory(w), false, items...)), "m/thing:f2 failed: unreadable", "m/thing:f5 skipped: requires m/thing:f2, which failed")
	if n := looks.Load(); n < 10 {
		t.Errorf("%d looks", n)
	}
}

// aside is a guard that has its resources changed on a host of their own.
type aside struct {
	watcher
	host host.Host
}

func (a *aside) Watch(resource.Item, *host.Host) *host.Host { return &a.host }

// What is guarded is planned on a host that keeps what is changed, in its turn.
func TestWhatIsGuardedIsNotForeseen(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items, _ := visibles(w, 3)
	items[1].Meta.Guard = time.Minute
	g := &aside{watcher: watcher{w: w, waiting: map[string]bool{}}}
	h := &host.Host{}
	converge.Run(t.Context(), &resource.Catalog{Items: items}, h, converge.Options{
		Journal: newMemory(w), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(0, 0) }, Guard: g,
	})
	for i, want := range []*host.Host{h, &g.host, h} {
		if on := items[i].Resource.(*visible).on; len(on) != 1 || on[0] != want {
			t.Errorf("f%d was planned on %v", i, on)
		}
	}
}
