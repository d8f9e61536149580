//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// TestCrash kills the agent, and the machine, at the moments that matter.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.up(t)
	n := s.boot(t, "ledger-1")[0]
	n.enrol(t, "role=ledger")
	n.losesPowerWhilePackagesAreInstalled(t)
	n.owesARestartAfterKill(t)
	n.losesPowerInTheMiddleOfARun(t)
	n.skipsWhatDependsOnAFailure(t)
}

// losesPowerWhilePackagesAreInstalled pulls the plug in the middle of the first run.
func (n *node) losesPowerWhilePackagesAreInstalled(t *testing.T) {
	t.Helper()
	n.becomes(t, check{"test -e /var/lib/dpkg/info/openssh-client.list && echo unpacked", "unpacked"})
	if err := n.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if err := n.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("dpkg after the power cut: %s", n.shell(t, "dpkg --audit | grep -c '^ ' || true"))
	n.quiet(t, time.Time{})
	n.isAsDeclared(t)
}

// closeGate makes the next run stand still between the configuration of the service and its restart; it returns once a run
// that was caused by a commit stands there.
func (n *node) closeGate(t *testing.T, from, to string) {
	t.Helper()
	n.quiet(t, time.Now())
	n.MustExec(t, "touch", "/run/gate") // runs stand still from now on, also those that find nothing to do
	n.becomes(t, check{"test -e /run/waiting && echo still", "still"})
	n.site.edit(t, "modules/ledger/module.yaml", "default: "+from, "default: "+to)
	// The run that stands still now is of the old policy. One more is let through.
	n.site.await(t, "the new bundle", func(st report.Status) error {
		if st.Channels[0].Behind != 1 {
			return fmt.Errorf("%+v", st.Channels[0])
		}
		return nil
	})
	n.shell(t, "pkill -f '[w]hile . -e /run/gate' || true; rm -f /run/waiting")
	n.becomes(t, check{"cat /etc/ledger.conf; test -e /run/waiting && echo still", "currency=" + to + "\nstill"})
	n.is(t, check{"cat /run/ledger.started-with", "currency=" + from})
}

// owesARestartAfterKill kills the agent with SIGKILL after it wrote a configuration and before it restarted the service.
func (n *node) owesARestartAfterKill(t *testing.T) {
	t.Helper()
	n.closeGate(t, "EUR", "CHF")
	pid := n.shell(t, "systemctl show -P MainPID ledger")
	if owed := n.status(t).Pending; !slices.Contains(owed, "ledger/service:ledger") {
		t.Errorf("the journal owes %v, want a restart of ledger", owed)
	}
	n.MustExec(t, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", "vigo-agent")
	n.MustExec(t, "rm", "-f", "/run/gate")
	n.becomes(t, check{"cat /run/ledger.started-with", "currency=CHF"})
	n.quiet(t, time.Time{})
	if now := n.shell(t, "systemctl show -P MainPID ledger"); now == pid {
		t.Error("ledger was not restarted")
	}
	n.is(t, check{"systemctl is-active ledger; systemctl show -P NRestarts vigo-agent", "active\n1"})
	if owed := n.status(t).Pending; len(owed) > 0 {
		t.Errorf("the journal owes %v after the restart", owed)
	}
	r := n.result(t, "ledger/service:ledger", report.OK)
	if r.Refresh != "done" {
		t.Errorf("the report of the restart is %+v", r)
	}
}

// losesPowerInTheMiddleOfARun pulls the plug at the same moment.
func (n *node) losesPowerInTheMiddleOfARun(t *testing.T) {
	t.Helper()
	n.closeGate(t, "CHF", "NOK")
	if err := n.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if err := n.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.quiet(t, time.Now())
	n.is(t, check{"cat /etc/ledger.conf /run/ledger.started-with", "currency=NOK\ncurrency=NOK"},
		check{"find " + stateDir + " -name '*.damaged' -o -name '.*' -type f", ""})
	n.isAsDeclared(t)
	if owed := n.status(t).Pending; len(owed) > 0 {
		t.Errorf("the journal owes %v", owed)
	}
}

// skipsWhatDependsOnAFailure makes a configuration invalid that the service requires, in the commit that changes another
// that notifies it: what does not depend on it is converged, and the restart is owed until it can be made.
func (n *node) skipsWhatDependsOnAFailure(t *testing.T) {
	t.Helper()
	n.quiet(t, time.Now())
	const module = "modules/ledger/module.yaml"
	good := readFile(t, n.site.path("policy", module))
	bad := strings.Replace(good, "default: NOK", "default: SEK", 1)
	bad = strings.Replace(bad, "    enabled: true\n", "    enabled: true\n    requires: [file:/etc/ledger.limits]\n", 1)
	bad = strings.Replace(bad, "resources:\n", `resources:
  - file: /etc/ledger.limits
    content: "limit=1\n"
    validate: grep -q limit=2 {}
  - directory: /srv/ledger
    requires: [service:ledger]
  - file: /srv/ledger/today
    content: "open\n"
`, 1)
	bad += "  - file: /etc/ledger.footer\n    content: \"-- \\n\"\n"
	n.site.commit(t, "ledger: a limit that is refused", map[string]string{module: bad})

	failed := n.result(t, "ledger/file:/etc/ledger.limits", report.Failed)
	if failed.Reason != "writing /etc/ledger.limits: validating: grep refused the new content with status 1" {
		t.Errorf("the reason of the failure is %q", failed.Reason)
	}
	n.result(t, "ledger/file:/etc/ledger.conf", report.Changed)
	service := n.result(t, "ledger/service:ledger", report.Skipped)
	if service.Reason != "requires ledger/file:/etc/ledger.limits, which failed" || service.Refresh != "pending" {
		t.Errorf("the service is %+v", service)
	}
	const cause = "which was skipped because of ledger/file:/etc/ledger.limits"
	for _, id := range []string{"ledger/directory:/srv/ledger", "ledger/file:/srv/ledger/today"} {
		if r := n.result(t, id, report.Skipped); !strings.Contains(r.Reason, cause) {
			t.Errorf("%s is skipped for the reason %q, want %q in it", id, r.Reason, cause)
		}
	}
	n.is(t,
		check{"test -e /etc/ledger.limits || test -e /srv/ledger || echo absent", "absent"},
		check{"cat /etc/ledger.footer /etc/ledger.conf /run/ledger.started-with", "-- \ncurrency=SEK\ncurrency=NOK"},
	)
	st := n.site.await(t, "the failure in the status", func(st report.Status) error {
		return hasProblem(st, n.Name(), "failed", "ledger/file:/etc/ledger.limits: ")
	})
	if len(st.Worst) != 1 || st.Worst[0] != (report.Worst{Module: "ledger", Nodes: 1}) {
		t.Errorf("the worst modules are %+v", st.Worst)
	}
	if owed := n.status(t).Pending; !slices.Equal(owed, []string{"ledger/service:ledger"}) {
		t.Errorf("the journal owes %v", owed)
	}

	n.site.commit(t, "ledger: a limit that is accepted", map[string]string{module: strings.Replace(bad, `"limit=1\n"`, `"limit=2\n"`, 1)})
	n.becomes(t, check{"cat /etc/ledger.limits /run/ledger.started-with /srv/ledger/today", "limit=2\ncurrency=SEK\nopen"})
	n.quiet(t, time.Now())
	n.site.await(t, "no problem", func(st report.Status) error {
		if !st.Healthy() {
			return errors.New(st.Problems[0].Text)
		}
		return nil
	})
}
