package reporting

import (
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestResourcesThatWaitHoldAStage: nodes say how many of their resources have yet to do what is new; until they have, also when the service
// was started anew meanwhile, the stage that they are members of has shown nothing.
func TestResourcesThatWaitHoldAStage(t *testing.T) {
	t.Parallel()
	s := newStaged(t, twoStages())
	for name := range s.has {
		s.waits[name] = 1
	}
	s.pass(t, 3*time.Hour)
	got := s.want(t, rollout.Running, rollout.WaitingResources, "0 of 3 healthy; on 3, resources wait to do what is new")
	if got.Counts[rollout.Partial] != 3 || got.Stages[0].Used > 5*time.Minute {
		t.Errorf("%v, of the deadline %s are used", got.Counts, got.Stages[0].Used)
	}
	s.restart(t, time.Second)
	s.pass(t, 10*time.Minute)
	s.want(t, rollout.Running, rollout.WaitingResources, "0 of 3 healthy")
	clear(s.waits)
	s.pass(t, 10*time.Minute)
	s.want(t, rollout.Completed, rollout.Done, "")
}
