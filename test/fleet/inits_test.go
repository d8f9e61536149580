//go:build linux

package fleet_test

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// daemonScript makes a service "demo" for the init system that it is told: one that does not start while /etc/demo.broken is
// there, and leaves the number of its process in /run/demod.
//
//go:embed testdata/inits/daemon.sh
var daemonScript string

// TestOtherInitSystems has booted machines with OpenRC, runit and SysV be kept in their state, from the facts to the reboot.
func TestOtherInitSystems(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	bin := os.Getenv("VIGO_BIN")
	if bin == "" {
		t.Fatal("set VIGO_BIN to the folder of the built programs (make build)")
	}
	names := []string{"openrc", "runit", "sysv"}
	var options []fleet.Options
	for _, name := range names {
		options = append(options, fleet.Options{Name: name, Init: name})
	}
	for i, m := range fleet.StartAll(t, options...) {
		m.CopyIn(t, filepath.Join(bin, "vigo-agent"), "/usr/local/bin/vigo-agent", 0o755)
		t.Run(names[i], func(t *testing.T) {
			if facts := m.MustExec(t, "vigo-agent", "traits", "os", "services"); !strings.Contains(facts, "init: "+names[i]+"\n") || !strings.Contains(facts, "cron:") {
				t.Errorf("the facts are\n%s", facts)
			}
			m.MustExec(t, "/bin/sh", "-ec", daemonScript, "sh", names[i])
			t.Run("service", func(t *testing.T) { keptRunning(t, m) })
			t.Run("system", func(t *testing.T) { systemOf(t, m) })
			t.Run("agent", func(t *testing.T) { agentStays(t, m, names[i]) })
			t.Run("reboot", func(t *testing.T) { rebooted(t, m) })
		})
	}
}

const initsDir = "/srv/inits"

const demoService = "  - service: demo\n    running: true\n    enabled: true\n"

// runningDemo waits until the daemon of the service runs, and returns the number of its process.
func runningDemo(t *testing.T, m *fleet.Machine) string {
	t.Helper()
	var id string
	waitFor(t, "the daemon", func(ctx context.Context) error {
		out, stderr, code, err := m.Exec(ctx, "/bin/sh", "-ec", "kill -0 $(cat /run/demod); cat /run/demod")
		if err == nil && code != 0 {
			err = errors.New(stderr)
		}
		id = strings.TrimSpace(out)
		return err
	})
	return id
}

// keptRunning takes a service through what may happen to it.
func keptRunning(t *testing.T, m *fleet.Machine) {
	m.MustExec(t, "touch", "/etc/demo.broken")
	policyOf(t, m, initsDir, demoService)
	waitFor(t, "a run that finds a service that does not start", func(context.Context) error { // it may have a process for a moment
		run, _ := applyOn(t, m, initsDir)
		if run.Counts.Failed != 1 || !strings.Contains(run.Results[0].Reason, "starting service demo: ") {
			return errors.New(brief(run))
		}
		return nil
	})
	m.MustExec(t, "rm", "/etc/demo.broken")
	if run, code := applyOn(t, m, initsDir); code != 0 {
		t.Errorf("after it was mended: %s", brief(run))
	}
	first := runningDemo(t, m)
	if run, _ := applyOn(t, m, initsDir); !run.Quiet() {
		t.Errorf("a run after that: %s", brief(run))
	}

	policyOf(t, m, initsDir, demoService+"  - file: /etc/demo.conf\n    content: new\n    notify: [\"service:demo\"]\n")
	if run, code := applyOn(t, m, initsDir); code != 0 || run.Counts.Refreshed != 1 {
		t.Errorf("a change of its configuration: %s", brief(run))
	}
	second := runningDemo(t, m)
	if first == second {
		t.Errorf("the service was not started again after a change: process %s", first)
	}

	m.MustExec(t, "kill", "-9", second)
	if run, code := applyOn(t, m, initsDir); code != 0 {
		t.Errorf("after the daemon was killed: %s", brief(run))
	}
	if third := runningDemo(t, m); third == second {
		t.Errorf("process %s was killed and runs", second)
	}
}

// systemOf keeps what other types than service do, where systemd has programs of its own for it.
func systemOf(t *testing.T, m *fleet.Machine) {
	converged(t, m, initsDir, "  - hostname: kept.example.com\n  - timezone: Europe/Amsterdam\n  - locale: C.UTF-8\n    default: true\n"+
		"  - cron: nightly\n    command: /bin/true\n    schedule: \"5 4 * * *\"\n  - sysctl: net.ipv4.ip_default_ttl\n    value: 77\n")
	shell(t, m, `test "$(hostname)" = kept.example.com; test "$(date +%Z)" != UTC; grep -q /bin/true -r /etc/cron.d`)
	policyOf(t, m, initsDir, "  - systemd_unit: demo.service\n    content: |\n      [Service]\n      ExecStart=/bin/true\n")
	if run, _ := applyOn(t, m, initsDir); run.Counts.Failed != 1 || !strings.Contains(run.Results[0].Reason, "systemd") {
		t.Errorf("a unit of systemd: %s", brief(run))
	}
}

// agentStays starts the agent as its command unit says, and sees that it is kept running. What it starts is a program that does
// nothing: the script is what is tried.
func agentStays(t *testing.T, m *fleet.Machine, init string) {
	m.WriteFile(t, "/usr/local/bin/agent", "#!/bin/sh\necho \"$1 $VIGO_TEST $$\" >/run/agent\nexec sleep 1000000\n", 0o755)
	m.WriteFile(t, "/etc/default/vigo-agent", "VIGO_TEST=set\n", 0o644)
	path := "/etc/init.d/vigo-agent"
	if init == "runit" {
		path = "/etc/sv/vigo-agent/run"
	}
	m.WriteFile(t, path, m.MustExec(t, "vigo-agent", "unit", "--init", init, "--binary", "/usr/local/bin/agent"), 0o755)
	converged(t, m, initsDir, "  - service: vigo-agent\n    running: true\n    enabled: true\n")
	agentRuns(t, m)
	shell(t, m, "read -r _ _ id </run/agent; mv /run/agent /run/agent.before; kill -9 \"$id\"")
	agentRuns(t, m)
}

// agentRuns waits until the program that stands for the agent runs, with what it should be given.
func agentRuns(t *testing.T, m *fleet.Machine) {
	t.Helper()
	waitFor(t, "the agent", func(ctx context.Context) error {
		_, stderr, code, err := m.Exec(ctx, "/bin/sh", "-ec", `read -r verb set id </run/agent; test "$verb $set" = "run set"; kill -0 "$id"`)
		if err == nil && code != 0 {
			err = errors.New("it does not run: " + stderr)
		}
		return err
	})
}

// rebooted has the machine reboot, without the minute that it would wait, and sees what runs then.
func rebooted(t *testing.T, m *fleet.Machine) {
	before := bootID(t, m)
	policyOf(t, m, initsDir, demoService+"  - reboot: for updates\n    at_most_every: 10m\n")
	m.MustExec(t, "touch", "/run/reboot-required")
	if run, code := applyOn(t, m, initsDir); code != 0 || run.Counts.Changed+run.Counts.Corrected != 1 {
		t.Fatalf("a reboot is due: %s", brief(run))
	}
	if run, _ := applyOn(t, m, initsDir); !run.Quiet() {
		t.Errorf("a reboot is ordered: %s", brief(run))
	}
	m.MustExec(t, "/bin/sh", "-ec", `pkill -x sleep -P "$(cat /run/vigo-reboot.pid)"`)
	if err := m.WaitReboot(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	runningDemo(t, m)
	agentRuns(t, m)
	run, _ := applyOn(t, m, initsDir)
	for _, r := range run.Results {
		if r.Outcome != report.OK {
			t.Errorf("after the reboot: %s", brief(run))
		}
	}
}
