package reporting

import (
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// TestExplainHasASentenceForEveryWord: what is said of a node names its word, and the stage or the time that it is about.
func TestExplainHasASentenceForEveryWord(t *testing.T) {
	t.Parallel()
	good := noon.Add(-time.Minute)
	tests := map[rollout.Word]struct {
		p      rollout.Progress
		stages uint32
		want   string
	}{
		rollout.Ineligible:   {rollout.Progress{}, 0, "no stage: it is given the new bundle when the rollout is over"},
		rollout.Pinned:       {rollout.Progress{Word: rollout.Pinned}, 3, "somebody pinned it to the bundle it has (INC-4711): it takes"},
		rollout.Pending:      {rollout.Progress{}, 2, "its turn is yet to come: stage rest"},
		rollout.Offline:      {rollout.Progress{Word: rollout.Offline}, 3, "silent for 5m0s, since before"},
		rollout.Waiting:      {rollout.Progress{Word: rollout.Waiting}, 3, "does not while the window of the rollout is closed"},
		rollout.Admitted:     {rollout.Progress{Word: rollout.Admitted}, 3, "stage canary has let it in"},
		rollout.Adopting:     {rollout.Progress{Word: rollout.Adopting}, 3, "about to take"},
		rollout.Partial:      {rollout.Progress{Word: rollout.Partial}, 3, "2 of its resources wait to do what is new, for a window, a turn or secrets (vigo node web-1)"},
		rollout.Applied:      {rollout.Progress{Word: rollout.Applied, Good: good, Reports: 1}, 3, "is watched: well for 1m0s"},
		rollout.Healthy:      {rollout.Progress{Word: rollout.Healthy, Good: good}, 3, "been well for 1m0s"},
		rollout.Failed:       {rollout.Progress{Word: rollout.Failed, Check: "serves"}, 3, "the check serves does not hold"},
		rollout.SelfReverted: {rollout.Progress{Word: rollout.SelfReverted}, 3, "went back by itself"},
		rollout.Lost:         {rollout.Progress{Word: rollout.Lost}, 3, "silent for 5m0s"},
	}
	for _, word := range rollout.Words() {
		tt, ok := tests[word]
		if got, text := explained(rollout.Running, tt.p, tt.stages, saying{seen: noon.Add(-5 * time.Minute), why: "INC-4711", waiting: 2}); !ok || got != word || !strings.Contains(text, tt.want) {
			t.Errorf("%s is explained as %s: %s", word, got, text)
		}
	}
}

func explained(phase rollout.Phase, p rollout.Progress, stages uint32, says saying) (rollout.Word, string) {
	state := rollout.State{Phase: phase, Reason: rollout.Soaking, Candidate: "B", Spec: rollout.Spec{Stages: []rollout.Stage{{Name: "canary"}, {Name: "rest"}}}}
	return explaining{state: state, p: p, stages: stages, node: "web-1", says: says, now: noon}.text()
}

// TestExplainSaysThatTheRolloutIsFrozen: while a site is cut off, nodes that were never drawn are silent as those are that nobody
// waits for.
func TestExplainSaysThatTheRolloutIsFrozen(t *testing.T) {
	t.Parallel()
	const frozen = "too many nodes went silent at once"
	e := explaining{state: rollout.State{Phase: rollout.Running, Reason: rollout.EvidenceBlind}, p: rollout.Progress{Word: rollout.Offline}, stages: 1, node: "web-1", now: noon}
	if _, text := e.text(); !strings.Contains(text, frozen) {
		t.Error(text)
	}
	e.state.Phase = rollout.Paused
	if _, text := e.text(); strings.Contains(text, frozen) {
		t.Error(text)
	}
}

// TestExplainKnowsHowTheRolloutIs: what a node waits for is another thing when the rollout is paused, aborted or over.
func TestExplainKnowsHowTheRolloutIs(t *testing.T) {
	t.Parallel()
	admitted, has := rollout.Progress{Word: rollout.Admitted}, saying{bundle: "B"}
	refuses := saying{refusals: []report.Refusal{{Name: "unsigned", What: "A"}, {Name: "approvals", Detail: "1 of 2 have approved it", What: "B"}}}
	for _, c := range []struct {
		phase  rollout.Phase
		p      rollout.Progress
		stages uint32
		says   saying
		want   string
	}{
		{rollout.Running, admitted, 3, refuses, "it refuses the new bundle: 1 of 2 have approved it"},
		{rollout.Running, rollout.Progress{Word: rollout.SelfReverted}, 3, refuses, "went back by itself: 1 of 2"},
		{rollout.Running, rollout.Progress{}, 2, saying{muted: true}, "it is maintained, and no gate looks at it"},
		{rollout.Paused, admitted, 3, saying{}, "does not while the rollout is paused"},
		{rollout.Paused, rollout.Progress{}, 2, saying{}, "its turn is yet to come"},
		{rollout.Aborted, admitted, 3, saying{}, "was aborted before it took the new bundle"},
		{rollout.Aborted, rollout.Progress{}, 2, saying{}, "its turn did not come: the rollout is aborted"},
		{rollout.Aborted, rollout.Progress{}, 0, saying{}, "no stage, and the rollout is aborted"},
		{rollout.Superseded, admitted, 3, saying{}, "was superseded before"},
		{rollout.Reverted, admitted, 3, saying{}, "the rollout is taken back"},
		{rollout.Completed, admitted, 3, saying{}, "which is what is stable now"},
		{rollout.Completed, rollout.Progress{}, 2, has, "it has the new bundle since the rollout is over"},
		{rollout.Completed, rollout.Progress{}, 0, has, "no stage, and has the new bundle since the rollout is over"},
		{rollout.Completed, rollout.Progress{}, 0, saying{}, "no stage, and the rollout is completed"},
	} {
		if _, text := explained(c.phase, c.p, c.stages, c.says); !strings.Contains(text, c.want) {
			t.Errorf("%s, %s: %q, want %q", c.phase, c.p.Word, text, c.want)
		}
	}
}
