//go:build linux

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
)

// ordered is how systemd says that a machine is to be booted in a while.
const ordered = "test -e /run/systemd/shutdown/scheduled && echo ordered || echo none"

// TestRebootsInTurn has an update on two machines that need each other ask for a reboot in the same moment: one goes down, and the
// other waits until that one is back and well, though the agent is killed in between.
func TestRebootsInTurn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(t, "git", "-C", s.path("policy"), "rm", "-q", "-r", "roles", "modules", "data")
	s.commit(t, "Turns", map[string]string{
		"fleet.yaml":     "kind: Fleet\nname: acme\ninterval: 1s\nreboots:\n  - {name: databases, when: role == \"db\", at_once: 1, lease: 5m}\n",
		"roles/all.yaml": "kind: Role\nmodules: [turns]\n", "modules/turns/module.yaml": "kind: Module\nresources:\n  - reboot: for updates\n",
	})
	s.up(t)
	nodes := s.boot(t, "db-1", "db-2")
	for _, n := range nodes {
		// A container has the uptime of its host, which may be young. It has its own again after the reboot.
		n.shell(t, "echo 90000.00 1.00 >/run/uptime && mount --bind /run/uptime /proc/uptime && touch /run/reboot-required")
		n.enrol(t, "role=db")
	}
	states := func(want ...string) []report.Reboot {
		t.Helper()
		var list []report.Reboot
		eventually(t, fmt.Sprint("reboots: ", want), func(ctx context.Context) error {
			list = nil
			if err := s.vigo(ctx, &list, "reboot", "list"); err != nil {
				return err
			}
			var got []string
			for _, r := range list {
				got = append(got, r.State)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				return fmt.Errorf("they are %+v", list)
			}
			return nil
		})
		return list
	}
	list := states(report.Reboots, report.RebootWaits)
	first, second := nodes[0], nodes[1]
	if list[0].State != report.Reboots {
		first, second = second, first
	}
	first.becomes(t, check{ordered, "ordered"})
	second.is(t, check{ordered, "none"})
	if r := second.result(t, "turns/reboot:for updates", report.Skipped); !strings.Contains(r.Reason, "1 of 1 place of databases taken by "+first.Name()) {
		t.Errorf("it waits because %q", r.Reason)
	}
	first.MustExec(t, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", "vigo-agent")
	if err := first.Reboot(t.Context()); err != nil { // as the order does a minute later
		t.Fatal(err)
	}
	second.becomes(t, check{ordered, "ordered"})
	if list := states(report.Reboots); list[0].Node != second.Name() {
		t.Errorf("%+v", list)
	}
	var events []report.Event
	if err := s.vigo(t.Context(), &events, "events"); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range events {
		if strings.HasPrefix(e.Kind, "reboot.") {
			told = append(told, e.Kind+" "+e.Node)
		}
	}
	if want := []string{"reboot.granted " + first.Name(), "reboot.back " + first.Name(), "reboot.granted " + second.Name()}; !slices.Equal(told, want) {
		t.Errorf("told: %v, want %v", told, want)
	}
	second.MustExec(t, "shutdown", "-c")
	second.MustExec(t, "rm", "/run/reboot-required")
	s.run(t, s.vigoBin(), "reboot", "release", second.Name())
	states()
}
