package rollouts

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
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
	nodes   []string
	agents  map[string]*programs.Process
	clocks  map[string]time.Duration // how far the clocks of some nodes are ahead
}

const nodes = 20

// quick is a rollout that takes seconds: two canaries, half of the fleet, the rest.
const quick = `kind: Rollout
channel: stable
gate: {soak: 3s, checkins: 2, success: 100%}
deadline: 60s
abort: {failed: {percent: 50, min: 2}, lost: {percent: 50, min: 2}}
stages:
  - {name: canary, when: stage == "trial", size: 100%}
  - {name: early, size: 50%}
  - {name: rest, size: 100%}
`

// short is one of two stages.
const short = `kind: Rollout
channel: stable
gate: {soak: 3s, checkins: 2, success: 100%}
deadline: 60s
abort: {failed: {percent: 50, min: 1}, lost: {percent: 50, min: 1}}
stages:
  - {name: canary, when: stage == "trial", size: 100%}
  - {name: rest, size: 100%}
`

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
	f := &fleet{t: t, repo: gitsourcetest.New(t), data: filepath.Join(t.TempDir(), "data"), dir: t.TempDir(), agents: map[string]*programs.Process{}, address: "127.0.0.1:0"}
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
	token := programs.Run(f.t, f.env(), "vigo", "token", "create", "--uses", fmt.Sprint(n))
	for range n {
		name := fmt.Sprintf("node-%02d", len(f.nodes))
		root := filepath.Join(f.dir, name)
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			f.t.Fatal(err)
		}
		programs.Run(f.t, nil, "vigo-agent", "--root", root, "enroll", "--server", "https://"+server, "--token", token, "--node", name)
		f.nodes = append(f.nodes, name)
	}
}

// begin starts all agents, and waits until they have the first policy and have said so.
func (f *fleet) begin() {
	f.t.Helper()
	for _, name := range f.nodes {
		f.run(name)
	}
	f.await("every node has the first policy", func() string { return f.missing("one") })
	f.await("every node has reported", func() string {
		if live := programs.Run(f.t, f.env(), "vigo", "nodes", "--presence", string(report.Live), "-o", "name"); len(strings.Fields(live)) != len(f.nodes) {
			return live + " are live"
		}
		return ""
	})
}

// run starts the agent of a node; it ends with the test.
func (f *fleet) run(name string) {
	f.t.Helper()
	args := []string{"--root", filepath.Join(f.dir, name), "run"}
	cmd := programs.Command(f.t, nil, "vigo-agent", args...)
	if ahead, ok := f.clocks[name]; ok {
		cmd = programs.Command(f.t, []string{clockVariable + "=" + ahead.String()}, "vigo-agent", args...)
		cmd.Path = os.Args[0]
	}
	f.agents[name] = programs.Start(f.t, cmd)
}

// kill ends the agent of a node without a word.
func (f *fleet) kill(name string) { f.agents[name].End(syscall.SIGKILL) }

// commit makes a policy that writes a file, and something more.
func (f *fleet) commit(motd, more string) {
	f.t.Helper()
	f.repo.Put(map[string]string{"modules/motd/module.yaml": "kind: Module\nabout: What people read.\nresources:\n  - file: /etc/motd\n    content: \"" + motd + "\\n\"\n    mode: \"0644\"\n" + more}).Commit(motd)
}

func (f *fleet) env() []string {
	return []string{"VIGO_CONFIG=" + filepath.Join(f.data, "operator.json")}
}

// reads is what a node has in its file.
func (f *fleet) reads(name string) string {
	data, err := os.ReadFile(filepath.Join(f.dir, name, "etc/motd"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// having is how many nodes have a file with this content.
func (f *fleet) having(motd string) (n int) {
	for _, name := range f.nodes {
		if f.reads(name) == motd {
			n++
		}
	}
	return n
}

// missing says how many nodes have a content; nothing when all have.
func (f *fleet) missing(motd string) string {
	if n := f.having(motd); n != len(f.nodes) {
		return fmt.Sprintf("%d of %d have %q", n, len(f.nodes), motd)
	}
	return ""
}

// status is the last rollout; the zero value when there was none, or the service does not answer.
func (f *fleet) status(log ...string) report.RolloutStatus {
	f.t.Helper()
	var list []report.RolloutStatus
	cmd := programs.Command(f.t, f.env(), "vigo", append([]string{"rollout", "status", "-o", "json"}, log...)...)
	out, err := cmd.Output()
	if err != nil {
		return report.RolloutStatus{}
	}
	if err := json.Unmarshal(out, &list); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	if len(list) == 0 {
		return report.RolloutStatus{}
	}
	return list[0]
}

// explained checks what is said of nodes.
func (f *fleet) explained(want map[string]rollout.Word) {
	f.t.Helper()
	for node, word := range want {
		if out := programs.Run(f.t, f.env(), "vigo", "rollout", "explain", node); !strings.HasPrefix(out, node+" is "+string(word)+":") {
			f.t.Errorf("of %s it says %q, want %s", node, out, word)
		}
	}
}

// await waits until what returns nothing that is still wanting.
func (f *fleet) await(what string, wanting func() string) {
	f.t.Helper()
	deadline := time.Now().Add(2 * programs.Patience)
	for {
		left := wanting()
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("waiting for: %s: %s; %+v", what, left, f.status("--log", "30"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// awaitPhase waits for a phase of the rollout of a commit.
func (f *fleet) awaitPhase(p rollout.Phase, after string) report.RolloutStatus {
	f.t.Helper()
	return f.awaitStatus("the rollout is "+string(p), func(s report.RolloutStatus) bool { return s.ID != after && s.Phase == p })
}

// awaitStatus waits for a rollout as it should be.
func (f *fleet) awaitStatus(what string, so func(report.RolloutStatus) bool) (s report.RolloutStatus) {
	f.t.Helper()
	f.await(what, func() string {
		if s = f.status(); !so(s) {
			return fmt.Sprintf("it is %s (%s), %v", s.Phase, s.Reason, s.Counts)
		}
		return ""
	})
	return s
}

// for a while, something must go on to hold.
func (f *fleet) stays(d time.Duration, what string, wrong func() string) {
	f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if why := wrong(); why != "" {
			f.t.Errorf("%s: %s", what, why)
			return
		}
	}
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
