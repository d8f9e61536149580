package fleetsim

import (
	"sync"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/rollout/sim"
)

// Fates are what becomes of nodes, as in a simulation of a rollout: the same seed, rates and names give the same fates.
type Fates struct {
	Seed   uint64
	Rates  sim.Rates
	Labels []sim.LabelShare // of nodes that are enrolled anew
	Cuts   []sim.Outage     // of the network, counted from when a rollout begins
}

// agentOf is the agent of a node, with what it has now.
func (s *Sim) agentOf(n *node, labels map[string]string) *sim.Node {
	has := n.note.Digest
	if p := n.follows.pointer.Load(); p != nil {
		has = p.Stable.Digest
	}
	agent := sim.NewNode(sim.Member{Name: n.name}, s.Fates.Seed, s.Fates.Rates, s.Interval, has, nil)
	agent.Meets = func(when string) (bool, error) { return s.conds.meets(when, n.name, labels) }
	if n.lapsed = agent.Fate.Off; n.lapsed {
		s.quiet.Add(1)
	}
	return agent
}

// decided has the agent of a node look at the pointer, and returns what it says then: nothing when it is cut off.
func (s *Sim) decided(n *node) []sim.Says {
	if began := s.started.Load(); began != nil && n.agent.CutOff(s.Fates.Cuts, s.Now().Sub(*began)) {
		n.lapsed = true
		s.tally.with(func(t *tally) { t.pulse.cut++ })
		return nil
	}
	p := n.follows.pointer.Load()
	if p == nil { // nothing was published, or it cannot be read: it stays as it is
		return []sim.Says{{Bundle: n.agent.Has()}}
	}
	n.note.Pointer, n.note.Issued = p.Version(), p.Issued
	dead := n.agent.Dead()
	said := n.agent.Turn(p.Signed())
	if !dead && n.agent.Dead() {
		n.lapsed = true
		s.quiet.Add(1)
	}
	return said
}

// conditions are those of stages, compiled once for all nodes.
type conditions struct{ known sync.Map }

func (c *conditions) meets(when, node string, labels map[string]string) (bool, error) {
	known, ok := c.known.Load(when)
	if !ok {
		cond, err := expr.CompileLabels(when)
		if err != nil {
			return false, err
		}
		known, _ = c.known.LoadOrStore(when, cond)
	}
	return known.(*expr.Cond).OfLabels(node, labels)
}
