package converge

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// farthest is how many items are looked at ahead of their turn at most, and atFirst how many at the beginning of a run.
const farthest, atFirst = 512, 32

// A sight is the plans of the items from a place on, made before their turn.
type sight struct {
	from  int
	plans []foreseen
	calm  int // items in a row that changed nothing, so far
}

type foreseen struct {
	plan resource.Plan
	is   bool // false: its own turn plans
}

// end is the first item that was not looked at.
func (s *sight) end() int { return s.from + len(s.plans) }

func (s *sight) of(i int) (resource.Plan, bool) {
	if i < s.from || i >= s.end() {
		return resource.Plan{}, false
	}
	return s.plans[i-s.from].plan, s.plans[i-s.from].is
}

// foresee plans the items from i on whose plans only look at files and accounts, several at once: where nothing is to be done,
// which is most runs of most hosts, looking is all the work there is. What is foreseen holds for as long as this run changes
// nothing; after a change it is forgotten, and less far is looked ahead, so that no more than twice is looked at anything.
func (r *run) foresee(ctx context.Context, i int) {
	if i < r.sight.end() {
		return
	}
	n := r.stretch(i, min(r.sight.calm, farthest))
	if n < 2 {
		return
	}
	plans := make([]foreseen, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		workers.Go(func() {
			for at := int(next.Add(1)) - 1; at < n; at = int(next.Add(1)) - 1 {
				if !r.chosen[i+at] {
					continue
				}
				// Without a limit of time of its own: looking at files does not wait for anything that could be given up.
				plan, err := planOf(ctx, r.cat.Items[i+at].Resource, r.host)
				plans[at] = foreseen{plan, err == nil}
			}
		})
	}
	workers.Wait()
	r.sight.from, r.sight.plans = i, plans
}

// stretch is how many items from i on can be foreseen, at most the given number.
func (r *run) stretch(i, most int) int {
	n := 0
	for ; n < most && i+n < len(r.cat.Items); n++ {
		it := &r.cat.Items[i+n]
		f, can := it.Resource.(resource.Foreseeable)
		if r.chosen[i+n] && (!can || !f.Foreseeable() || r.isGuarded(it)) {
			break
		}
	}
	return n
}

// passed notes what the turn of an item did.
func (r *run) passed(res report.Result) {
	switch {
	case res.Outcome == report.OK && res.Refresh == "", res.Outcome == report.Drift, res.Outcome == report.Skipped:
		r.sight.calm++
	default:
		r.sight = sight{}
	}
}
