package reporting

import (
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestExplainHasASentenceForEveryWord: what is said of a node names its word, and the stage or the time that it is about.
func TestExplainHasASentenceForEveryWord(t *testing.T) {
	t.Parallel()
	state := rollout.State{Phase: rollout.Running, Reason: rollout.Soaking, Spec: rollout.Spec{Stages: []rollout.Stage{{Name: "canary"}, {Name: "rest"}}}}
	good := noon.Add(-time.Minute)
	tests := map[rollout.Word]struct {
		p      rollout.Progress
		stages uint32
		want   string
	}{
		rollout.Ineligible:   {rollout.Progress{}, 0, "no stage"},
		rollout.Pinned:       {rollout.Progress{Word: rollout.Pinned}, 3, "excused"},
		rollout.Pending:      {rollout.Progress{}, 2, "its turn is yet to come: stage rest"},
		rollout.Offline:      {rollout.Progress{Word: rollout.Offline}, 3, "silent for 5m0s, since before"},
		rollout.Waiting:      {rollout.Progress{Word: rollout.Waiting}, 3, "excused"},
		rollout.Admitted:     {rollout.Progress{Word: rollout.Admitted}, 3, "stage canary has let it in"},
		rollout.Adopting:     {rollout.Progress{Word: rollout.Adopting}, 3, "about to take"},
		rollout.Applied:      {rollout.Progress{Word: rollout.Applied, Good: good, Reports: 1}, 3, "is watched: well for 1m0s"},
		rollout.Healthy:      {rollout.Progress{Word: rollout.Healthy, Good: good}, 3, "been well for 1m0s"},
		rollout.Failed:       {rollout.Progress{Word: rollout.Failed, Check: "serves"}, 3, "the check serves does not hold"},
		rollout.SelfReverted: {rollout.Progress{Word: rollout.SelfReverted}, 3, "went back by itself"},
		rollout.Lost:         {rollout.Progress{Word: rollout.Lost}, 3, "silent for 5m0s"},
	}
	for _, word := range rollout.Words() {
		tt, ok := tests[word]
		if got, text := explain(state, tt.p, tt.stages, "web-1", noon.Add(-5*time.Minute), noon); !ok || got != word || !strings.Contains(text, tt.want) {
			t.Errorf("%s is explained as %s: %s", word, got, text)
		}
	}
}
