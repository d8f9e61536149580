package rollout_test

import (
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestAMaintainedNodeIsOff: somebody works on canaries that have the candidate. That they are silent is neither lost nor an outage: the
// rollout goes on by the others. When the work is over, they have their time to come back, and then are lost.
func TestAMaintainedNodeIsOff(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Abort.Lost = rollout.Limit{Percent: 1, Min: 1}
	s := newScene(t, 20, spec)
	s.pass(3*interval, nil)
	off := s.with()[:2]
	for _, n := range off {
		n.Muted = true
	}
	there := func(n *rollout.Node) bool { return n != off[0] && n != off[1] }
	s.pass(4*time.Hour, there)
	s.want(rollout.Completed, rollout.Done, 3)

	s = newScene(t, 20, spec)
	s.pass(3*interval, nil)
	off = s.with()[:1]
	off[0].Muted = true
	there = func(n *rollout.Node) bool { return n != off[0] }
	s.pass(2*time.Minute, there)
	off[0].Muted = false
	s.pass(2*interval, there)
	if s.state.Phase != rollout.Running {
		t.Errorf("it is %s (%s) at once", s.state.Phase, s.state.Reason)
	}
	s.pass(10*time.Minute, there)
	s.want(rollout.Aborted, rollout.AbortLost, s.state.Stage)
}

// TestASiteIsMaintained: that half of the fleet is off by a plan hides nothing of the other half.
func TestASiteIsMaintained(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	for i := range 10 {
		s.nodes[i].Muted = true
	}
	s.pass(3*time.Hour, func(n *rollout.Node) bool { return !n.Muted })
	s.want(rollout.Completed, rollout.Done, 3)
	if n := s.state.Counts[rollout.Healthy]; n != 10 {
		t.Errorf("%d are healthy: %v", n, s.state.Counts)
	}
}
