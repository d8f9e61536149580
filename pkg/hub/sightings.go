package hub

import (
	"crypto/sha256"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/report"
)

// passEvery is the longest time in which each node's own check-in is handed on, also when it says nothing new: the word of a
// hub alone does not count for ever. Nodes are spread between half of it and the whole.
const passEvery = 10 * time.Minute

// The bounds of what is remembered of nodes.
const (
	maxNodes  = 20_000
	nodesLife = 24 * time.Hour
)

// sightings remembers which nodes checked in and what the service knows of them, so that those with nothing new to say cost
// it nothing.
type sightings struct {
	mu    sync.Mutex
	nodes map[string]*sighted
}

// sighted is a node of the site.
type sighted struct {
	print    [sha256.Size]byte // of the check-in the service has; zero: none
	interval time.Duration     // the service told it
	passed   time.Time         // when it was handed on
	seen     time.Time
	untold   bool // the service does not know of seen
	verbatim bool // the service wants to hear the node itself
}

func newSightings() *sightings { return &sightings{nodes: map[string]*sighted{}} }

// print is a digest over what matters in a check-in, and whether it says that all is well and
// nothing was done: only then a node may be spoken for. Times and the ID of the run are different in every one; that there was
// one, and by which bundle, matters.
func printOf(c report.CheckIn) (digest [sha256.Size]byte, well bool) {
	did := c.Run.Counts
	well = c.Run.Error == "" && did.Failed+did.Drift+did.Changed+did.Corrected+did.Refreshed == 0 && len(c.Refusals) == 0 && c.Spooled == 0 && c.Facets == nil
	c.Seq, c.Age, c.Hub = 0, 0, ""
	run := report.Summary{Counts: c.Run.Counts, Before: c.Run.Before}
	if c.Run.ID != "" {
		run.ID = "some"
	}
	c.Run = run
	data, err := json.Marshal(c)
	if err != nil { // cannot be: all fields are plain
		return digest, false
	}
	return sha256.Sum256(data), well
}

// Known says whether a check-in has nothing new for the service, and takes note of the node. The interval is the one it was
// told last; 0 if none.
func (s *sightings) Known(c report.CheckIn, now time.Time) (known bool, interval time.Duration) {
	digest, well := printOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[c.Node]
	if n == nil {
		if len(s.nodes) >= maxNodes {
			return false, 0
		}
		n = &sighted{}
		s.nodes[c.Node] = n
	}
	n.seen, n.untold = now, true
	return well && !n.verbatim && n.print == digest && now.Sub(n.passed) < spread(c.Node), n.interval
}

// Interval is the shortest that any node was told; 0: none is known.
func (s *sightings) Interval() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var shortest time.Duration
	for _, n := range s.nodes {
		if n.interval > 0 && (shortest == 0 || n.interval < shortest) {
			shortest = n.interval
		}
	}
	return shortest
}

// spread is how long a node may be spoken for.
func spread(node string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(node)) // never fails
	return passEvery/2 + passEvery/2*time.Duration(h.Sum32()%1000)/1000
}

// Passed takes note of what the service said to a check-in that was handed on. While it wants to know more, the next is
// handed on too.
func (s *sightings) Passed(c report.CheckIn, answer report.Answer, now time.Time) {
	digest, _ := printOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[c.Node]
	if n == nil {
		return
	}
	if answer.Names || len(answer.Need) > 0 || c.Facets != nil {
		digest = [sha256.Size]byte{}
	}
	n.print, n.interval, n.passed, n.untold, n.verbatim = digest, answer.Interval, now, false, false
}

// Forget has the next check-in of a node handed on.
func (s *sightings) Forget(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.nodes[node]; n != nil {
		n.print, n.untold = [sha256.Size]byte{}, false
	}
}

// Doubt has the next check-in of a node handed on, since nobody knows whether the last one has arrived.
func (s *sightings) Doubt(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.nodes[node]; n != nil {
		n.print = [sha256.Size]byte{}
	}
}

// Take returns what the service does not know yet, at most [report.MaxSeen], and how many nodes there are. What is taken
// counts as told; Untold gives it back.
func (s *sightings) Take(now time.Time) (list []report.Sighting, nodes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, n := range s.nodes {
		if now.Sub(n.seen) > nodesLife {
			delete(s.nodes, name)
			continue
		}
		if n.untold && len(list) < report.MaxSeen {
			n.untold = false
			list = append(list, report.Sighting{Node: name, Age: now.Sub(n.seen)})
		}
	}
	slices.SortFunc(list, func(a, b report.Sighting) int { return strings.Compare(a.Node, b.Node) })
	return list, len(s.nodes)
}

// Untold gives back what could not be told.
func (s *sightings) Untold(list []report.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sighting := range list {
		if n := s.nodes[sighting.Node]; n != nil {
			n.untold = true
		}
	}
}

// Verbatim has the next check-ins of some nodes handed on as they are.
func (s *sightings) Verbatim(nodes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range nodes {
		if n := s.nodes[name]; n != nil {
			n.verbatim = true
		}
	}
}
