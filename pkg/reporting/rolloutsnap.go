package reporting

import (
	"context"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// meets says which stages' conditions the labels of nodes meet, and remembers it for a minute.
type meets struct {
	id    string // of the plan: its candidate
	conds []*expr.Cond
	known map[string]uint32
	until time.Time
	// labels are granted by policy, beside those of enrolment.
	labels map[string]map[string]string
}

// use takes the conditions of a plan.
func (m *meets) use(plan api.RolloutPlan) {
	m.labels = plan.Labels
	if m.id == plan.Candidate.Digest {
		return
	}
	*m = meets{id: plan.Candidate.Digest, labels: plan.Labels}
}

// of returns the stages whose conditions a node meets. One that cannot be evaluated is met by nobody, as on the node.
func (m *meets) of(spec *rollout.Spec, name string, granted map[string]string, now time.Time) uint32 {
	if m.known == nil || now.After(m.until) {
		m.known, m.until = map[string]uint32{}, now.Add(time.Minute)
		m.conds = make([]*expr.Cond, len(spec.Stages))
		for i, st := range spec.Stages {
			if st.When != "" {
				if c, err := expr.CompileLabels(st.When); err == nil {
					m.conds[i] = c
				}
			}
		}
	}
	if bits, ok := m.known[name]; ok {
		return bits
	}
	all := granted
	if more := m.labels[name]; len(more) > 0 {
		all = maps.Clone(granted)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, more)
	}
	bits := uint32(0)
	for i, st := range spec.Stages {
		if st.When == "" {
			bits |= 1 << i
		} else if c := m.conds[i]; c != nil {
			if ok, err := c.OfLabels(name, all); err == nil && ok {
				bits |= 1 << i
			}
		}
	}
	m.known[name] = bits
	return bits
}

// snapshot is what is known of the nodes of a channel.
func (s *Service) snapshot(ctx context.Context, c *rolling, now time.Time) rollout.Snapshot {
	in := rollout.Snapshot{Now: now, Open: c.plan.Window.Open(now), Answers: s.rollouts.asks.take(c.channel)}
	checked := s.measure(ctx, c, &in)
	s.mu.Lock()
	in.Blind = !s.inStep(now) || s.deaf(now)
	c.room = slices.Grow(c.room[:0], len(s.nodes))
	s.mu.Unlock()
	s.eachNode(func(n *node) {
		if n.Retired.IsZero() && !n.Hub && s.channelOf(n) == c.channel {
			c.room = append(c.room, s.evidence(c, n, checked, now))
		}
	})
	in.Nodes = c.room
	return in
}

// deaf is whether this service itself was away so lately that silence says nothing: for three intervals after it began to
// listen, and until it has read what nodes say of themselves. The caller holds the lock.
func (s *Service) deaf(now time.Time) bool {
	return now.Sub(s.began) < 3*s.longest() || s.untold.nodes+len(s.unread) > soon
}

// live is whether a node was heard of within three intervals. The caller holds the lock.
func (n *node) live(now time.Time) bool { return !n.seen.IsZero() && now.Sub(n.seen) <= 3*n.told }

// evidence is what is known of one node. The caller holds the lock.
func (s *Service) evidence(c *rolling, n *node, checked measured, now time.Time) rollout.Node {
	last := &n.account.Last
	out := rollout.Node{
		ID: n.Name, Stages: c.meets.of(&c.state.Spec, n.Name, n.Labels, now), Seen: n.seen, Interval: n.told,
		Live: n.live(now), Dark: s.behindDark(n, now),
		Boot: last.Boot, Run: last.Run.ID,
		Digest: last.Bundle, Adopting: last.Adopting, Muted: s.covered(n) != nil, Pinned: last.Pinned,
	}
	out.Rebooting = s.rebooting(n.Name)
	if last.Bundle == c.state.Candidate && (last.Run.Before || last.Run.ID == "") {
		out.Digest, out.Adopting = "", last.Bundle // it has it, and has shown nothing with it
	}
	if out.Digest == c.state.Candidate {
		out.Failed = last.Run.Counts.Failed + last.Run.Counts.Drift
		if last.Run.Error != "" {
			out.Failed++
		}
		out.Waiting = last.Run.Counts.Waiting
	}
	out.PutAside = slices.ContainsFunc(last.Refusals, func(r report.Refusal) bool { return r.Name == "aside" && r.What == c.state.Candidate })
	if s.adopted(c, n) {
		p := c.state.Nodes[n.Name]
		out.Seen = checked.of(n, p)
		s.await(n, p.Await, now)
	}
	for i, bad := range checked.failing {
		if bad[n.Name] {
			out.Bad |= 1 << i
		}
	}
	return out
}
