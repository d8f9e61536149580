//go:build linux

package fleet_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// leastResources is how many a policy has at least that others judge.
const leastResources = 150

// TestJudges converges a machine with a policy of many resources, and has other programs say whether it is as it was meant: testinfra
// with expectations that were written by hand, and the tools that come with what is configured.
func TestJudges(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	m := startWithAgent(t, "judges")
	m.MustExec(t, "apt-get", "-qq", "-y", "install", "python3-testinfra", "python3-pytest", "fleet-demo")
	const dir = "/srv/judges"
	root := "testdata/judges"
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path) // it is below
			m.CopyIn(t, path, dir+"/"+rel, 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said, _ := applyOn(t, m, dir+"/policy", "--node", "judged", "--dry-run")
	run, code := applyOn(t, m, dir+"/policy", "--node", "judged")
	if code != 0 || run.Counts.Failed+run.Counts.Skipped > 0 || run.Counts.Total() < leastResources {
		t.Fatalf("exit status %d: %s", code, brief(run))
	}
	t.Logf("%d resources: %d changed in %s; the dry run had said %d", run.Counts.Total(), run.Counts.Changed, run.Took, said.Counts.Drift)
	judged(t, m, dir)
	if again, _ := applyOn(t, m, dir+"/policy", "--node", "judged"); !again.Quiet() {
		t.Errorf("the second run: %s", brief(again))
	}
	if err := m.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	judged(t, m, dir) // without the agent's help
	after, _ := applyOn(t, m, dir+"/policy", "--node", "judged")
	if after.Counts.Failed > 0 || after.Compliance() != report.ComplianceOK {
		t.Errorf("the run after the reboot: %s", brief(after))
	}
}

var passed = regexp.MustCompile(`(\d+) passed`)

// judged runs the expectations on the machine.
func judged(t *testing.T, m *fleet.Machine, dir string) {
	t.Helper()
	out, stderr, code, err := m.Exec(t.Context(), "python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", dir+"/test_machine.py")
	if err != nil {
		t.Fatal(err)
	}
	found := passed.FindStringSubmatch(out)
	if code != 0 || found == nil {
		t.Fatalf("exit status %d\n%s%s", code, out, stderr)
	}
	if n, err := strconv.Atoi(found[1]); err != nil || n < 60 {
		t.Errorf("only %s expectations", found[1])
	}
	t.Logf("testinfra: %s", found[0])
}
