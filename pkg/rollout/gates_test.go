package rollout_test

import (
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// asking is a scene of ten nodes whose canary is healthy, and whose gate asks slo and board.
func asking(t *testing.T, deadline time.Duration) *scene {
	t.Helper()
	spec := threeStages()
	spec.Stages[0].Gate.Ask = rollout.Ask{Of: []string{"slo", "board"}, Deadline: deadline}
	s := newScene(t, 10, spec)
	for s.state.Reason != rollout.WaitingGate && s.now.Before(epoch.Add(time.Hour)) {
		s.pass(interval, nil)
	}
	s.want(rollout.Running, rollout.WaitingGate, 0)
	return s
}

// say answers for one of those who are asked now.
func (s *scene) say(of string, v rollout.Verdict, reason string) {
	s.t.Helper()
	for _, q := range s.state.Questions() {
		if q.Of == of {
			s.answers = append(s.answers, rollout.Answer{Rollout: q.Rollout, Stage: q.Stage, Of: of, Asked: q.Asked, Verdict: v, Reason: reason, At: s.now})
			return
		}
	}
	s.t.Fatalf("%s is not asked", of)
}

// TestAllMustAccept: one that accepts is not asked again, and the stage passes when the last of them does.
func TestAllMustAccept(t *testing.T) {
	t.Parallel()
	s := asking(t, 0)
	s.say("slo", rollout.Accept, "")
	s.say("board", rollout.Wait, "the meeting is at ten")
	s.pass(interval, nil)
	s.want(rollout.Running, rollout.WaitingGate, 0)
	if q := s.state.Questions(); len(q) != 1 || q[0].Of != "board" || s.state.Detail != "board says wait: the meeting is at ten" {
		t.Errorf("asked are %v, because %q", q, s.state.Detail)
	}
	s.say("board", rollout.Accept, "")
	s.pass(interval, nil)
	s.want(rollout.Running, "", 1)
}

// TestABoardIsAskedBeforeAStageBegins: nobody has the candidate before it accepts, also of the first stage; and that is not yet that the
// stage may end.
func TestABoardIsAskedBeforeAStageBegins(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages[0].Approve = rollout.Approve{Count: 1, Ask: rollout.Ask{Of: []string{"board"}}}
	spec.Stages[0].Gate.Ask = rollout.Ask{Of: []string{"board"}}
	s := newScene(t, 10, spec)
	s.pass(10*time.Minute, nil)
	s.want(rollout.Running, rollout.WaitingApproval, 0)
	if q := s.state.Questions(); len(q) != 0 {
		t.Errorf("asked are %v before somebody agrees", q)
	}
	s.do(rollout.Command{Do: rollout.DoApprove, By: "ann"})
	s.pass(10*time.Minute, nil)
	s.want(rollout.Running, rollout.WaitingGate, 0)
	if q := s.state.Questions(); len(q) != 1 || !q[0].Before || len(s.with()) != 0 || len(s.state.Signed().Directive.Admit) != 0 {
		t.Errorf("asked are %v, %d have it", q, len(s.with()))
	}
	s.say("board", rollout.Accept, "")
	s.pass(10*time.Minute, nil)
	s.want(rollout.Running, rollout.WaitingGate, 0)
	if q := s.state.Questions(); len(q) != 1 || q[0].Before || len(s.with()) == 0 {
		t.Errorf("asked are %v, %d have it", q, len(s.with()))
	}
	s.say("board", rollout.Accept, "")
	s.pass(10*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestWhoCannotBeAskedDoesNotAccept: silence, errors and answers that nobody understands wait, and pause at the deadline with
// what they said.
func TestWhoCannotBeAskedDoesNotAccept(t *testing.T) {
	t.Parallel()
	s := asking(t, 10*time.Minute)
	s.say("slo", rollout.Unasked, "503")
	s.say("board", "yes", "")
	s.pass(9*time.Minute, nil)
	s.want(rollout.Running, rollout.WaitingGate, 0)
	s.pass(3*time.Minute, nil)
	s.want(rollout.Paused, rollout.ProgressDeadline, 0)
	if !strings.Contains(s.state.Detail, "slo cannot be asked: 503") || !strings.Contains(s.state.Detail, "board cannot be asked") {
		t.Errorf("it says %q", s.state.Detail)
	}
	s.do(rollout.Command{Do: rollout.DoResume, By: "ann"})
	s.pass(5*time.Minute, nil)
	s.want(rollout.Running, rollout.WaitingGate, 0)
	if len(s.state.Questions()) != 2 {
		t.Errorf("after the pause %v are asked, want both", s.state.Questions())
	}
}

// TestWhoRefusesAborts, as on_abort says, whatever the others say.
func TestWhoRefusesAborts(t *testing.T) {
	t.Parallel()
	s := asking(t, 0)
	s.say("slo", rollout.Accept, "")
	s.say("board", rollout.Refuse, "errors went up by 3 %")
	s.pass(interval, nil)
	s.want(rollout.Aborted, rollout.AbortGate("board"), 0)
	if s.state.Detail != "errors went up by 3 %" {
		t.Errorf("it says %q", s.state.Detail)
	}
}

// TestAnAnswerIsOfItsQuestion: who accepted what was there before a member failed has not accepted what is there now.
func TestAnAnswerIsOfItsQuestion(t *testing.T) {
	t.Parallel()
	s := asking(t, 0)
	s.say("slo", rollout.Accept, "")
	s.pass(interval, nil)
	s.say("board", rollout.Accept, "") // on its way
	late := s.answers
	s.answers = nil
	s.with()[0].Failed = 1
	s.pass(interval, nil)
	s.want(rollout.Running, rollout.Applying, 0)
	s.with()[0].Failed = 0
	s.pass(5*time.Minute, nil)
	s.answers = late
	s.pass(interval, nil)
	s.want(rollout.Running, rollout.WaitingGate, 0)
	if len(s.state.Questions()) != 2 {
		t.Errorf("%v are asked, want both again", s.state.Questions())
	}
}

// TestACheckThatCannotBeLookedAt fails nobody and lets nobody become healthy, whatever the reports are.
func TestACheckThatCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Checks = []rollout.Check{{Name: "load", Expr: "load.one <= control(load.one)", For: 2}}
	s := newScene(t, 10, spec)
	s.unsure = map[string]string{"load": "nobody is left to compare with"}
	s.pass(20*time.Minute, nil)
	s.want(rollout.Running, rollout.CheckUnknown, 0)
	if s.state.Counts[rollout.Healthy] != 0 || s.state.Counts[rollout.Applied] != 2 {
		t.Errorf("want two that are watched: %v", s.state.Counts)
	}
	s.pass(time.Hour, nil)
	s.want(rollout.Paused, rollout.ProgressDeadline, 0)
	if !strings.Contains(s.state.Detail, "nobody is left") {
		t.Errorf("it says %q", s.state.Detail)
	}
	s.unsure = nil
	s.do(rollout.Command{Do: rollout.DoResume, By: "ann"})
	s.pass(30*time.Minute, nil)
	s.want(rollout.Completed, rollout.Done, 3)
}

// TestALimitOfACheck: those that fail it alone do not count as failed, and its own limit ends the rollout.
func TestALimitOfACheck(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Checks = []rollout.Check{{Name: "load", Expr: "load.one < 4", For: 1, Abort: rollout.Limit{Percent: 40, Min: 8}}}
	s := newScene(t, 100, spec)
	s.pass(90*time.Second, nil) // 20 have it
	fail := func(n int) {
		for _, node := range s.with()[:n] {
			node.Bad = 1
		}
		s.pass(2*interval, nil)
	}
	fail(7)
	s.want(rollout.Running, "", 0)
	if s.state.Counts[rollout.Failed] != 7 {
		t.Errorf("want seven that failed: %v", s.state.Counts)
	}
	fail(8)
	s.want(rollout.Aborted, rollout.AbortCheck("load"), 0)
}

// TestABootIsConfirmed: a node that was started anew shows nothing before it has reported a run after that (hawkbit#3185), and
// its soak begins again.
func TestABootIsConfirmed(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10, threeStages())
	for i := range s.nodes {
		s.nodes[i].Boot, s.nodes[i].Run = "a", "1"
	}
	s.pass(90*time.Second, nil)
	for _, n := range s.with() {
		n.Boot = "b" // and it tells of the run before
	}
	s.pass(20*time.Minute, nil)
	s.want(rollout.Running, rollout.Soaking, 0)
	for _, n := range s.with() {
		n.Run = "2"
	}
	s.pass(interval, nil)
	s.want(rollout.Running, rollout.Soaking, 0)
	s.pass(2*time.Minute, nil)
	s.want(rollout.Running, "", 1)
}

// TestOnePersonAgreesOnce, by a command and by a commit.
func TestOnePersonAgreesOnce(t *testing.T) {
	t.Parallel()
	spec := threeStages()
	spec.Stages[0].Approve = rollout.Approve{Count: 2, File: "rollouts/approvals/stable.yaml"}
	s := newScene(t, 10, spec)
	s.step()
	for _, by := range []string{"ann", "Ann@example.com", "deploy,ann@example.com"} {
		s.do(rollout.Command{Do: rollout.DoApprove, By: by})
	}
	s.want(rollout.Running, rollout.WaitingApproval, 0)
	s.do(rollout.Command{Do: rollout.DoApprove, By: "bob@example.com"})
	s.want(rollout.Running, "", 0)
	if s.state.Reason == rollout.WaitingApproval {
		t.Errorf("two have agreed, and it waits: %+v", s.state.Stages[0])
	}
}
