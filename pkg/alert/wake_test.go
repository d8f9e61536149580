package alert

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// TestWake: who looks only when Wake says so, and a second after each change, tells the same at the same times as who looks each second.
func TestWake(t *testing.T) {
	t.Parallel()
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		r1 := rule("a", func(r *report.AlertRule) { r.For, r.Leave = seconds(rnd, 60), seconds(rnd, 60) })
		r2 := rule("b", func(r *report.AlertRule) {
			r.GroupBy, r.InhibitedBy, r.Repeat = []string{"hub"}, []string{"a"}, seconds(rnd, 200)
		})
		each, seldom := newPlay(r1, r2), newPlay(r1, r2)
		mutes := []report.Mute{{ID: "m", Group: "n1", Until: noon.Add(seconds(rnd, 1000))}}
		each.setup.Mutes, seldom.setup.Mutes = mutes, mutes
		steps, looks := 0, 0
		for range 10 {
			facts := Facts{"a": found(some(rnd)...), "b": found(some(rnd)...)}
			until := each.now.Add(time.Minute + seconds(rnd, 600))
			for each.now.Before(until) {
				each.step(time.Second, facts)
				looks++
			}
			seldom.now = seldom.now.Add(time.Second)
			for {
				before := seldom.state
				seldom.step(0, facts)
				steps++
				next := Wake(seldom.setup, seldom.state, seldom.now)
				if !reflect.DeepEqual(before, seldom.state) && (next.IsZero() || next.After(seldom.now.Add(time.Second))) {
					next = seldom.now.Add(time.Second)
				}
				if next.IsZero() || next.After(until) {
					break
				}
				seldom.now = next
			}
			seldom.now = until
		}
		if len(each.told) == 0 || !reflect.DeepEqual(each.told, seldom.told) {
			t.Fatalf("seed %d: told each second %d: %+v\nwoken %d: %+v", seed, len(each.told), each.told, len(seldom.told), seldom.told)
		}
		if steps >= looks {
			t.Errorf("seed %d: woken %d times in %d seconds", seed, steps, looks)
		}
	}
}
