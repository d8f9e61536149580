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
}

// silence has the nodes that are to go silent do so, spread over all, so that none is alike, and the hub that goes dark.
func (s *Sim) silence() time.Time {
	s.darken()
	var others []*node
	for _, n := range s.nodes {
		if n.dark {
			n.silent.Store(true)
			continue
		}
		if n.lapsed {
			continue
		}
		others = append(others, n)
	}
	for i := range s.Silent {
		others[i*len(others)/s.Silent].silent.Store(true)
	}
	s.quiet.Add(int64(s.Silent + s.Dark))
	return s.Now()
}

// overdue is for how long a service that is late with what it finds out is waited for.
const overdue = time.Minute

// wait goes on with the others until every silent node is stale, or should long be. A service that is late shows in how late it was.
func (s *Sim) wait(ctx context.Context, p *play, since time.Time) error {
	rest := since.Add(3*max(s.told, s.Interval) + 3*time.Second).Sub(s.Now())
	if rest > 0 {
		s.say("waiting %s for %d silent nodes to be found stale", rest.Round(time.Second), s.Silent+s.Dark)
		p.run(ctx, "waiting", rest, s.Changes)
	}
	for end := s.Now().Add(overdue); ctx.Err() == nil && s.Now().Before(end); {
		list, err := s.stale(ctx)
		if err != nil || len(list) >= s.Silent+s.Dark {
			return err
		}
		p.run(ctx, "waiting", min(s.Interval, time.Second), s.Changes)
	}
	return nil
}

// stale are the nodes of the fleet that the service says are.
func (s *Sim) stale(ctx context.Context) ([]report.NodeStatus, error) {
	list, err := s.People.Nodes(ctx, report.Query{Presence: report.Stale, Name: s.Prefix + "-*"})
	if err != nil {
		return nil, fmt.Errorf("asking who is stale: %w", err)
	}
	return list, nil
}

// judge compares what the service said of nodes since a moment with what it knew of them.
func (s *Sim) judge(ctx context.Context, f *Figures, since time.Time) error {
	list, err := s.stale(ctx)
	if err != nil {
		return err
	}
	events, err := s.since(ctx, since)
	if err != nil {
		return err
	}
	said := map[string]time.Time{}
	for _, e := range events {
		if (e.Kind == "node.stale" || e.Kind == "hub.dark") && strings.HasPrefix(e.Node, s.Prefix+"-") {
			said[e.Node] = e.At
		}
	}
	goesOn := map[string]bool{}
	silent := map[string]*node{}
	for _, h := range s.hubs {
		goesOn[h.name] = !h.starved.Load()
	}
	for _, n := range s.nodes {
		if n.lapsed {
			continue
		} else if n.silent.Load() {
			silent[n.name] = n
		} else if s.waited(n); n.starved {
			f.Starved++
		} else {
			goesOn[n.name] = true
		}
	}
	for name := range said {
		if goesOn[name] {
			f.Wrong++
		}
	}
	stale := map[string]bool{}
	found := Staleness{Silent: s.Silent}
	var h histogram
	for _, n := range list {
		stale[n.Name] = true
		if at, ok := said[n.Name]; ok && silent[n.Name] != nil && !silent[n.Name].dark {
			found.Found++
			h.add(at.Sub(n.Seen.Add(3 * n.Interval)))
		}
	}
	if found.After = h.latency(); s.Silent > 0 {
		f.Stale = &found
	}
	if s.Dark > 0 {
		f.Dark, err = s.darkness(ctx, events, stale)
	}
	return err
}
