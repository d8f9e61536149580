package fleetsim

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout/sim"
	"vigo.dev/pkg/trait"
)

// resources is how many resources a simulated node has in its catalog.
const resources = 250

// node is one simulated node. Only one request of it is under way at a time.
type node struct {
	name    string
	index   int
	key     identity.NodeKey
	channel string
	note    report.ChannelNote // what it enforces
	follows *followed
	agent   *sim.Node // what it makes of pointers, and what becomes of it
	link    link
	count   counter
	busy    atomic.Bool
	silent  atomic.Bool
	over    time.Time   // when its last turn was
	starved bool        // this machine let it wait so long that the service may call it silent
	dark    bool        // behind the hub that goes dark
	lapsed  bool        // it is off, was cut off, or has died of a candidate: whether it is called silent says nothing
	owed    *report.Run // that the service has not acknowledged yet

	packages int    // state of its packages: rises with each change
	odd      bool   // its packages are as on no other node
	root     string // of its traits
	acked    string // the root that the service knows
}

// turn is what a node says in one turn.
type turn struct {
	checkIn report.CheckIn
	run     *report.Run // to be reported whole: it failed
}

// compose makes a check-in as an agent does: a run of 250 resources of which all conform, unless it is one that fails.
func (n *node) compose(docs *documents, says sim.Says, failures float64, interval time.Duration, version string, now time.Time) (turn, error) {
	now = now.UTC()
	id := fmt.Sprintf("%012x-%s", now.UnixMilli(), n.name)
	c := report.CheckIn{Node: n.name, Agent: version, Interval: interval, Channel: n.channel, Pointer: n.note.Pointer, Bundle: says.Bundle, Adopting: says.Adopting, Traits: n.root,
		Run: report.Summary{ID: id, Started: now, Took: 8 * time.Millisecond, Counts: report.Counts{OK: resources}}}
	if !n.note.Issued.IsZero() {
		c.Age = now.Sub(n.note.Issued)
	}
	if says.Aside != "" {
		c.Refusals = []report.Refusal{{Name: "aside", Detail: "a simulated agent cannot run it", What: says.Aside, First: now, Count: 1}}
	}
	t := turn{checkIn: c}
	if n.root != n.acked {
		digests, err := docs.digests(n)
		if err != nil {
			return turn{}, err
		}
		t.checkIn.Facets = digests
	}
	if says.Failed || rand.Float64() < failures {
		counts := report.Counts{OK: resources - 1, Failed: 1}
		t.checkIn.Run.Counts = counts
		t.run = &report.Run{ID: id, Node: n.name, Bundle: c.Bundle, Channel: c.Channel, Pointer: c.Pointer, Started: now, Took: c.Run.Took, Counts: counts,
			Results: []report.Result{{ID: "simulated/service:simulated", Outcome: report.Failed, Reason: "a simulated failure", Took: time.Millisecond}}}
	}
	return t, nil
}

// change makes the packages of a node others. Most become what those of other nodes are, too, as an update does; one in ten
// changes becomes like no other.
func (n *node) change(docs *documents) error {
	n.packages++
	n.odd = rand.IntN(10) == 0
	return n.describe(docs)
}

// describe finds out the root of the traits anew.
func (n *node) describe(docs *documents) error {
	digests, err := docs.digests(n)
	if err != nil {
		return err
	}
	n.root = trait.Root(digests)
	return nil
}
