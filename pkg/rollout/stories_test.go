package rollout_test

import (
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// The tests of this file are the failures that users of other engines reported, each by its name.

// TestOneOfflineDeviceBlocksEveryone: a device that is off is excused, and its fleet goes on without it (rancher/fleet#192,
// rancher/rancher#30661, fleet#206).
func TestOneOfflineDeviceBlocksEveryone(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10, threeStages())
	off := func(n *rollout.Node) bool { return n.ID != "node-3" }
	s.nodes[3].Seen, s.nodes[3].Live = s.now.Add(-time.Hour), false
	s.pass(30*time.Minute, off)
	s.want(rollout.Completed, rollout.Done, 3)
	// It takes what is stable when it comes back.
	if d := s.decide(s.state.Signed(), &s.nodes[3]); d.Target != bundle(1) {
		t.Errorf("back from its outage it takes %+v", d)
	}
}

// TestOfflineAfterItWasDrawn: a member that went silent before it adopted is excused, too.
func TestOfflineAfterItWasDrawn(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10, threeStages())
	s.step() // the canary is drawn
	var member string
	for id, p := range s.state.Nodes {
		if p.Members&1 != 0 {
			member = id
		}
	}
	s.pass(30*time.Minute, func(n *rollout.Node) bool { return n.ID != member })
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestStuckForEver: a device that takes the bundle and never says more is lost after its intervals, and a rollout that comes
// no further says so at its deadline (hawkbit#693).
func TestStuckForEver(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10, threeStages())
	s.step()
	s.pass(50*time.Minute, func(n *rollout.Node) bool { return n.Adopting == "" })
	s.want(rollout.Running, "", 0)
	if s.state.Counts[rollout.Lost] != 2 {
		t.Errorf("want the canary lost: %v", s.state.Counts)
	}
	s.pass(15*time.Minute, func(n *rollout.Node) bool { return n.Adopting == "" })
	s.want(rollout.Paused, rollout.ProgressDeadline, 0)
}

// TestSuccessRecordedTooEarly: having it on disk is not success, nor is a run before a reboot that has not been confirmed
// (hawkbit#3185).
func TestSuccessRecordedTooEarly(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10, threeStages())
	for i := range s.nodes {
		s.nodes[i].Unconfirmed = true
	}
	s.pass(20*time.Minute, nil)
	s.want(rollout.Running, rollout.Soaking, 0)
	for i := range s.nodes {
		s.nodes[i].Unconfirmed = false
	}
	s.pass(3*time.Minute, nil)
	s.want(rollout.Running, "", 1)
}

// TestUngroupedNodes: a spec whose stages leave nodes out is refused, and a node that meets no condition is counted by a word
// of its own (teleport#66634, Rancher Fleet's partitions).
func TestUngroupedNodes(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages = spec.Stages[:2]
	if err := spec.Validate(); err == nil {
		t.Error("a spec whose last stage is half of the nodes is taken")
	}
	s := newScene(t, 5, threeStages())
	s.nodes[2].Stages = 0
	s.step()
	if s.state.Counts[rollout.Ineligible] != 1 {
		t.Errorf("want one that is ineligible: %v", s.state.Counts)
	}
}

// TestCanaryLargerThanTheGroup: a stage of more nodes than there are is all of them (Teleport's canary_count).
func TestCanaryLargerThanTheGroup(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages[0].Size = rollout.Share{Nodes: 50}
	s := newScene(t, 4, spec)
	s.pass(20*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestEmptyCanary: a stage without a node shows nothing, so it does not pass, and says why (hawkBit's empty groups succeed).
func TestEmptyCanary(t *testing.T) {
	t.Parallel()
	s := newScene(t, 8, threeStages())
	for i := range s.nodes {
		s.nodes[i].Stages &^= 1
	}
	s.pass(30*time.Minute, nil)
	s.want(rollout.Running, rollout.NoEligibleNodes, 0)
	s.pass(40*time.Minute, nil)
	s.want(rollout.Paused, rollout.ProgressDeadline, 0)
	if len(s.with()) != 0 {
		t.Errorf("%d nodes have it", len(s.with()))
	}
	s.nodes[5].Stages |= 1
	s.do(rollout.Command{Do: rollout.DoResume, By: "ann"})
	s.pass(5*time.Minute, nil)
	s.want(rollout.Running, "", 1)
}

// TestThresholdDeadlock: with few in flight, each pass still admits somebody, whatever their places are (Teleport's lowest_uuid
// rule).
func TestThresholdDeadlock(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.MaxInFlight = rollout.Share{Nodes: 1}
	s := newScene(t, 12, spec)
	most := 0
	for range 400 {
		s.pass(interval, nil)
		flying := s.state.Counts[rollout.Admitted] + s.state.Counts[rollout.Adopting] + s.state.Counts[rollout.Applied]
		most = max(most, flying)
		if s.state.Phase != rollout.Running {
			break
		}
	}
	s.want(rollout.Completed, rollout.Done, 3)
	if most != 1 {
		t.Errorf("%d were in flight at a time, want 1", most)
	}
}

// TestFailedNodesLeaveTheBudget: they do not, so that outages do not add up (proto-fleet#1014).
func TestFailedNodesLeaveTheBudget(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages, spec.MaxInFlight = spec.Stages[2:], rollout.Share{Nodes: 2}
	spec.Abort.Failed = rollout.Limit{Percent: 100, Min: 100}
	spec.Abort.Lost = spec.Abort.Failed
	s := newScene(t, 20, spec)
	s.pass(2*time.Minute, nil)
	for _, n := range s.with() {
		n.Failed = 1
	}
	s.pass(30*time.Minute, nil)
	if got := len(s.with()); got != 2 {
		t.Errorf("%d nodes have it, want the two that failed", got)
	}
}

// TestFrequentReleasesStarveLateGroups: with queue, a rollout comes to its end although there are newer bundles (Teleport's
// RFD 184).
func TestFrequentReleasesStarveLateGroups(t *testing.T) {
	t.Parallel()
	for word, want := range map[rollout.Supersede]bool{rollout.Restart: true, rollout.Queue: false, rollout.FinishStage: false} {
		spec := threeStages()
		spec.Supersede = word
		s := newScene(t, 10, spec)
		s.pass(time.Minute, nil)
		if got := s.state.Yields(); got != want {
			t.Errorf("%s: in the middle of a stage it yields: %t", word, got)
		}
	}
}

// TestWhatANewerBundleEnds: one that runs is over, and one that was aborted goes on to say why, also a week later.
func TestWhatANewerBundleEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(2*time.Minute, nil)
	if over, told := s.state.Supersede("ann", s.now); over.Phase != rollout.Superseded || over.Detail != "" || told.By != "ann" {
		t.Errorf("one that runs: %s (%s: %s), %+v", over.Phase, over.Reason, over.Detail, told)
	}
	for _, n := range s.with() {
		n.Failed = 2
	}
	s.pass(time.Minute, nil)
	was := s.state.Detail
	over, told := s.state.Supersede("", s.now)
	if want := "it was aborted (abort:failed): " + was; over.Reason != rollout.ByNewer || over.Detail != want || told.Detail != want || was == "" {
		t.Errorf("one that was aborted says %q and tells %q, want %q", over.Detail, told.Detail, want)
	}
}

// TestStopIsNotUndo: an abort stops, those that have it keep it, and the next one begins from what was stable (the FAQ of
// Argo Rollouts).
func TestStopIsNotUndo(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20, threeStages())
	s.pass(2*time.Minute, nil)
	had := len(s.with())
	for _, n := range s.with() {
		n.Failed = 2
	}
	s.pass(time.Minute, nil)
	s.want(rollout.Aborted, rollout.AbortFailed, 0)
	s.pass(time.Hour, nil)
	if got := len(s.with()); got != had || had != 4 {
		t.Errorf("%d have it after the abort, %d before", got, had)
	}
	for _, n := range s.with() {
		n.Failed = 0
	}
	s.state = rollout.Begin("r2", threeStages(), bundle(0), bundle(2), &s.state, s.now)
	s.pass(time.Minute, nil)
	for i := range s.nodes {
		if d := s.decide(s.state.Signed(), &s.nodes[i]); s.nodes[i].Digest == bundle(1) && d.Target == bundle(0) {
			t.Errorf("%s goes back: %+v", s.nodes[i].ID, d)
		}
	}
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestContentIsStaged: a bundle is all there is, data and programs, and nobody outside of a stage takes any of it
// (CrowdStrike, July 2024).
func TestContentIsStaged(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100, threeStages())
	s.pass(90*time.Second, nil)
	if got := len(s.with()); got != 20 {
		t.Errorf("%d of 100 have it in the first stage, want 20", got)
	}
}
