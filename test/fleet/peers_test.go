//go:build linux

package fleet_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// The classes of mistakes that users of the peers report and that need a machine; the others are in test/peers.

// bugSite puts a policy with these resources on a machine.
func bugSite(t *testing.T, m *fleet.Machine, dir, resources string) {
	t.Helper()
	m.WriteFile(t, dir+"/fleet.yaml", "kind: Fleet\nname: bugs\n", 0o644)
	m.WriteFile(t, dir+"/roles/all.yaml", "kind: Role\nmodules: [case]\n", 0o644)
	m.WriteFile(t, dir+"/modules/case/module.yaml", "kind: Module\nresources:\n"+resources, 0o644)
}

// pickyUnit only runs while its configuration is good.
const pickyUnit = `[Service]
ExecStart=/bin/sh -c "grep -q good /srv/picky.conf && exec sleep 1000; exit 7"
[Install]
WantedBy=multi-user.target
`

// Salt called a service fine that could not be restarted (salt#43008).
func TestBug03AFailedRestartIsCalledFine(t *testing.T) {
	fleet.Require(t)
	m := startWithAgent(t, "bug03")
	m.WriteFile(t, "/etc/systemd/system/picky.service", pickyUnit, 0o644)
	m.WriteFile(t, "/srv/picky.conf", "good\n", 0o644)
	shell(t, m, "systemctl daemon-reload && systemctl start picky")
	const policy = "  - file: /srv/picky.conf\n    content: WORDS\n    notify: service:picky\n  - service: picky\n"
	bugSite(t, m, "/srv/bug", strings.ReplaceAll(policy, "WORDS", "bad"))
	for range 2 { // it is still owed in the next run
		run, code := applyOn(t, m, "/srv/bug")
		if code != 3 || len(run.Results) == 0 {
			t.Fatalf("exit status %d, %s", code, brief(run))
		}
		last := run.Results[len(run.Results)-1]
		if last.ID != "case/service:picky" || !strings.Contains(last.Reason+last.Refresh, "restarting service picky") {
			t.Errorf("the service: %+v", last)
		}
	}
	bugSite(t, m, "/srv/bug", strings.ReplaceAll(policy, "WORDS", "good"))
	if run, code := applyOn(t, m, "/srv/bug"); code != 0 || run.Counts.Refreshed != 1 {
		t.Errorf("mended: exit status %d, %s", code, brief(run))
	}
	shell(t, m, "systemctl is-active picky")
}

// Salt does not restart a service of which something else changed in the same run (salt#59688, #14183).
func TestBug04ARestartIsSwallowedByAnotherChange(t *testing.T) {
	fleet.Require(t)
	m := startWithAgent(t, "bug04")
	m.WriteFile(t, "/etc/systemd/system/picky.service", pickyUnit, 0o644)
	m.WriteFile(t, "/srv/picky.conf", "good 1\n", 0o644)
	shell(t, m, "systemctl daemon-reload && systemctl start picky")
	before := m.MustExec(t, "systemctl", "show", "-P", "MainPID", "picky")
	bugSite(t, m, "/srv/bug", "  - file: /srv/picky.conf\n    content: good 2\n    notify: service:picky\n  - service: picky\n    enabled: true\n    running: true\n")
	run, code := applyOn(t, m, "/srv/bug")
	if code != 0 || run.Counts.Refreshed != 1 {
		t.Errorf("exit status %d, %s", code, brief(run))
	}
	if after := m.MustExec(t, "systemctl", "show", "-P", "MainPID", "picky"); after == before {
		t.Error("it was enabled, and not restarted")
	}
	shell(t, m, "systemctl is-enabled picky && systemctl is-active picky")
}

// Ansible fails when another apt works at the moment (ansible#51663, algo#14335, scylla#484). Here the lock is held when the run
// begins, and let go of while it waits.
func TestBug08TheLockOfDpkgIsHeld(t *testing.T) {
	fleet.Require(t)
	m := startWithAgent(t, "bug08")
	shell(t, m, holdLock)
	bugSite(t, m, "/srv/bug", "  - package: fleet-demo\n")
	ended := make(chan report.Run, 1)
	go func() {
		run, _ := applyOn(t, m, "/srv/bug")
		ended <- run
	}()
	waitFor(t, "apt-get that waits", func(ctx context.Context) error {
		_, _, code, err := m.Exec(ctx, "pgrep", "-x", "apt-get")
		if err == nil && code != 0 {
			err = errors.New("it does not run")
		}
		return err
	})
	shell(t, m, "systemctl stop hold")
	select {
	case run := <-ended:
		if run.Counts.Changed != 1 {
			t.Errorf("%s", brief(run))
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not go on")
	}
}
