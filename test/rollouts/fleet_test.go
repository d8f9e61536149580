package rollouts

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/loopback"
	"vigo.dev/test/programs"
)

// Fleets wait more than they compute, so more of them than there are processors run at once.
func TestMain(m *testing.M) {
	if os.Getenv(clockVariable) != "" {
		os.Exit(agentWithClock())
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(programs.Main(m))
}

// fleet is a repository, services and agents; two of them are for trials.
type fleet struct {
	t       *testing.T
	repo    *gitsourcetest.Repo
	data    string // of `vigo up`, or of the report service
	dir     string
	address string // of the service that nodes enrol at
	up      *programs.Process
	hosts   *programs.Hosts
	clocks  map[string]time.Duration // how far the clocks of some nodes are ahead
}

const nodes = 20

// quick is a rollout that takes seconds: two canaries, half of the fleet, the rest.
func quick() string {
	return programs.Stages{Soak: "3s", Failed: "percent: 50, min: 2", Lost: "percent: 50, min: 2", Half: true}.Policy()
}

// short is one of two stages.
func short() string {
	return programs.Stages{Soak: "3s", Failed: "percent: 50, min: 1", Lost: "percent: 50, min: 1"}.Policy()
}

// newFleet is `vigo up`, with further options, and twenty nodes that have the first policy.
func newFleet(t *testing.T, rollouts string, up ...string) *fleet {
	t.Helper()
	return newFleetAfter(t, func(string) {}, rollouts, up...)
}

// newFleetAfter has something done with the data folder of the service before it is started.
func newFleetAfter(t *testing.T, before func(data string), rollouts string, up ...string) *fleet {
	t.Helper()
	f := prepare(t, rollouts)
	before(f.data)
	f.serve(up...)
	f.enrol(f.address, nodes)
	f.begin()
	return f
}

// prepare makes the repository of a fleet; nothing runs.
func prepare(t *testing.T, rollouts string) *fleet {
	t.Helper()
	f := &fleet{t: t, repo: gitsourcetest.New(t), data: filepath.Join(t.TempDir(), "data"), dir: t.TempDir(), address: loopback.Any()}
	f.hosts = programs.NewHosts(f.dir, func(args ...string) *exec.Cmd { return programs.Command(t, nil, "vigo-agent", args...) })
	f.repo.Put(map[string]string{
		"fleet.yaml":           "kind: Fleet\nname: lab\ninterval: 1s\nlabels: [stage]\nnodes:\n  - {match: \"node-0[01]\", labels: {stage: trial}}\n",
		"roles/all.yaml":       "kind: Role\nmodules: [motd]\n",
		"rollouts/stable.yaml": rollouts,
	})
	f.commit("one", "")
	return f
}

// serve starts `vigo up`; again, at the address it had.
func (f *fleet) serve(more ...string) {
	f.t.Helper()
	var line string
	f.up, line = programs.Serve(f.t, nil, "vigo is up", "vigo", append([]string{"up", "--data", f.data, "--git", f.repo.Dir, "--listen", f.address, "--poll", "200ms",
		"--fleet", "lab", "--interval", "1s"}, more...)...)
	_, f.address, _ = strings.Cut(line, "on https://")
}

// enrol makes so many more nodes, at a service or a hub.
func (f *fleet) enrol(server string, n int) {
	f.t.Helper()
	f.hosts.Enrol(f.t, server, f.operator().Run("token", "create", "--uses", fmt.Sprint(n)), n)
}

// begin starts all agents, and waits until they have the first policy and have said so.
func (f *fleet) begin() {
	f.t.Helper()
	for _, name := range f.hosts.Names {
		f.run(name)
	}
	f.await("every node has the first policy", func() string { return f.missing("one") })
	f.await("every node has reported", func() string {
		if live := programs.Run(f.t, f.env(), "vigo", "nodes", "--presence", string(report.Live), "-o", "name"); len(strings.Fields(live)) != len(f.hosts.Names) {
			return live + " are live"
		}
		return ""
	})
}

// run starts the agent of a node; it ends with the test.
func (f *fleet) run(name string) {
	f.t.Helper()
	cmd := f.hosts.Agent(name)
	if ahead, ok := f.clocks[name]; ok {
		cmd.Path, cmd.Env = os.Args[0], append(cmd.Env, clockVariable+"="+ahead.String())
	}
	f.hosts.Agents[name] = programs.Start(f.t, cmd)
}

// kill ends the agent of a node without a word.
func (f *fleet) kill(name string) { f.hosts.Kill(name) }

// commit makes a policy that writes a file, and something more.
func (f *fleet) commit(motd, more string) {
	f.t.Helper()
	f.repo.Put(map[string]string{"modules/motd/module.yaml": "kind: Module\nabout: What people read.\nresources:\n  - file: /etc/motd\n    content: \"" + motd + "\\n\"\n    mode: \"0644\"\n" + more}).Commit(motd)
}

func (f *fleet) env() []string {
	return []string{"VIGO_CONFIG=" + filepath.Join(f.data, "operator.json")}
}

// operator is who runs the fleet.
func (f *fleet) operator() programs.Operator {
	return programs.Operator{T: f.t, Command: func(args ...string) *exec.Cmd { return programs.Command(f.t, f.env(), "vigo", args...) }}
}

// reads is what a node has in its file.
func (f *fleet) reads(name string) string { return f.hosts.Read(f.t, name, "etc/motd") }

// having is how many nodes have a file with this content.
func (f *fleet) having(motd string) int { return len(f.hosts.Having(f.t, "etc/motd", motd)) }

// missing says how many nodes have a content; nothing when all have.
func (f *fleet) missing(motd string) string {
	if n := f.having(motd); n != len(f.hosts.Names) {
		return fmt.Sprintf("%d of %d have %q", n, len(f.hosts.Names), motd)
	}
	return ""
}

// status is the last rollout; the zero value when there was none, or the service does not answer.
func (f *fleet) status(log ...string) report.RolloutStatus {
	f.t.Helper()
	return f.operator().Rollout(log...)
}

// explained checks what is said of nodes.
func (f *fleet) explained(want map[string]rollout.Word) {
	f.t.Helper()
	f.operator().Explained(want)
}

// await waits until what returns nothing that is still wanting.
func (f *fleet) await(what string, wanting func() string) {
	f.t.Helper()
	f.operator().Await(what, func() error { return missing(wanting()) })
}

// missing is an error that says what is; none when nothing is.
func missing(what string) error {
	if what == "" {
		return nil
	}
	return errors.New(what)
}

// awaitPhase waits for a phase of the rollout of a commit.
func (f *fleet) awaitPhase(p rollout.Phase, after string) report.RolloutStatus {
	f.t.Helper()
	return f.awaitStatus("the rollout is "+string(p), func(s report.RolloutStatus) bool { return s.ID != after && s.Phase == p })
}

// awaitStatus waits for a rollout as it should be.
func (f *fleet) awaitStatus(what string, so func(report.RolloutStatus) bool) report.RolloutStatus {
	f.t.Helper()
	return f.operator().AwaitRollout(what, so)
}

// for a while, something must go on to hold.
func (f *fleet) stays(d time.Duration, what string, wrong func() string) {
	f.t.Helper()
	programs.Stays(f.t, d, what, func() error { return missing(wrong()) })
}

// reasons are those of a log, in their order.
func reasons(s report.RolloutStatus) (list []string) {
	for i := len(s.Log) - 1; i >= 0; i-- {
		list = append(list, string(s.Log[i].Reason))
	}
	return list
}

// states are those of stages in a line.
func states(stages []report.RolloutStage) string {
	var list []string
	for _, st := range stages {
		list = append(list, st.Name+" "+st.State)
	}
	return strings.Join(list, ", ")
}

func total(counts map[rollout.Word]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}
