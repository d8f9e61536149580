package rollouts

import (
	"fmt"
	"strings"
	"testing"

	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

// TestAGoodChange goes from the canaries to half of the fleet to all of it by itself, never further than the stage.
func TestAGoodChange(t *testing.T) {
	t.Parallel()
	f := newFleet(t, quick())
	f.commit("two", "")
	most := map[string]int{}
	f.await("the rollout has come to its end", func() string {
		s := f.status()
		for _, st := range s.Stages {
			if st.State == "open" {
				most[st.Name] = max(most[st.Name], f.having("two"))
			}
		}
		if s.Phase == rollout.Completed && f.having("two") == nodes {
			return ""
		}
		return fmt.Sprintf("%s (%s), %d nodes have it", s.Phase, s.Reason, f.having("two"))
	})
	if most["canary"] != 2 || most["early"] != 10 {
		t.Errorf("at most %v nodes had it in the stages, want 2 and 10", most)
	}
	if problems := programs.Run(t, f.env(), "vigo", "events", "--limit", "50"); !strings.Contains(problems, "rollout.completed") {
		t.Errorf("no event says that it is completed:\n%s", problems)
	}
}

// TestABadChange stops in the canary; the rest never sees it, and what is asked about a node of either says why.
func TestABadChange(t *testing.T) {
	t.Parallel()
	f := newFleet(t, quick())
	f.commit("broken", "  - exec: breaks\n    command: [\"false\"]\n    always: true\n")
	s := f.awaitPhase(rollout.Aborted, "")
	if s.Reason != rollout.AbortFailed || s.Counts[rollout.Failed] != 2 {
		t.Errorf("it is aborted because of %s: %v", s.Reason, s.Counts)
	}
	if n := f.having("broken"); n != 2 {
		t.Errorf("%d nodes have it, want the two canaries", n)
	}
	f.explained(map[string]rollout.Word{"node-00": rollout.Failed, "node-07": rollout.Pending})
	// The next commit mends it, for those that have the broken one, too.
	f.commit("mended", "")
	f.awaitPhase(rollout.Completed, s.ID)
	f.await("all have it", func() string { return f.missing("mended") })
}

// TestApproveAndTakeBack: a stage waits for somebody, who may also take everything back.
func TestApproveAndTakeBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, strings.Replace(quick(), "size: 50%}", "size: 50%, approve: {count: 1}}", 1))
	f.commit("two", "")
	f.awaitReason(rollout.WaitingApproval, "")
	if n := f.having("two"); n != 2 {
		t.Errorf("%d nodes have it before somebody agrees, want 2", n)
	}
	programs.Run(t, f.env(), "vigo", "rollout", "approve", "stable")
	f.await("half of the nodes have it", func() string {
		if n := f.having("two"); n < 10 {
			return fmt.Sprint(n)
		}
		return ""
	})
	programs.Run(t, f.env(), "vigo", "rollout", "revert", "stable")
	f.awaitPhase(rollout.Reverted, "")
	if n := f.having("one"); n != nodes {
		t.Errorf("%d nodes have the first policy again, want all", n)
	}
}
