//go:build linux

package fleet_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// moveInItems is how many things the policies of testdata/movein say at least.
const moveInItems = 60

// peerPackages is what the peers need on a machine, without a network.
var peerPackages = []string{"ansible-core", "python3-apt"}

// TestMoveIn has the same machine declared in three languages and set up in different ways, and each tool find nothing to change
// on what another has made: what people mean by a file, a user or a service is the same to all of them.
func TestMoveIn(t *testing.T) {
	fleet.Require(t)
	tools := startWithAgent(t, "tools")
	tools.MustExec(t, append([]string{"apt-get", "-qq", "-y", "install"}, peerPackages...)...)
	tools.CopyIn(t, filepath.Join(os.Getenv("VIGO_BIN"), "vigo"), "/usr/local/bin/vigo", 0o755)
	const dir = "/srv/movein"
	for from, to := range map[string]string{"module.yaml": "/policy/modules/site/module.yaml", "site.yml": "/site.yml", "by-hand.sh": "/by-hand.sh"} {
		tools.CopyIn(t, "testdata/movein/"+from, dir+to, 0o644)
	}
	tools.WriteFile(t, dir+"/policy/fleet.yaml", "kind: Fleet\nname: movein\n", 0o644)
	tools.WriteFile(t, dir+"/policy/roles/all.yaml", "kind: Role\nmodules: [site]\n", 0o644)
	tools.MustExec(t, "vigo", "lint", dir+"/policy")
	tools.MustExec(t, "vigo", "fmt", "--check", dir+"/policy")
	if err := tools.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(*moved){"by hand": (*moved).byHand, "by Vigo": (*moved).byVigo} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := fleet.Start(t, fleet.Options{Name: "movein", Network: fleet.NewNetwork(t), Like: tools})
			set(&moved{t, m, dir})
		})
	}
}

// moved is a machine that has the tools of all, and the policies below a folder.
type moved struct {
	t   *testing.T
	m   *fleet.Machine
	dir string
}

// byHand adopts a machine that people have set up.
func (m *moved) byHand() {
	m.m.MustExec(m.t, "/bin/sh", "-e", m.dir+"/by-hand.sh")
	var got adopted
	if err := json.Unmarshal([]byte(m.m.MustExec(m.t, "vigo-agent", "adopt", "/srv/adopted", "-o", "json")), &got); err != nil {
		m.t.Fatal(err)
	}
	run, code := applyOn(m.t, m.m, "/srv/adopted")
	if code != 0 || !run.Quiet() || run.Counts.OK < moveInItems {
		m.t.Errorf("adopted, the plan is not empty: exit status %d, %s", code, brief(run))
	}
	m.t.Logf("%d resources adopted, no-op in %s", run.Counts.OK, run.Took)
	m.vigoFindsNothing()
	m.ansibleFindsNothing("--check")
	m.ansibleFindsNothing()
}

// byVigo has Vigo make the machine from nothing.
func (m *moved) byVigo() {
	m.vigo()
	m.vigoFindsNothing()
	m.ansibleFindsNothing()
}

// vigo converges the machine.
func (m *moved) vigo() report.Run {
	m.t.Helper()
	run, code := applyOn(m.t, m.m, m.dir+"/policy")
	if code != 0 || run.Counts.Total() < moveInItems || run.Counts.Failed+run.Counts.Skipped > 0 {
		m.t.Fatalf("Vigo: exit status %d, %s", code, brief(run))
	}
	return run
}

func (m *moved) vigoFindsNothing() {
	m.t.Helper()
	run := m.vigo()
	if !run.Quiet() {
		m.t.Errorf("Vigo changes something: %s", brief(run))
	}
	m.t.Logf("Vigo: %d resources, no-op in %s", run.Counts.Total(), run.Took)
}

// recap is the last line of ansible-playbook.
var recap = regexp.MustCompile(`ok=(\d+)\s+changed=(\d+)\s+unreachable=0\s+failed=0\s`)

// ansible runs the playbook and returns how many tasks have changed something, and what it said.
func (m *moved) ansible(args ...string) (changed int, said string) {
	m.t.Helper()
	argv := []string{"env", "ANSIBLE_PIPELINING=1", "LC_ALL=C.UTF-8", "ansible-playbook", "--inventory", "localhost,", "--connection", "local",
		"--extra-vars", "ansible_python_interpreter=/usr/bin/python3", "--diff", m.dir + "/site.yml"}
	began := time.Now()
	out, stderr, code, err := m.m.Exec(m.t.Context(), append(argv, args...)...)
	if err != nil {
		m.t.Fatal(err)
	}
	found := recap.FindStringSubmatch(out)
	if code != 0 || found == nil {
		m.t.Fatalf("Ansible: exit status %d\n%s%s", code, out, stderr)
	}
	changed, err = strconv.Atoi(found[2])
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("Ansible %v: %s tasks, %d changed in %s", args, found[1], changed, time.Since(began).Round(time.Millisecond))
	return changed, out
}

func (m *moved) ansibleFindsNothing(args ...string) {
	m.t.Helper()
	if changed, said := m.ansible(args...); changed > 0 {
		m.t.Errorf("Ansible %v changes something:\n%s", args, said)
	}
}
