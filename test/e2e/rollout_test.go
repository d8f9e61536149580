//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// TestRollout is what becomes of changes in a plant of twenty-three nodes, one after the other, while things go wrong around them.
func TestRollout(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	for _, story := range []struct {
		name string
		tell func(*testing.T)
	}{
		{"good", p.aGoodChange}, {"bad", p.aBadChange}, {"cut and approved", p.theCentreIsCutOff}, {"lost", p.aMachineIsLost},
		{"service away", p.theServiceIsAway}, {"disaster", p.aDisaster}, {"history", p.whatIsRemembered},
	} {
		if !t.Run(story.name, story.tell) {
			t.FailNow() // the next begins where it ended
		}
	}
}

// aGoodChange goes from the trial to half of the plant to all of it by itself.
func (p *plant) aGoodChange(t *testing.T) {
	commit := p.change(t, policy{motd: "two", currency: "USD", rollout: inThree()})
	had := 0
	s := p.rollsOut(t, commit, "is completed", func(s report.RolloutStatus) bool {
		for i, most := range []int{3, 12, nodes} {
			if s.Commit == commit && len(s.Stages) > i && s.Stages[i].State == "open" && had > most {
				t.Errorf("in stage %s %d nodes have it, want at most %d", s.Stages[i].Name, had, most)
			}
		}
		had = len(p.having(t, "two")) // before what may follow is asked
		return s.Phase == rollout.Completed
	})
	var members []int
	for _, st := range s.Stages {
		members = append(members, st.Members)
	}
	if !slices.Equal(members, []int{3, 12, nodes}) || s.Counts[rollout.Healthy] != nodes {
		t.Errorf("the stages had %v nodes; at the end %v", members, s.Counts)
	}
	p.all(t, "two")
	for _, box := range p.boxes {
		box.is(t, check{"echo $(cat /etc/ledger.conf; systemctl is-active ledger)", "currency=USD active"})
	}
}

// aBadChange breaks a service: it stops in the trial, the rest never sees it, and what is said of each node is what it is like.
func (p *plant) aBadChange(t *testing.T) {
	commit := p.change(t, policy{motd: "broken", currency: "euros", rollout: inThree()})
	s := p.rollsOut(t, commit, "is aborted", func(s report.RolloutStatus) bool { return s.Phase == rollout.Aborted })
	if s.Reason != rollout.AbortFailed || s.Counts[rollout.Failed] != 2 {
		t.Errorf("it ends because of %s: %v", s.Reason, s.Counts)
	}
	if err := p.onlyTrial(t, "broken"); err != nil {
		t.Error(err)
	}
	for i, want := range []string{"currency=euros failed", "currency=euros failed", "currency=USD active"} {
		p.boxes[i].is(t, check{"echo $(cat /etc/ledger.conf; systemctl is-active ledger)", want})
	}
	p.rollsOut(t, commit, "has one that is well", func(s report.RolloutStatus) bool { return s.Counts[rollout.Healthy] == 1 })
	said := p.operator(t).Explained(map[string]rollout.Word{"box-1": rollout.Failed, "box-2": rollout.Failed, "box-3": rollout.Pending,
		"node-00": rollout.Healthy, "node-09": rollout.Pending})
	if want := "its turn did not come: the rollout is aborted (abort:failed)"; !strings.Contains(said["box-3"], want) {
		t.Errorf("of box-3 it says %q, want %q", said["box-3"], want)
	}
	for i, want := range []rollout.Why{rollout.WhyAdopted, rollout.WhyAdopted, rollout.WhyStable} { // and so it is told where it is
		if turn := p.boxes[i].status(t).Turn; turn == nil || turn.Why != want {
			t.Errorf("%s says of itself %+v, want %s", p.boxes[i].Name(), turn, want)
		}
	}
}

// whatIsRemembered of all of it says how each ended, also of those after which something newer came.
func (p *plant) whatIsRemembered(t *testing.T) {
	var list []report.RolloutStatus
	if err := p.operator(t).Ask(&list, "rollout", "history", "stable"); err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	var got []string
	for _, s := range slices.Backward(list[1:]) { // the newest goes on
		line := fmt.Sprintf("%s %s", s.Phase, s.Reason)
		if s.Detail != "" {
			line += ": " + s.Detail
		}
		got = append(got, line)
	}
	want := []string{
		"completed done", "superseded newer-bundle: it was aborted (abort:failed): 2 of 3 failed", "completed done",
		"superseded newer-bundle: it was aborted (abort:lost): 1 of 3 lost", "completed done",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the history is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
