package reporting

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// TestTheFileOfARolloutIsTakenAway while it is under way: the controller gives everyone what is new, and the rollout says that it is over.
func TestTheFileOfARolloutIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, digest := range map[string]string{"the candidate is given to all": current, "a newer bundle is": newest, "what was before is": older} {
		r := newRig(t)
		bundles, _ := r.rolling(t)
		n := note()
		n.Pointer, n.Digest, n.Candidate = "1.8", older, current
		r.publish(t, n)
		r.have(t, bundles)
		if list, err := r.Rollouts(t.Context(), "stable", 0); err != nil || list[0].Phase != rollout.Running {
			t.Fatalf("%s: before it is %+v, %v", name, list, err)
		}
		n.Pointer, n.Digest, n.Candidate = "1.9", digest, ""
		r.publish(t, n)
		r.have(t, bundles)
		list, err := r.Rollouts(t.Context(), "stable", 1)
		must(t, err)
		if s := list[0]; s.Phase != rollout.Superseded || s.Reason != rollout.NotStaged || len(s.Log) != 1 || !strings.Contains(s.Log[0].Detail, "everyone is given what is new") {
			t.Errorf("%s: it is %s (%s), %+v", name, s.Phase, s.Reason, s.Log)
		}
		r.restart(t, time.Second)
		r.have(t, bundles)
		if list, err = r.Rollouts(t.Context(), "stable", 50); err != nil || list[0].Phase != rollout.Superseded || strings.Count(joined(reasonsOf(list[0].Log)), string(rollout.NotStaged)) != 1 {
			t.Errorf("%s: after a restart it is %+v, %v", name, list, err)
		}
		next := oneThenAll("sha256:4444444444444444444444444444444444444444444444444444444444444444", "f00d")
		next.Stable = bundle.Target{Digest: digest}
		says, err := r.Roll(t.Context(), next) // the file is there again
		must(t, err)
		if err := rollout.Lawful(rollout.Signed{Stable: digest}, says, next.Candidate.Digest); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheBranchIsSetBack to what is stable while the bundle of a newer commit is rolled out: nobody else is given it, those that have it are
// not sent back without a command, and resuming does not go against what git says.
func TestTheBranchIsSetBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bundles, canary := r.rolling(t)
	back := oneThenAll(older, "0ld")
	for _, do := range []rollout.Do{"", rollout.DoResume} {
		if do != "" {
			_, err := r.CommandRollout(t.Context(), "stable", rollout.Command{Do: do, By: "ada"}, "operator")
			must(t, err)
			r.have(t, bundles)
		}
		says, err := r.Roll(t.Context(), back)
		must(t, err)
		list, err := r.Rollouts(t.Context(), "stable", 1)
		must(t, err)
		if s := list[0]; s.Phase != rollout.Paused || s.Reason != rollout.NotWanted || !says.Directive.Paused || len(says.Directive.Revert) > 0 || says.Candidate != current {
			t.Errorf("after %q it is %s (%s), and the pointer says %+v", do, s.Phase, s.Reason, says.Directive)
		}
	}
	_, err := r.CommandRollout(t.Context(), "stable", rollout.Command{Do: rollout.DoRevert, By: "ada"}, "operator")
	must(t, err)
	bundles[canary] = older
	r.have(t, bundles)
	if list, err := r.Rollouts(t.Context(), "stable", 1); err != nil || list[0].Phase != rollout.Reverted {
		t.Errorf("it is %+v, %v", list, err)
	}
	says, err := r.Roll(t.Context(), oneThenAll(newer, "f00d"))
	if err != nil || says.Candidate != newer || says.Directive.Paused {
		t.Errorf("what is newer then: %+v, %v", says, err)
	}
}

// TestAPointerWithoutACandidateThatNeverHadOne ends nothing: the controller may only not have got round to it, whatever else it published
// meanwhile, and whatever it says of a rollout before.
func TestAPointerWithoutACandidateThatNeverHadOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bundles, _ := r.rolling(t)
	n := note()
	for i, candidate := range []string{"", newest, ""} { // that of a rollout that the service has forgotten
		n.Pointer, n.Digest, n.Candidate = fmt.Sprint("1.", 8+i), older, candidate
		r.publish(t, n)
		r.have(t, bundles)
		if list, err := r.Rollouts(t.Context(), "stable", 0); err != nil || list[0].Phase != rollout.Running {
			t.Fatalf("it is %+v, %v", list, err)
		}
	}
}

func reasonsOf(log []rollout.Transition) (reasons []rollout.Reason) {
	for _, one := range log {
		reasons = append(reasons, one.Reason)
	}
	return reasons
}

// TestARolloutThatStandsIsNotWritten: one that was aborted or is paused may be so for weeks, with nothing to keep of it but what nodes do.
func TestARolloutThatStandsIsNotWritten(t *testing.T) {
	t.Parallel()
	for _, do := range []rollout.Do{rollout.DoAbort, rollout.DoPause} {
		r := newRig(t)
		bundles, canary := r.rolling(t)
		_, err := r.CommandRollout(t.Context(), "stable", rollout.Command{Do: do, By: "ada"}, "operator")
		must(t, err)
		r.have(t, bundles)
		head := func() string {
			docs, err := r.DB.RolloutDocs(t.Context(), "stable", headDoc)
			must(t, err)
			return string(docs[headDoc])
		}
		before := head()
		for range 5 {
			r.have(t, bundles)
		}
		if after := head(); after != before {
			t.Errorf("%s: it was\n%s\nand is\n%s", do, before, after)
		}
		bundles[canary] = older // by hand
		r.have(t, bundles)
		if after := head(); after == before {
			t.Errorf("%s: what a node does is not written", do)
		}
		r.restart(t, time.Minute)
		r.have(t, bundles)
		list, err := r.Rollouts(t.Context(), "stable", 0)
		must(t, err)
		if sum := total(list[0].Counts); sum != len(bundles) {
			t.Errorf("%s: after a restart there are %v", do, list[0].Counts)
		}
	}
}

func total(counts map[rollout.Word]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// TestANewStoreInMidRollout: the service has lost its store. What the pointer shows stays true: nobody who has something goes back, what was
// taken back is not given again, and what may have been aborted waits for somebody.
func TestANewStoreInMidRollout(t *testing.T) {
	t.Parallel()
	const fourth = "sha256:4444444444444444444444444444444444444444444444444444444444444444"
	for name, c := range map[string]struct {
		shown rollout.Directive
		plan  string
		phase rollout.Phase
	}{
		"it was going on":   {rollout.Directive{Keep: []string{fourth}, Admit: []rollout.Admit{{Stage: "one", Max: 7}}}, current, rollout.Running},
		"it was paused":     {rollout.Directive{Paused: true, Admit: []rollout.Admit{{Stage: "one", Max: 7}}}, current, rollout.Paused},
		"it was aborted":    {rollout.Directive{Keep: []string{fourth}}, current, rollout.Paused},
		"it was taken back": {rollout.Directive{Revert: []string{current}}, current, rollout.Reverting},
		"a newer commit":    {rollout.Directive{Keep: []string{fourth}, Revert: []string{newest}}, newest, rollout.Running},
		"of what is left":   {rollout.Directive{Revert: []string{current}}, newest, rollout.Running},
	} {
		r := newRig(t)
		r.publish(t, note())
		for _, name := range []string{"web-1", "web-2"} {
			r.join(t, name)
			r.checkIn(t, report.CheckIn{Node: name, Seq: 1, Bundle: current})
		}
		c.shown.ID, c.shown.Salt = "stable-222222222222-1", current
		plan := oneThenAll(c.plan, "beef")
		plan.Shown = rollout.Signed{Stable: older, Candidate: current, Directive: &c.shown}
		says, err := r.Roll(t.Context(), plan)
		must(t, err)
		if err := rollout.Lawful(plan.Shown, says, c.plan); err != nil {
			t.Errorf("%s: %v: %+v", name, err, says.Directive)
		}
		list, err := r.Rollouts(t.Context(), "stable", 5)
		must(t, err)
		if s := list[0]; s.Phase != c.phase || c.phase != rollout.Running && s.Reason != rollout.WasUnknown {
			t.Errorf("%s: it is %s (%s)", name, s.Phase, s.Reason)
		}
		d := rollout.Decide(says, rollout.Place{Node: "web-1", Current: fourth, Meets: func(string) (bool, error) { return false, nil }})
		if kept := len(c.shown.Keep) > 0; kept && d.Target != fourth && d.Why != rollout.WhyAdmitted {
			t.Errorf("%s: a node with a bundle of before goes to %s because it is %s", name, d.Target, d.Why)
		}
		plan.Shown = says // as the controller would ask next
		again, err := r.Roll(t.Context(), plan)
		must(t, err)
		if err := rollout.Lawful(says, again, c.plan); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
	}
}

// TestStagesOfAQueuedRolloutAreItsOwn: what was known of the conditions of the rollout before does not say who is in its stages.
func TestStagesOfAQueuedRolloutAreItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bundles, _ := r.rolling(t)
	waits := oneThenAll(newest, "beef")
	waits.Spec.Stages[0].When = `role == "nobody"`
	waits.Spec.Stages = append(waits.Spec.Stages[:1], rollout.Stage{Name: "more", Size: rollout.Share{Nodes: 2}, Gate: waits.Spec.Stages[0].Gate}, waits.Spec.Stages[1])
	r.queue(t)
	_, err := r.Roll(t.Context(), waits)
	must(t, err)
	r.have(t, bundles)
	_, err = r.CommandRollout(t.Context(), "stable", rollout.Command{Do: rollout.DoAbort, By: "ada"}, "operator")
	must(t, err)
	must(t, r.tickRollouts(t.Context()))
	list, err := r.Rollouts(t.Context(), "stable", 0)
	must(t, err)
	if s := list[0]; s.Commit != "beef" || s.Reason != rollout.NoEligibleNodes || s.Stages[0].Members != 0 {
		t.Errorf("it is of %s, %s, with %d members", s.Commit, s.Reason, s.Stages[0].Members)
	}
}

// queue has the rollout under way not be superseded.
func (r *rig) queue(t *testing.T) {
	t.Helper()
	r.rollouts.mu.Lock()
	defer r.rollouts.mu.Unlock()
	r.rollouts.by["stable"].state.Spec.Supersede = rollout.Queue
}

// TestAWebhookIsAskedBeforeTheFirstStage: nobody has anything before it accepts, and it is told that this is what it is asked.
func TestAWebhookIsAskedBeforeTheFirstStage(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Stages[0].Approve.Ask = rollout.Ask{Of: []string{"board"}}
	s := newStaged(t, spec)
	s.set(200, `{"verdict": "wait", "reason": "it is Friday"}`)
	s.pass(t, 3*time.Minute)
	s.want(t, rollout.Running, rollout.WaitingGate, "board says wait: it is Friday")
	for name, digest := range s.has {
		if digest != current {
			t.Errorf("%s has %s", name, digest)
		}
	}
	if q := s.questions()[0]; !q.Before || q.Stage != "canary" || q.Next != "" || q.Members != 0 {
		t.Errorf("it is asked %+v", q)
	}
	s.set(200, `{"verdict": "accept"}`)
	s.pass(t, 5*time.Minute)
	s.want(t, rollout.Completed, "", "")
}
