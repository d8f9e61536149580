package alert

import (
	"time"

	"vigo.dev/pkg/report"
)

// A Cap is how much a receiver is told at once.
type Cap struct {
	Notices int           // with one transition each, in Window; 0: 10
	Window  time.Duration // 0: 10 minutes
	Gather  time.Duration // how long others are gathered for one notice; 0: a minute
}

func (c Cap) usual() Cap {
	if c.Notices <= 0 {
		c.Notices = 10
	}
	if c.Window <= 0 {
		c.Window = 10 * time.Minute
	}
	if c.Gather <= 0 {
		c.Gather = time.Minute
	}
	return c
}

// A Queue is what a receiver was told of late, and what waits to be told together.
type Queue struct {
	Window  time.Time           `json:"window,omitzero"` // when it began
	Sent    int                 `json:"sent,omitempty"`  // in it
	Since   time.Time           `json:"since,omitzero"`  // of the first that waits
	Waiting []report.Transition `json:"waiting,omitempty"`
}

func (q Queue) same(other Queue) bool {
	return q.Window.Equal(other.Window) && q.Sent == other.Sent && q.Since.Equal(other.Since) && len(q.Waiting) == len(other.Waiting)
}

// offer gives a receiver transitions. As many as it bears get a notice each; the others wait for a while and are told together.
// None is left out, and none is told twice.
func (q Queue) offer(limit Cap, more []report.Transition, now time.Time) (Queue, []report.Notice) {
	limit = limit.usual()
	var notices []report.Notice
	if len(more) > 0 && now.Sub(q.Window) >= limit.Window {
		q.Window, q.Sent = now, 0
	}
	waiting := q.Waiting[:len(q.Waiting):len(q.Waiting)]
	for _, t := range more {
		if len(waiting) == 0 && q.Sent < limit.Notices {
			q.Sent++
			notices = append(notices, report.Notice{ID: t.ID, At: now, Transitions: []report.Transition{t}})
			continue
		}
		if len(waiting) == 0 {
			q.Since = now
		}
		waiting = append(waiting, t)
	}
	q.Waiting = waiting
	if len(waiting) == 0 || now.Sub(q.Since) < limit.Gather {
		return q, notices
	}
	q.Waiting, q.Since = nil, time.Time{}
	for len(waiting) > 0 {
		n := min(len(waiting), report.MaxTold)
		ids := make([]string, n)
		for i, t := range waiting[:n] {
			ids[i] = t.ID
		}
		notices = append(notices, report.Notice{ID: idOf("many_", ids...), At: now, Digest: true, Transitions: waiting[:n]})
		waiting = waiting[n:]
	}
	return q, notices
}
