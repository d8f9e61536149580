//go:build linux

package fleet_test

import (
	"encoding/json"
	"errors"
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

// leastTasks is how many tasks of the playbook, of which some loop, change a fresh machine at least.
const leastTasks = 40

// peerPackages is what the peers need on a machine, without a network.
var peerPackages = []string{
	"ansible-core", "python3-apt",
	"puppet-agent", "puppet-module-puppetlabs-cron-core", "puppet-module-puppetlabs-host-core", "puppet-module-puppetlabs-mount-core",
	"puppet-module-puppetlabs-sshkeys-core", "puppet-module-puppetlabs-stdlib",
}

// TestMoveIn has the same machine declared in three languages and set up in different ways, and each tool find nothing to change
// on what another has made: what people mean by a file, a user or a service is the same to all of them.
func TestMoveIn(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	tools := startWithAgent(t, "tools")
	tools.MustExec(t, append([]string{"apt-get", "-qq", "-y", "install"}, peerPackages...)...)
	tools.CopyIn(t, filepath.Join(os.Getenv("VIGO_BIN"), "vigo"), "/usr/local/bin/vigo", 0o755)
	const dir = "/srv/movein"
	for from, to := range map[string]string{
		"module.yaml": "/policy/modules/site/module.yaml", "site.yml": "/site.yml", "site.pp": "/site.pp", "by-hand.sh": "/by-hand.sh",
	} {
		tools.CopyIn(t, "testdata/movein/"+from, dir+to, 0o644)
	}
	tools.WriteFile(t, dir+"/policy/fleet.yaml", "kind: Fleet\nname: movein\n", 0o644)
	tools.WriteFile(t, dir+"/policy/roles/all.yaml", "kind: Role\nmodules: [site]\n", 0o644)
	tools.MustExec(t, "vigo", "lint", dir+"/policy")
	tools.MustExec(t, "vigo", "fmt", "--check", dir+"/policy")
	if err := tools.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(*moved){
		"by hand": (*moved).byHand, "by Vigo": (*moved).byVigo, "by Ansible": (*moved).byAnsible, "by Puppet": (*moved).byPuppet,
	} {
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
	m.t.Logf("%d resources adopted", run.Counts.OK)
	m.vigoFindsNothing()
	m.puppetFindsNothing()
	m.ansibleFindsNothing("--check")
	m.ansibleFindsNothing()
}

// byVigo has Vigo make the machine from nothing.
func (m *moved) byVigo() {
	if run := m.vigo(); run.Counts.Changed < moveInItems {
		m.t.Errorf("only %d things were to be done", run.Counts.Changed)
	}
	m.vigoFindsNothing()
	m.puppetFindsNothing()
	m.ansibleFindsNothing()
}

// byAnsible has Ansible make it.
func (m *moved) byAnsible() {
	if changed, _ := m.ansible(); changed < leastTasks {
		m.t.Errorf("only %d tasks had to do something", changed)
	}
	m.vigoFindsNothing()
}

// byPuppet has Puppet make it.
func (m *moved) byPuppet() {
	const didChange = 2
	if code, said := m.puppet(); code != didChange {
		m.t.Fatalf("Puppet: exit status %d\n%s", code, said)
	}
	m.vigoFindsNothing()
}

// vigo converges the machine.
func (m *moved) vigo() report.Run {
	m.t.Helper()
	out, stderr, code := m.run("Vigo", "vigo-agent", "apply", "--policy", m.dir+"/policy", "--state", m.dir+"/state", "-o", "json")
	var run report.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		m.t.Fatalf("Vigo: exit status %d: %v\n%s%s", code, err, out, stderr)
	}
	if code != 0 || run.Counts.Total() < moveInItems || run.Counts.Failed+run.Counts.Skipped > 0 {
		m.t.Fatalf("Vigo: exit status %d, %s", code, brief(run))
	}
	return run
}

func (m *moved) vigoFindsNothing() {
	m.t.Helper()
	if run := m.vigo(); !run.Quiet() {
		m.t.Errorf("Vigo changes something: %s", brief(run))
	}
}

// processorTime is what bash says below.
var processorTime = regexp.MustCompile(`(?m)^seconds ([0-9.]+) ([0-9.]+)$`)

// run runs a tool, and logs how long it took, and how much of that it had a processor: the computer has other things to do.
func (m *moved) run(tool string, argv ...string) (out, stderr string, code int) {
	m.t.Helper()
	began := time.Now()
	argv = append([]string{"bash", "-c", `TIMEFORMAT="seconds %U %S"; time "$@"`, "bash", "env", "LC_ALL=C.UTF-8"}, argv...)
	out, stderr, code, err := m.m.Exec(m.t.Context(), argv...)
	took := time.Since(began)
	if err != nil {
		m.t.Fatal(err)
	}
	var spent float64
	if found := processorTime.FindStringSubmatch(stderr); found != nil {
		user, errUser := strconv.ParseFloat(found[1], 64)
		system, errSystem := strconv.ParseFloat(found[2], 64)
		if err := errors.Join(errUser, errSystem); err != nil {
			m.t.Fatal(err)
		}
		spent = user + system
	}
	m.t.Logf("%s: exit status %d in %.2f s, of which a processor worked %.2f s", tool, code, took.Seconds(), spent)
	return out, stderr, code
}

// recap is the last line of ansible-playbook.
var recap = regexp.MustCompile(`ok=(\d+)\s+changed=(\d+)\s+unreachable=0\s+failed=0\s`)

// ansible runs the playbook and returns how many tasks have changed something, and what it said.
func (m *moved) ansible(args ...string) (changed int, said string) {
	m.t.Helper()
	argv := []string{"ANSIBLE_PIPELINING=1", "ansible-playbook", "--inventory", "localhost,", "--connection", "local",
		"--extra-vars", "ansible_python_interpreter=/usr/bin/python3", "--diff", m.dir + "/site.yml"}
	out, stderr, code := m.run("Ansible", append(argv, args...)...)
	found := recap.FindStringSubmatch(out)
	if code != 0 || found == nil {
		m.t.Fatalf("Ansible: exit status %d\n%s%s", code, out, stderr)
	}
	changed, err := strconv.Atoi(found[2])
	if err != nil {
		m.t.Fatal(err)
	}
	return changed, out
}

func (m *moved) ansibleFindsNothing(args ...string) {
	m.t.Helper()
	if changed, said := m.ansible(args...); changed > 0 {
		m.t.Errorf("Ansible %v changes something:\n%s", args, said)
	}
}

// puppet applies the manifest and returns the exit status, 0 where there was nothing to change and nothing failed, and what it said.
func (m *moved) puppet() (code int, said string) {
	m.t.Helper()
	out, stderr, code := m.run("Puppet", "puppet", "apply", "--detailed-exitcodes", "--color=false", "--show_diff", m.dir+"/site.pp")
	return code, out + stderr
}

func (m *moved) puppetFindsNothing() {
	m.t.Helper()
	if code, said := m.puppet(); code != 0 {
		m.t.Errorf("Puppet: exit status %d, want 0\n%s", code, said)
	}
}
