//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

// theCentreIsCutOff from the hub while the trial soaks: nothing is counted and nothing widens, and the nodes go on to keep what they
// have. When the cable is mended it goes on, as far as somebody has to agree.
func (p *plant) theCentreIsCutOff(t *testing.T) {
	spec := strings.Replace(inTwo("15s"), "rest, size: 100%", "rest, size: 100%, approve: {count: 1}, gate: {soak: 3s}", 1)
	commit := p.change(t, policy{motd: "three", currency: "CHF", rollout: spec})
	p.rollsOut(t, commit, "is watched", func(s report.RolloutStatus) bool { return s.Counts[rollout.Applied] == 3 })
	if err := p.host.CutLink(); err != nil {
		t.Fatal(err)
	}
	p.rollsOut(t, commit, "is frozen", func(s report.RolloutStatus) bool { return s.Reason == rollout.EvidenceBlind })
	for name, said := range p.operator(t).Explained(map[string]rollout.Word{"box-1": rollout.Applied, "box-3": rollout.Offline, "node-09": rollout.Offline}) {
		if want := "too many nodes went silent at once: nothing is counted"; !strings.Contains(said, want) {
			t.Errorf("of %s it says %q, want %q", name, said, want)
		}
	}
	p.boxes[2].shell(t, "echo vandal >/etc/motd")
	p.boxes[2].becomes(t, check{"cat /etc/motd", p.text})
	programs.Stays(t, 8*time.Second, "while the cable is cut", func() error {
		s := p.operator(t).Rollout()
		if s.Phase != rollout.Running || s.Reason != rollout.EvidenceBlind || s.Counts[rollout.Lost] != 0 {
			return fmt.Errorf("it is %s (%s), %v", s.Phase, s.Reason, s.Counts)
		}
		return p.onlyTrial(t, "three")
	})
	if err := p.host.RestoreLink(); err != nil {
		t.Fatal(err)
	}
	restored := time.Now()
	p.rollsOut(t, commit, "waits for somebody", func(s report.RolloutStatus) bool { return s.Reason == rollout.WaitingApproval })
	t.Logf("an approval is asked %s after the cable was mended", time.Since(restored).Round(100*time.Millisecond))
	p.boxes[2].result(t, "motd/file:/etc/motd", report.Corrected) // while it was cut
	if err := p.onlyTrial(t, "three"); err != nil {
		t.Error(err)
	}
	p.operator(t).Run("rollout", "approve", "stable")
	s := p.rollsOut(t, commit, "is completed", func(s report.RolloutStatus) bool { return s.Phase == rollout.Completed })
	if got := s.Stages[1].Approved; len(got) != 1 {
		t.Errorf("the last stage was approved by %v", got)
	}
	p.all(t, "three")
}

// aMachineIsLost: its power goes when it has taken what is new. That counts against it, while one that was off before does not.
func (p *plant) aMachineIsLost(t *testing.T) {
	before := p.text
	p.hosts.Kill("node-19")
	commit := p.change(t, policy{motd: "four", currency: "GBP", rollout: inTwo("60s")})
	p.rollsOut(t, commit, "is watched", func(s report.RolloutStatus) bool { return s.Counts[rollout.Applied] == 3 })
	box := p.boxes[0]
	if err := box.PowerCut(); err != nil {
		t.Fatal(err)
	}
	s := p.rollsOut(t, commit, "is aborted", func(s report.RolloutStatus) bool { return s.Phase == rollout.Aborted })
	if s.Reason != rollout.AbortLost || s.Counts[rollout.Lost] != 1 || s.Counts[rollout.Offline] != 1 {
		t.Errorf("it ends because of %s: %v", s.Reason, s.Counts)
	}
	p.operator(t).Explained(map[string]rollout.Word{"box-1": rollout.Lost, "node-19": rollout.Offline, "box-3": rollout.Pending})
	if got := p.having(t, "four"); !slices.Equal(got, trial[1:]) {
		t.Errorf("%v have it", got)
	}
	if err := box.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.hosts.Run(p.t, "node-19")
	p.present(t, "box-1", report.Live)
	p.present(t, "node-19", report.Live)
	// Both are as they were: nobody is sent back by an abort.
	box.is(t, check{"echo $(cat /etc/motd /etc/ledger.conf; systemctl is-active ledger)", "four currency=GBP active"})
	if got := p.hosts.Read(t, "node-19", motd); got != before {
		t.Errorf("node-19 has %q", got)
	}
	p.rollsOut(t, commit, "knows that it is back", func(s report.RolloutStatus) bool { return s.Counts[rollout.Lost] == 0 })
	p.operator(t).Await("it counts again", func() error {
		if said := p.operator(t).Run("rollout", "explain", "box-1"); !strings.Contains(said, "is watched: well for") {
			return errors.New(said)
		}
		return nil
	})
}

// theServiceIsAway for the whole of a stage, twice. What nobody can say is well goes no further; who was let in goes on, also a
// machine that was off when it was.
func (p *plant) theServiceIsAway(t *testing.T) {
	late := p.boxes[2]
	if err := late.PowerCut(); err != nil {
		t.Fatal(err)
	}
	commit := p.change(t, policy{motd: "five", currency: "JPY", rollout: inTwo("6s")})
	eventually(t, "the trial has it", func(context.Context) error { return p.onlyTrial(t, "five") })
	p.service.End(syscall.SIGKILL)
	programs.Stays(t, 12*time.Second, "nobody can say that the trial is well", func() error { return p.onlyTrial(t, "five") })
	p.report(t)
	eventually(t, "the last stage has let nodes in", func(context.Context) error { // by a pointer, which the controller signs
		if got := p.having(t, "five"); len(got) == len(trial) {
			return errors.New("nobody but the trial")
		}
		return nil
	})
	p.service.End(syscall.SIGKILL)
	t.Logf("when the service went away, %d had it", len(p.having(t, "five")))
	eventually(t, "five on all but one", func(context.Context) error {
		if got := p.having(t, "five"); len(got) != nodes-1 {
			return errors.New(strings.Join(got, " "))
		}
		return nil
	})
	if err := late.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	late.becomes(t, check{"echo $(cat /etc/motd /etc/ledger.conf; systemctl is-active ledger)", "five currency=JPY active"})
	p.report(t)
	s := p.rollsOut(t, commit, "is completed", func(s report.RolloutStatus) bool { return s.Phase == rollout.Completed })
	if s.Counts[rollout.Healthy] != nodes {
		t.Errorf("at its end there are %v", s.Counts)
	}
}
