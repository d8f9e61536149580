package rollout_test

import (
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestNodesComeBackOneAfterTheOther: when an outage is over, nodes report in the order of their intervals, and the last of them
// are not taken for lost when the first have made an end of the blindness.
func TestNodesComeBackOneAfterTheOther(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages[0].Gate.Soak = time.Hour
	spec.Deadline = 24 * time.Hour
	spec.Abort.Lost = rollout.Limit{Percent: 1, Min: 1}
	s := newScene(t, 40, spec)
	s.pass(5*time.Minute, nil)
	canaries := map[string]bool{}
	for _, n := range s.with() {
		canaries[n.ID] = true
	}
	s.pass(30*time.Minute, func(n *rollout.Node) bool { return !canaries[n.ID] && n.ID[len(n.ID)-1]%2 == 0 })
	s.want(rollout.Running, rollout.EvidenceBlind, 0)
	// All but the canaries are back, so it is not blind any more; the canaries come a little later.
	s.pass(time.Minute, func(n *rollout.Node) bool { return !canaries[n.ID] })
	if s.state.Reason == rollout.EvidenceBlind {
		t.Fatal("it is blind while most of the nodes are heard of")
	}
	s.pass(5*time.Minute, nil)
	s.want(rollout.Running, rollout.Soaking, 0)
	if n := s.state.Counts[rollout.Lost]; n != 0 {
		t.Errorf("%d are lost: %v", n, s.state.Counts)
	}
}

// TestANodeBehindAHubThatIsBack is not lost because the hub was heard of first; it is when it does not come.
func TestANodeBehindAHubThatIsBack(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Abort.Lost = rollout.Limit{Percent: 1, Min: 1}
	spec.Stages[0].Gate.Soak, spec.Deadline = time.Hour, 24*time.Hour
	s := newScene(t, 40, spec)
	s.pass(5*time.Minute, nil)
	one := s.with()[0].ID
	for _, n := range s.with() {
		n.Dark = n.ID == one
	}
	others := func(n *rollout.Node) bool { return n.ID != one }
	s.pass(30*time.Minute, others)
	for _, n := range s.with() {
		n.Dark = false
	}
	s.pass(time.Minute, others)
	if n := s.state.Counts[rollout.Lost]; n != 0 || s.state.Phase != rollout.Running {
		t.Fatalf("the hub is back, and %d are lost: %s (%s)", n, s.state.Phase, s.state.Reason)
	}
	s.pass(5*time.Minute, others)
	s.want(rollout.Aborted, rollout.AbortLost, 0)
}

// TestAGateWantsFreshEvidence: what nodes said before they went silent does not open it, also when they do not count as lost.
func TestAGateWantsFreshEvidence(t *testing.T) {
	t.Parallel()
	s := newScene(t, 40, threeStages())
	s.pass(30*time.Second, nil)
	s.shut = true
	s.pass(5*time.Minute, nil)
	if n := s.state.Counts[rollout.Healthy]; n != 8 || s.state.Stage != 0 {
		t.Fatalf("%d canaries are well at stage %d", n, s.state.Stage)
	}
	silent := func(n *rollout.Node) bool { return n.Digest != bundle(1) }
	s.blind = true
	s.pass(5*time.Minute, silent)
	s.blind, s.shut = false, false
	s.pass(90*time.Second, silent)
	if s.state.Stage != 0 {
		t.Errorf("stage %d is open, and no canary was heard of for six minutes", s.state.Stage)
	}
	s.pass(20*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}
