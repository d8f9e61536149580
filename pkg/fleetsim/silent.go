package fleetsim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/report"
)

// Staleness is how fast the service found out that nodes are silent.
type Staleness struct {
	Silent int `json:"silent"` // nodes
	Found  int `json:"found"`  // of them, as stale
	// After is from three times the interval after the last check-in, when a node is stale by definition, to when the service
	// said so; by its clock.
	After Latency `json:"after"`
	Wrong int     `json:"wrong"` // nodes that were called stale and were not silent
}

// silence has the nodes that are to go silent do so; spread over all, so that none is alike.
func (s *Sim) silence() time.Time {
	for i := range min(s.Silent, len(s.nodes)) {
		s.nodes[i*len(s.nodes)/s.Silent].silent.Store(true)
	}
	return s.Now()
}

// watch goes on with the others until every silent node is stale, or should long be.
func (s *Sim) watch(ctx context.Context, p *play, since time.Time) (*Staleness, error) {
	told := max(s.told, s.Interval)
	rest := since.Add(3*told + 5*time.Second).Sub(s.Now())
	if rest > 0 {
		s.say("waiting %s for %d silent nodes to be found stale", rest.Round(time.Second), s.Silent)
		p.run(ctx, "waiting", rest, s.Changes)
	}
	return s.stale(ctx, since)
}

// stale compares the events of the service with what it knew of the nodes.
func (s *Sim) stale(ctx context.Context, since time.Time) (*Staleness, error) {
	list, err := s.People.Nodes(ctx, report.Query{Presence: report.Stale, Name: s.Prefix + "-*"})
	if err != nil {
		return nil, fmt.Errorf("asking who is stale: %w", err)
	}
	events, err := s.People.Events(ctx, 10000)
	if err != nil {
		return nil, fmt.Errorf("asking who is stale: %w", err)
	}
	said := map[string]time.Time{}
	for _, e := range events {
		if e.Kind == "node.stale" && e.At.After(since) && strings.HasPrefix(e.Node, s.Prefix+"-") {
			said[e.Node] = e.At
		}
	}
	silent := map[string]bool{}
	for _, n := range s.nodes {
		if n.silent.Load() {
			silent[n.name] = true
		}
	}
	out := &Staleness{Silent: len(silent)}
	var h histogram
	for _, n := range list {
		if at, ok := said[n.Name]; ok && silent[n.Name] {
			out.Found++
			h.add(at.Sub(n.Seen.Add(3 * n.Interval)))
		}
	}
	for name := range said {
		if !silent[name] {
			out.Wrong++
		}
	}
	out.After = h.latency()
	return out, nil
}
