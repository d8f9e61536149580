package dashboard

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// stands is a rollout that has stood still for an hour.
func (w *world) stands() report.RolloutStatus {
	return report.RolloutStatus{Channel: "stable", ID: w.text, Stable: w.text, Candidate: w.text, Commit: w.text, Deadline: 2 * time.Hour,
		Phase: rollout.Paused, Reason: rollout.ProgressDeadline, Detail: w.text, By: w.text, Began: noon.Add(-3 * time.Hour), Since: noon.Add(-time.Hour), Waiting: true,
		Stages: []report.RolloutStage{{Name: w.text, State: "passed", When: w.text, Size: "5%", Members: 1, Healthy: 1, Began: noon.Add(-3 * time.Hour), Ended: noon.Add(-2 * time.Hour), Soak: time.Minute, Success: 98},
			{Name: "early", State: "waiting", Size: "10%", Used: 90 * time.Minute, Approved: []string{w.text}, Needs: 2, By: []string{w.text}, Answers: map[string]rollout.Answer{w.text: {Verdict: rollout.Verdict(w.text), Reason: w.text}}}},
		Counts: map[rollout.Word]int{rollout.Failed: 1, rollout.Healthy: 3, rollout.Word(w.text): 1},
		Log:    []rollout.Transition{{At: noon, Rollout: w.text, From: rollout.Running, To: rollout.Paused, Reason: rollout.Reason(w.text), Stage: w.text, By: w.text, Detail: w.text}, {To: rollout.Running}}}
}

func (w *world) Rollouts(_ context.Context, channel string, _ int) ([]report.RolloutStatus, error) {
	switch channel {
	case "":
		done := w.stands()
		done.Channel, done.Phase, done.Reason, done.Counts, done.Stages = w.text, rollout.Completed, rollout.Done, nil, nil
		return []report.RolloutStatus{done, w.stands()}, nil
	case "stable":
		return []report.RolloutStatus{w.stands()}, nil
	}
	return nil, api.Refuse(api.ErrNotFound, "there was no rollout on channel %q", channel)
}

func (w *world) RolloutHistory(context.Context, string, int) ([]report.RolloutStatus, error) {
	before := w.stands()
	before.ID, before.Phase, before.Reason = "before", rollout.Superseded, rollout.ByNewer
	return []report.RolloutStatus{w.stands(), before}, nil
}

func (w *world) RolloutNodes(_ context.Context, _ string, word rollout.Word, _ int) (report.RolloutNodes, error) {
	switch {
	case !slices.Contains(rollout.Words(), word):
		return report.RolloutNodes{}, api.Refuse(api.ErrBadRequest, "%q is none of the words of nodes", word)
	case word != rollout.Failed:
		return report.RolloutNodes{}, nil
	}
	return report.RolloutNodes{Matched: 1, Nodes: []report.RolloutNode{{Node: w.text, Word: rollout.Failed, Stage: w.text, Text: "it has the new bundle, and the check nginx does not hold " + w.text}}}, nil
}

func (w *world) ExplainRollout(_ context.Context, node string) (report.RolloutNode, error) {
	switch node {
	case "nobody":
		return report.RolloutNode{}, api.Refuse(api.ErrNotFound, "there is no node nobody")
	case "elsewhere":
		return report.RolloutNode{Node: node, Channel: "canary"}, nil
	}
	return report.RolloutNode{Node: node, Channel: "stable", Word: rollout.Pending, Text: "its turn is yet to come " + w.text, Member: []string{"early", w.text}}, nil
}

// TestRolloutsThatWantSomebodyComeFirst before those that go on, and those that are over.
func TestRolloutsThatWantSomebodyComeFirst(t *testing.T) {
	t.Parallel()
	var weights []int
	for _, r := range []report.RolloutStatus{{Phase: rollout.Aborted}, {Phase: rollout.Running, Reason: rollout.WaitingApproval}, {Phase: rollout.Running, Reason: rollout.Soaking}, {Phase: rollout.Completed}} {
		weights = append(weights, rolloutRow{r, noon}.weight())
	}
	if !slices.Equal(weights, []int{3, 2, 1, 0}) {
		t.Errorf("they weigh %v", weights)
	}
}

// TestCommandsOfARollout: only those that the service would take now.
func TestCommandsOfARollout(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]report.RolloutStatus{
		"approve pause abort revert": {Phase: rollout.Running, Reason: rollout.WaitingApproval},
		"pause abort revert":         {Phase: rollout.Running, Reason: rollout.Soaking},
		"resume abort revert":        {Phase: rollout.Paused},
		"revert":                     {Phase: rollout.Aborted},
		"":                           {Phase: rollout.Completed},
	} {
		r.Channel = "stable"
		var got []string
		for _, command := range (rolloutRow{r, noon}).Do() {
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(command, "vigo rollout "), " stable"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s (%s): %v, want %s", r.Phase, r.Reason, got, want)
		}
	}
}
