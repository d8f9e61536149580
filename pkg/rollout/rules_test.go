package rollout_test

import (
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestAHubIsCutOff: when a quarter goes silent at once, the rollout stands still and goes on when they are back; nobody counts
// as lost.
func TestAHubIsCutOff(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(3*time.Minute, nil)
	cut := func(n *rollout.Node) bool { return n.ID > "node-15" } // more than half of them
	s.pass(20*time.Minute, cut)
	s.want(rollout.Running, rollout.EvidenceBlind, s.state.Stage)
	if s.state.Counts[rollout.Lost] != 0 {
		t.Errorf("some count as lost: %v", s.state.Counts)
	}
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestOnlyAdoptersGoSilent: when those that have it die and the others live, that is the candidate and no outage.
func TestOnlyAdoptersGoSilent(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(20*time.Minute, func(n *rollout.Node) bool { return n.Digest != bundle(1) })
	s.want(rollout.Aborted, rollout.AbortLost, 0)
}

// TestADarkHubInTheCanary: all of the canary is behind one hub of a large fleet.
func TestADarkHubInTheCanary(t *testing.T) {
	t.Parallel()
	s := newScene(t, 40, threeStages())
	s.pass(90*time.Second, nil)
	for _, n := range s.with() {
		n.Dark = true
	}
	s.pass(20*time.Minute, func(n *rollout.Node) bool { return !n.Dark })
	s.want(rollout.Running, rollout.EvidenceBlind, 0)
	for i := range s.nodes {
		s.nodes[i].Dark = false
	}
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestTheServiceWasDown: it says that it is blind until it has heard of the nodes again.
func TestTheServiceWasDown(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(2*time.Minute, nil)
	s.now = s.now.Add(6 * time.Hour) // nothing ran
	s.blind = true
	s.pass(time.Minute, func(*rollout.Node) bool { return false })
	s.want(rollout.Running, rollout.EvidenceBlind, 0)
	s.blind = false
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestBlindForTooLong: an outage that does not end stops the rollout for a human; when they resume, the silent are gone.
func TestBlindForTooLong(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(3*time.Minute, nil)
	cut := func(n *rollout.Node) bool { return n.ID > "node-15" }
	s.pass(2*time.Hour, cut)
	s.want(rollout.Paused, rollout.EvidenceBlind, s.state.Stage)
	s.next = []rollout.Command{{Do: rollout.DoResume, By: "ann"}}
	s.pass(30*time.Minute, cut)
	s.want(rollout.Running, rollout.Applying, s.state.Stage)
	if s.state.Counts[rollout.Lost] == 0 {
		t.Errorf("none counts as lost: %v", s.state.Counts)
	}
}

// TestACheck: one report in which it does not hold is nothing, two in sequence count.
func TestACheck(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Checks = []rollout.Check{{Name: "nginx-serves", Expr: "services.nginx.running", For: 2}}
	s := newScene(t, 20, spec)
	s.pass(90*time.Second, nil)
	for _, n := range s.with() {
		n.Bad = 1
	}
	s.pass(interval, nil)
	s.want(rollout.Running, "", 0)
	s.pass(interval, nil)
	s.want(rollout.Aborted, rollout.AbortCheck("nginx-serves"), 0)
}

// TestAMinimumSample: one of four is a quarter, and no reason to stop a fleet.
func TestAMinimumSample(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(90*time.Second, nil)
	s.with()[0].Failed = 1
	s.pass(10*time.Minute, nil)
	s.want(rollout.Running, "", 0)
	s.with()[0].Failed = 0
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestRevert: with on_abort: revert all go back, those that were offline when they return.
func TestRevert(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.OnAbort = rollout.Revert
	s := newScene(t, 20, spec)
	s.pass(90*time.Second, nil)
	away := s.with()[0]
	for _, n := range s.with()[1:] {
		n.Failed = 1
	}
	here := func(n *rollout.Node) bool { return n.ID != away.ID }
	s.pass(10*time.Minute, here)
	s.want(rollout.Reverted, rollout.AbortFailed, 0)
	if got := s.with(); len(got) != 1 || got[0] != away {
		t.Fatalf("%d have it still", len(got))
	}
	s.state = rollout.Begin("r2", threeStages(), bundle(0), bundle(2), &s.state, s.now)
	s.step()
	if d := s.decide(s.state.Signed(), away); d.Target == bundle(1) {
		t.Errorf("back, it keeps what was taken back: %+v", d)
	}
}

// TestApproval: a stage waits for as many different people as it says.
func TestApproval(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages[1].Approve = rollout.Approve{Count: 2}
	s := newScene(t, 10, spec)
	s.pass(10*time.Minute, nil)
	s.want(rollout.Running, rollout.WaitingApproval, 1)
	for range 3 {
		s.do(rollout.Command{Do: rollout.DoApprove, By: "ann"})
	}
	s.want(rollout.Running, rollout.WaitingApproval, 1)
	s.pass(time.Hour, nil)
	s.want(rollout.Paused, rollout.ProgressDeadline, 1)
	s.do(rollout.Command{Do: rollout.DoApprove, Stage: "early", By: "bob"})
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestPause: nobody is let in, not even who was admitted and has not taken it; who has it keeps it.
func TestPause(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.step()
	s.next = []rollout.Command{{Do: rollout.DoPause, By: "ann"}}
	s.step()
	s.pass(10*time.Minute, nil)
	s.want(rollout.Paused, rollout.ByOperator, 0)
	if len(s.with()) != 0 {
		t.Errorf("%d took it", len(s.with()))
	}
	s.do(rollout.Command{Do: rollout.DoResume, By: "ann"})
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestAWindow: outside of it nothing widens, and the deadline stands still.
func TestAWindow(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.shut = true
	s.pass(10*time.Hour, nil)
	s.want(rollout.Running, rollout.WaitingWindow, 0)
	s.shut = false
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestOffWhenItsTurnCameAndBackOutsideOfTheWindow: who was let in while it was off does not take over what is new at an hour at which
// nobody wants that. It is excused, and does when the window opens.
func TestOffWhenItsTurnCameAndBackOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	off := s.nodes[19].ID
	s.pass(4*time.Minute, nil)
	others := func(n *rollout.Node) bool { return n.ID != off }
	for !s.state.Nodes[off].Admitted && s.state.Phase == rollout.Running { // the last stage lets everyone in, whoever is there
		s.pass(interval, others)
	}
	if s.state.Phase != rollout.Running || s.state.Counts[rollout.Offline] != 1 {
		t.Fatalf("%s: %v", s.state.Phase, s.state.Counts)
	}
	s.shut = true
	s.pass(2*interval, others)
	s.pass(time.Hour, nil)
	s.want(rollout.Running, rollout.WaitingWindow, 2)
	if p := s.state.Nodes[off]; p.Word != rollout.Waiting || s.nodes[19].Digest != bundle(0) {
		t.Errorf("it is %s and has %s", p.Word, s.nodes[19].Digest)
	}
	s.shut = false
	s.pass(3*interval, nil)
	if s.nodes[19].Digest != bundle(1) {
		t.Errorf("it has %s, the window is open", s.nodes[19].Digest)
	}
}

// TestImmediate: everyone at once, and the rules hold.
func TestImmediate(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Immediate = true
	s := newScene(t, 20, spec)
	s.pass(90*time.Second, nil)
	if got := len(s.with()); got != 20 {
		t.Errorf("%d of 20 have it", got)
	}
	for _, n := range s.with()[:3] {
		n.Failed = 1
	}
	s.pass(interval, nil)
	s.want(rollout.Aborted, rollout.AbortFailed, 0)
}

// TestSelfReverted: a node that could not run it counts as failed, and is not asked again.
func TestSelfReverted(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(90*time.Second, nil)
	for _, n := range s.with()[:3] {
		n.Digest, n.PutAside = bundle(0), true
	}
	s.pass(interval, nil)
	s.want(rollout.Aborted, rollout.AbortFailed, 0)
	if s.state.Counts[rollout.SelfReverted] != 3 {
		t.Errorf("want three that went back by themselves: %v", s.state.Counts)
	}
}

// TestAClockThatGoesBack neither ends soaks nor begins them anew.
func TestAClockThatGoesBack(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10, threeStages())
	s.pass(2*time.Minute, nil)
	before := s.state
	s.now = s.now.Add(-24 * time.Hour)
	s.step()
	if !s.state.Ticked.Equal(before.Ticked) || s.state.Stage != before.Stage {
		t.Errorf("it went to stage %d at %s", s.state.Stage, s.state.Ticked)
	}
}
