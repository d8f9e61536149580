//go:build linux

package fleet_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// TestTellingSurvivesAKill kills the agent between the file of a resource and the program that is told to read it, which it does
// itself: a later run, which finds the file in order, tells the program. The program kills whoever runs it the first time.
func TestTellingSurvivesAKill(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	bin := os.Getenv("VIGO_BIN")
	if bin == "" {
		t.Fatal("set VIGO_BIN to the folder of the built programs (make build)")
	}
	m := fleet.Start(t, fleet.Options{Name: "owed"})
	m.CopyIn(t, filepath.Join(bin, "vigo-agent"), "/usr/local/bin/vigo-agent", 0o755)
	for name, c := range map[string]struct{ program, setup, present, written string }{
		"udev_rule": {"udevadm", "mkdir -p /run/udev && touch /run/udev/control", `
  - udev_rule: 60-owed
    content: 'SUBSYSTEM=="tty", SYMLINK+="owed"'
`, "/etc/udev/rules.d/60-owed.rules"},
		"nfs_export": {"exportfs", "mkdir -p /srv/owed", `
  - nfs_export: /srv/owed
    clients: {192.0.2.0/24: [ro]}
`, "/etc/exports.d"},
		"trusted_ca": {"update-ca-certificates", "mkdir -p /usr/local/share/ca-certificates /etc/ssl/certs && touch /usr/local/share/ca-certificates/owed.crt", `
  - trusted_ca: owed
    ensure: absent
`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m.MustExec(t, "/bin/sh", "-ec", c.setup)
			program := "#!/bin/sh\nif test -e /run/" + name + ".killed; then echo told >>/run/" + name + ".told; exit; fi\n" +
				"touch /run/" + name + ".killed\nkill -9 $PPID\n"
			m.WriteFile(t, "/usr/local/sbin/"+c.program, program, 0o755)
			dir := "/srv/policies/" + name
			m.WriteFile(t, dir+"/fleet.yaml", "kind: Fleet\nname: owed\n", 0o644)
			m.WriteFile(t, dir+"/roles/all.yaml", "kind: Role\nmodules: [owed]\n", 0o644)
			m.WriteFile(t, dir+"/modules/owed/module.yaml", "kind: Module\nresources:"+c.present, 0o644)
			args := []string{"vigo-agent", "apply", "--policy", dir, "--state", "/srv/state/" + name, "-o", "json"}
			if _, stderr, code, err := m.Exec(t.Context(), args...); err != nil || code != 137 {
				t.Fatalf("the run was not killed: %d, %v\n%s", code, err, stderr)
			}
			m.MustExec(t, "/bin/sh", "-ec", "test -e /run/"+name+".killed; test ! -e /run/"+name+".told; test -z '"+c.written+"' || test -e '"+c.written+"'")
			run := runOnce(t, m, args)
			if len(run.Results) != 1 || run.Results[0].Refresh != "done" || run.Results[0].Outcome != report.OK {
				t.Errorf("the next run says %+v", run.Results)
			}
			if run := runOnce(t, m, args); len(run.Results) > 0 {
				t.Errorf("the one after says %+v", run.Results)
			}
			if told := m.MustExec(t, "cat", "/run/"+name+".told"); told != "told\n" {
				t.Errorf("the program was told: %q", told)
			}
		})
	}
}

// runOnce runs the agent and returns what it reports.
func runOnce(t *testing.T, m *fleet.Machine, args []string) (run report.Run) {
	t.Helper()
	out, stderr, code, err := m.Exec(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		t.Fatalf("exit code %d: %v\n%s%s", code, err, out, stderr)
	}
	return run
}
