package reporting

import (
	"container/heap"
	"time"

	"vigo.dev/pkg/report"
)

// agenda is when which nodes have to be looked at because they may have become silent, or are heard of again. Whoever checks in
// as usual is looked at once in three intervals, so that looking often costs little. It is under the lock of the service.
type agenda struct {
	dates dates
	all   bool // everybody is to be looked at: what counts as silence has changed, or what was told of it
}

// date is when to look at a node.
type date struct {
	at   int64 // ns since 1970
	node *node
}

type dates []date

func (d dates) Len() int           { return len(d) }
func (d dates) Less(i, j int) bool { return d[i].at < d[j].at }
func (d dates) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *dates) Push(x any) { *d = append(*d, x.(date)) }

// Pop implements heap.Interface.
func (d *dates) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

// expect sees to it that a node is looked at when it is silent next, now that something of it has changed: when it was heard of,
// its interval, or that it is retired. The caller holds the lock.
func (s *Service) expect(n *node, now time.Time) {
	if silent(n.shown) { // it is to be told that it is back
		s.agenda.put(n, now)
		return
	}
	if n.due == 0 || n.seen.Add(3*n.told).UnixNano() < n.due { // later ones are found when it is looked at
		s.agenda.put(n, s.lookAgain(n, now))
	}
}

// put makes a date, unless there is an earlier one; that of the zero time is none.
func (a *agenda) put(n *node, at time.Time) {
	if at.IsZero() || n.due != 0 && n.due <= at.UnixNano() {
		return
	}
	n.due = at.UnixNano()
	heap.Push(&a.dates, date{n.due, n})
}

// take returns the nodes to look at now, each once, without a date from then on.
func (a *agenda) take(now time.Time, all map[string]*node) []*node {
	var due []*node
	if a.all {
		a.dates, a.all = a.dates[:0], false
		for _, n := range all {
			n.due = 0
			due = append(due, n)
		}
		return due
	}
	for len(a.dates) > 0 && a.dates[0].at <= now.UnixNano() {
		d := heap.Pop(&a.dates).(date)
		if d.node.due != d.at || all[d.node.Name] != d.node { // another date was made, or another machine has the name
			continue
		}
		d.node.due = 0
		due = append(due, d.node)
	}
	return due
}

// lookAgain is when a node that says nothing more is silent, or missing; zero when it is not to be looked at before something is
// heard of it. The caller holds the lock.
func (s *Service) lookAgain(n *node, now time.Time) time.Time {
	var after time.Duration
	switch s.presence(n, now) {
	case report.Live, report.Late:
		after = 3 * n.told
	case report.Stale:
		after = max(24*time.Hour, 3*n.told)
	default:
		return time.Time{}
	}
	at := s.heardAs(n).Add(after + 1) // until then, it is what it was
	if !at.After(now) {
		at = s.hearing.amnesty(n.told)
	}
	if !at.After(now) {
		at = now.Add(1)
	}
	return at
}

// heardAs is when a node was heard of, for judging its silence: the time in which nobody listened does not count. The caller
// holds the lock.
func (s *Service) heardAs(n *node) time.Time { return s.hearing.heard(n.seen) }

// heard is when something was said, for judging the silence since.
func (h *hearing) heard(at time.Time) time.Time {
	if at.IsZero() || !at.Before(h.back) {
		return at
	}
	if later := at.Add(h.down); later.Before(h.back) {
		return later
	}
	return h.back
}
