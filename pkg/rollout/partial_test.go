package rollout_test

import (
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// held is a scene of twenty nodes with four canaries; so many of those that have the candidate wait for windows of resources.
func held(t *testing.T, spec rollout.Spec, n int) *scene {
	t.Helper()
	s := newScene(t, 20, spec)
	s.pass(3*interval, nil)
	for _, node := range s.with()[:n] {
		node.Waiting = 1
	}
	return s
}

// TestWhatDidNothingYetProvesNothing: canaries that wait until night are not healthy at noon. The stage waits for them, and its deadline
// stands still meanwhile; at night it has to show all of its soak.
func TestWhatDidNothingYetProvesNothing(t *testing.T) {
	t.Parallel()
	s := held(t, threeStages(), 4)
	s.pass(10*time.Hour, nil)
	s.want(rollout.Running, rollout.WaitingResources, 0)
	if s.state.Counts[rollout.Partial] != 4 || s.state.Counts[rollout.Healthy] != 0 || len(s.with()) != 4 {
		t.Errorf("%v, %d have it", s.state.Counts, len(s.with()))
	}
	if st := s.state.Stages[0]; st.Used > 5*time.Minute || st.Held < 9*time.Hour {
		t.Errorf("of the deadline %s are used, and it was held for %s", st.Used, st.Held)
	}
	for _, node := range s.with() {
		node.Waiting = 0
	}
	s.pass(interval, nil)
	s.want(rollout.Running, rollout.Soaking, 0)
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestAFailureAtNightIsSeen: what waits is watched as everything is, so that what it then breaks stops the rollout in its canary.
func TestAFailureAtNightIsSeen(t *testing.T) {
	t.Parallel()
	s := held(t, threeStages(), 4)
	s.pass(time.Hour, nil)
	for _, node := range s.with() {
		node.Waiting, node.Failed = 0, 1
	}
	s.pass(interval, nil)
	s.want(rollout.Aborted, rollout.AbortFailed, 0)
}

// TestAWindowThatNeverComes: windows come every week, so after more than one the rollout is paused, and somebody who resumes it gives it
// that time again.
func TestAWindowThatNeverComes(t *testing.T) {
	t.Parallel()
	s := held(t, threeStages(), 1)
	s.pass(7*24*time.Hour, nil)
	s.want(rollout.Running, rollout.WaitingResources, 0)
	s.pass(2*24*time.Hour, nil)
	s.want(rollout.Paused, rollout.ProgressDeadline, 0)
	if !strings.Contains(s.state.Detail, "3 of 4 healthy; on 1, resources wait to do what is new") {
		t.Error(s.state.Detail)
	}
	s.do(rollout.Command{Do: rollout.DoResume, By: "ann"})
	s.pass(7*24*time.Hour, nil)
	s.want(rollout.Running, rollout.WaitingResources, 0)
}

// TestEnoughAreHealthy: a stage waits for no more nodes than its gate asks for.
func TestEnoughAreHealthy(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages[0].Gate.Success = 75
	s := held(t, spec, 1)
	s.pass(10*time.Minute, nil)
	if s.state.Stage == 0 {
		t.Errorf("it is %s (%s): %v", s.state.Reason, s.state.Detail, s.state.Counts)
	}
}

// TestOneIsNotThereAndOneWaits: as long as anything else is waited for, the deadline runs.
func TestOneIsNotThereAndOneWaits(t *testing.T) {
	t.Parallel()
	s := held(t, threeStages(), 1)
	slow := s.with()[3]
	slow.Digest, slow.Adopting = bundle(0), ""
	for end := s.now.Add(90 * time.Minute); s.now.Before(end); { // it is let in, and does not take it
		slow.Digest, slow.Adopting = bundle(0), ""
		s.pass(interval, nil)
	}
	s.want(rollout.Paused, rollout.ProgressDeadline, 0)
	if s.state.Stages[0].Held != 0 {
		t.Errorf("it was held for %s", s.state.Stages[0].Held)
	}
}

// TestWhatWaitsIsInFlight: no more nodes are let in while those that were wait, and their deadline stands still.
func TestWhatWaitsIsInFlight(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.MaxInFlight = rollout.Share{Nodes: 2}
	s := held(t, spec, 2)
	s.pass(5*time.Hour, nil)
	s.want(rollout.Running, rollout.WaitingResources, 0)
	if len(s.with()) != 2 {
		t.Errorf("%d have it", len(s.with()))
	}
	for _, node := range s.with() {
		node.Waiting = 0
	}
	s.pass(2*time.Hour, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}
