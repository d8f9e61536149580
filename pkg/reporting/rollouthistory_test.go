package reporting

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

const newest = "sha256:3333333333333333333333333333333333333333333333333333333333333333"

// oneThenAll is a rollout to one node, and to the rest when somebody agrees.
func oneThenAll(candidate, commit string) api.RolloutPlan {
	gate := rollout.Gate{Checkins: 1, Success: 100, OnEmpty: rollout.Block}
	return api.RolloutPlan{Channel: "stable", Stable: bundle.Target{Digest: older, Commit: "0ld"}, Candidate: bundle.Target{Digest: candidate, Commit: commit},
		Spec: rollout.Spec{Channel: "stable", Deadline: 2 * time.Hour, LostAfter: 3, OnAbort: rollout.Hold, Supersede: rollout.Restart, Cohort: rollout.EachRelease,
			Abort:  rollout.Abort{Failed: rollout.Limit{Percent: 100, Min: 4}, Lost: rollout.Limit{Percent: 100, Min: 4}},
			Stages: []rollout.Stage{{Name: "one", Size: rollout.Share{Nodes: 1}, Gate: gate}, {Name: "rest", Size: rollout.Share{Percent: 100}, Gate: gate, Approve: rollout.Approve{Count: 1}}}}}
}

// have has the nodes check in with a bundle each, twice, and the rollouts move after each.
func (r *rig) have(t *testing.T, bundles map[string]string) {
	t.Helper()
	for range 3 {
		r.pass(half)
		r.Tick(t.Context())
		for name, digest := range bundles {
			at := r.Now()
			r.checkIn(t, report.CheckIn{Node: name, Seq: at.Unix(), Bundle: digest, Pointer: "1.7", Run: report.Summary{ID: fmt.Sprint(at.Unix()), Started: at, Counts: report.Counts{OK: 1}}})
		}
		must(t, r.tickRollouts(t.Context()))
	}
}

// rolling has four nodes, of which one has a candidate and is well; the rest waits for somebody to agree. It returns their bundles.
func (r *rig) rolling(t *testing.T) (bundles map[string]string, canary string) {
	t.Helper()
	r.publish(t, note())
	bundles = map[string]string{"web-1": older, "web-2": older, "web-3": older, "web-4": older}
	for name := range bundles {
		r.join(t, name)
	}
	r.have(t, bundles)
	_, err := r.Roll(t.Context(), oneThenAll(current, "c0ffee0123456789"))
	must(t, err)
	r.have(t, bundles)
	list, err := r.RolloutNodes(t.Context(), "stable", rollout.Admitted, 10)
	must(t, err)
	if list.Matched != 1 || len(list.Nodes) != 1 {
		t.Fatalf("let in are %+v", list)
	}
	canary = list.Nodes[0].Node
	bundles[canary] = current
	r.have(t, bundles)
	return bundles, canary
}

// TestNodesOfARollout are listed by their words, with why they are there; a word that there is not is refused.
func TestNodesOfARollout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, canary := r.rolling(t)
	list, err := r.RolloutNodes(t.Context(), "stable", rollout.Healthy, 10)
	must(t, err)
	if list.Matched != 1 || list.Nodes[0].Node != canary || list.Nodes[0].Stage != "one" || !strings.Contains(list.Nodes[0].Text, "has been well") {
		t.Errorf("healthy are %+v", list)
	}
	list, err = r.RolloutNodes(t.Context(), "stable", rollout.Failed, 10)
	must(t, err)
	if list.Matched != 0 || list.Nodes == nil {
		t.Errorf("failed are %+v", list)
	}
	_, err = r.RolloutNodes(t.Context(), "stable", "unwell", 10)
	refusedAs(t, "an unknown word", err, api.ErrBadRequest)
	_, err = r.RolloutNodes(t.Context(), "canary", rollout.Failed, 10)
	refusedAs(t, "a channel without a rollout", err, api.ErrNotFound)
}

// TestHistoryOfRollouts keeps one after the other with its commit and its end, and who approved, also when the service begins anew.
func TestHistoryOfRollouts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bundles, _ := r.rolling(t)
	_, err := r.CommandRollout(t.Context(), "stable", rollout.Command{Do: rollout.DoApprove, By: "ada"}, "operator")
	must(t, err)
	r.have(t, bundles)
	_, err = r.Roll(t.Context(), oneThenAll(newest, "beef"))
	must(t, err)
	r.restart(t, time.Second)
	_, err = r.CommandRollout(t.Context(), "stable", rollout.Command{Do: rollout.DoAbort, By: "ada"}, "operator")
	must(t, err)

	history, err := r.RolloutHistory(t.Context(), "stable", 10)
	must(t, err)
	var got []string
	for _, one := range history {
		agreed := ""
		for _, st := range one.Stages {
			agreed += strings.Join(st.Approved, " ")
		}
		got = append(got, fmt.Sprintf("%s %s (%s) %s", one.Commit, one.Phase, one.Reason, agreed))
	}
	if diff := cmp.Diff([]string{"beef aborted (by-operator) ", "c0ffee0123456789 superseded (newer-bundle) ada"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if history, err = r.RolloutHistory(t.Context(), "stable", 1); err != nil || len(history) != 1 {
		t.Errorf("one of them: %d, %v", len(history), err)
	}
	_, err = r.RolloutHistory(t.Context(), "canary", 10)
	refusedAs(t, "the history of a channel without rollouts", err, api.ErrNotFound)

	now, err := r.Rollouts(t.Context(), "stable", 100)
	must(t, err)
	if now[0].Commit != "beef" || now[0].Deadline != 2*time.Hour || now[0].Stages[1].Needs != 1 {
		t.Errorf("the last one: %+v", now[0])
	}
	for _, move := range now[0].Log {
		if move.Rollout != history[0].ID && move.Rollout != now[0].ID && !strings.HasPrefix(move.Rollout, "stable-111111111111-") {
			t.Errorf("a transition is of no rollout: %+v", move)
		}
	}
	kinds := slices.DeleteFunc(r.eventKinds(t, ""), func(kind string) bool { return !strings.HasPrefix(kind, "rollout.") })
	slices.Reverse(kinds)
	if diff := cmp.Diff([]string{"rollout.started", "rollout.waiting-approval", "rollout.superseded", "rollout.started", "rollout.aborted"}, slices.Compact(kinds)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestOnlySoManyRolloutsAreKept: the oldest are forgotten.
func TestOnlySoManyRolloutsAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	docs := map[string][]byte{}
	for i := range maxPast {
		p := pastRollout{State: rollout.State{ID: fmt.Sprint("old-", i), Began: noon.Add(-time.Duration(i+1) * time.Hour)}}
		docs[p.key()] = encoded(p)
	}
	must(t, r.DB.PutRollout(t.Context(), "stable", docs))
	_, err := r.Roll(t.Context(), oneThenAll(current, "c0ffee"))
	must(t, err)
	history, err := r.RolloutHistory(t.Context(), "stable", 2*maxPast)
	must(t, err)
	if first, last := history[0].Commit, history[len(history)-1].ID; len(history) != maxPast || first != "c0ffee" || last != fmt.Sprint("old-", maxPast-2) {
		t.Errorf("%d are kept, from %s to %s", len(history), last, first)
	}
}

// TestRolloutEvents are what rules of alerts can be about.
func TestRolloutEvents(t *testing.T) {
	t.Parallel()
	r, _ := hooked(t, nil)
	var rules []report.AlertRule
	for _, rule := range every() {
		if strings.HasPrefix(rule.Event, "rollout.") {
			rule.Leave = 0
			rules = append(rules, rule)
		}
	}
	r.rules(t, rules...)
	found := func(when string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] += " channel stable"
		}
		if got := r.firing(t); !slices.Equal(got, append([]string{}, want...)) {
			t.Errorf("%s: found %q, want %q", when, got, want)
		}
	}
	found("before the first")
	bundles, _ := r.rolling(t)
	found("when somebody has to agree", "rollout-started", "rollout-waiting-approval")
	do := func(do rollout.Do) {
		t.Helper()
		_, err := r.CommandRollout(t.Context(), "stable", rollout.Command{Do: do, By: "ada"}, "operator")
		must(t, err)
	}
	do(rollout.DoPause)
	found("paused", "rollout-paused", "rollout-started")
	do(rollout.DoResume)
	do(rollout.DoApprove)
	r.have(t, bundles)
	for name := range bundles {
		bundles[name] = current
	}
	r.have(t, bundles)
	r.have(t, bundles)
	found("when it is over", "rollout-completed")
	r.pass(10 * time.Minute)
	found("ten minutes later")
	_, err := r.Roll(t.Context(), oneThenAll(newest, "beef"))
	must(t, err)
	do(rollout.DoAbort)
	found("aborted", "rollout-aborted")
}
