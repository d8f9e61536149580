package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/report"
)

// desk gives turns to reboot.
type desk struct {
	asks    []lease.Ask
	granted bool
	away    error
}

func (d *desk) AskReboot(_ context.Context, a lease.Ask) (lease.Answer, error) {
	d.asks = append(d.asks, a)
	return lease.Answer{Granted: d.granted, Why: "1 of 1 place of web site=ams taken by web-2"}, d.away
}

// inTurns is a policy whose nodes reboot in turn.
func inTurns(unreachable string) map[string]string {
	return map[string]string{"fleet.yaml": "kind: Fleet\nname: lab\nchannels:\n  main: {nodes: role == \"web\"}\nlabels: [role]\nreboots:\n" +
		"  - {name: db, when: role == \"db\", at_once: 2}\n  - {name: web, per: [site], at_once: 10%, lease: 20m, unreachable: " + unreachable + "}\n",
		"modules/motd/module.yaml": "kind: Module\nresources:\n  - reboot: for updates\n"}
}

// A node asks for its turn as the policy says. While it has none, it waits, and that is no failure; nothing is rebooted when
// nobody can be asked, unless the policy says so.
func TestANodeWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		desk   *desk
		says   string
	}{
		"its turn has not come":          {"wait", &desk{}, "it waits for its turn to reboot: 1 of 1 place of web site=ams taken by web-2"},
		"nobody answers":                 {"wait", &desk{away: errors.New("no route")}, "it cannot ask for its turn to reboot among web site="},
		"its turn, and it cannot":        {"wait", &desk{granted: true}, "running shutdown"},
		"nobody answers, and it may":     {"reboot", &desk{away: errors.New("no route")}, "running shutdown"},
		"it may, and it is not its turn": {"reboot", &desk{}, "it waits for its turn to reboot"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for file, text := range map[string]string{"run/reboot-required": "", "proc/uptime": "90000.00 1.00\n"} {
				path := filepath.Join(r.root, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			r.publish(motdPolicy("", inTurns(c.policy)))
			run := r.once(r.start(func(a *Config) { a.Leaser = c.desk }))
			if len(run.Results) != 1 || !strings.Contains(run.Results[0].Reason, c.says) {
				t.Fatalf("%+v\n%s", run.Results, r.logged)
			}
			if waits := !strings.Contains(c.says, "shutdown"); waits != (run.Results[0].Outcome == report.Skipped) {
				t.Errorf("outcome %s", run.Results[0].Outcome)
			}
			ask := c.desk.asks[0]
			if ask.Node != "web-1" || ask.Boot == "" || ask.Group != "web site=" || ask.AtOnce.Percent != 10 || ask.Term != 20*time.Minute || ask.Delay != time.Minute {
				t.Errorf("%+v", ask)
			}
			if back := c.desk.asks[len(c.desk.asks)-1].Back; back != strings.Contains(c.says, "shutdown") {
				t.Errorf("gives its place back: %t", back)
			}
			in := r.service.last(t)
			if in.Boot != ask.Boot || in.Facets[report.RebootsTrait] == "" {
				t.Errorf("the service is not told of the boot and the group: %+v", in)
			}
		})
	}
}

// A run without a service cannot ask, so it does not reboot a node that takes turns.
func TestARunAloneDoesNotReboot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("", inTurns("wait")))
	a := r.start()
	r.once(a)
	h := a.NewHost()
	h.Turns = a.turns()
	err := h.Turns.Reboot(t.Context(), "an update", time.Minute)
	if wait, is := errors.AsType[*host.Wait](err); !is || !strings.Contains(wait.Reason, "this run has no service to ask") {
		t.Error(err)
	}
	if err := (turns{log: slog.New(slog.DiscardHandler), find: a.turns().(turns).find}).Back(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestABootHasAName(t *testing.T) {
	t.Parallel()
	clock := func(id string) guard.Clock {
		return func() (string, time.Duration, error) { return id, time.Hour, nil }
	}
	if got := bootOf(clock("a")); len(got) != 16 || got != bootOf(clock("a")) || got == bootOf(clock("b")) {
		t.Errorf("%q", got)
	}
	if got := bootOf(func() (string, time.Duration, error) { return "", 0, errors.New("no") }); got != "" {
		t.Errorf("%q", got)
	}
}
