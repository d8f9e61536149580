package rollouts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

func TestMain(m *testing.M) { os.Exit(programs.Main(m)) }

// fleet is a repository, a service and agents; two of them are for trials.
type fleet struct {
	t     *testing.T
	repo  *gitsourcetest.Repo
	data  string
	dir   string
	nodes []string
	kills map[string]func() // of the agents that run
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

func newFleet(t *testing.T, rollouts string, up ...string) *fleet {
	t.Helper()
	return newFleetAfter(t, func(string) {}, rollouts, up...)
}

// newFleetAfter has something done with the data folder of the service before it is started.
func newFleetAfter(t *testing.T, before func(data string), rollouts string, up ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, repo: gitsourcetest.New(t), data: filepath.Join(t.TempDir(), "data"), dir: t.TempDir(), kills: map[string]func(){}}
	f.repo.Put(map[string]string{
		"fleet.yaml":           "kind: Fleet\nname: lab\ninterval: 1s\nlabels: [stage]\nnodes:\n  - {match: \"node-0[01]\", labels: {stage: trial}}\n",
		"roles/all.yaml":       "kind: Role\nmodules: [motd]\n",
		"rollouts/stable.yaml": rollouts,
	})
	f.commit("one", "")
	before(f.data)
	_, line := programs.Serve(t, nil, "vigo is up", "vigo", append([]string{"up", "--data", f.data, "--git", f.repo.Dir, "--listen", "127.0.0.1:0", "--poll", "200ms", "--fleet", "lab", "--interval", "1s"}, up...)...)
	_, address, _ := strings.Cut(line, "on https://")
	token := programs.Run(t, f.env(), "vigo", "token", "create", "--uses", fmt.Sprint(nodes))
	for i := range nodes {
		name := fmt.Sprintf("node-%02d", i)
		root := filepath.Join(f.dir, name)
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		programs.Run(t, nil, "vigo-agent", "--root", root, "enroll", "--server", "https://"+address, "--token", token, "--node", name)
		f.nodes = append(f.nodes, name)
	}
	for _, name := range f.nodes {
		f.run(name)
	}
	f.await("every node has the first policy", func() string {
		if n := f.having("one"); n != nodes {
			return fmt.Sprintf("%d of %d", n, nodes)
		}
		return ""
	})
	return f
}

// run starts the agent of a node; it ends with the test.
func (f *fleet) run(name string) func() {
	f.t.Helper()
	cmd := programs.Command(f.t, nil, "vigo-agent", "--root", filepath.Join(f.dir, name), "run")
	log, err := os.Create(filepath.Join(f.dir, name+".log"))
	if err == nil {
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.kills[name] = func() {
		_ = cmd.Process.Kill() // gone already is as good
		_ = cmd.Wait()
	}
	return f.kills[name]
}

// commit makes a policy that writes a file, and something more.
func (f *fleet) commit(motd, more string) {
	f.t.Helper()
	f.repo.Put(map[string]string{"modules/motd/module.yaml": "kind: Module\nabout: What people read.\nresources:\n  - file: /etc/motd\n    content: \"" + motd + "\\n\"\n    mode: \"0644\"\n" + more}).Commit(motd)
}

func (f *fleet) env() []string {
	return []string{"VIGO_CONFIG=" + filepath.Join(f.data, "operator.json")}
}

// having is how many nodes have a file with this content.
func (f *fleet) having(motd string) (n int) {
	for _, name := range f.nodes {
		data, err := os.ReadFile(filepath.Join(f.dir, name, "etc/motd"))
		if err == nil && strings.TrimSpace(string(data)) == motd {
			n++
		}
	}
	return n
}

func (f *fleet) status() report.RolloutStatus {
	f.t.Helper()
	var list []report.RolloutStatus
	out := programs.Run(f.t, f.env(), "vigo", "rollout", "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	if len(list) == 0 {
		return report.RolloutStatus{}
	}
	return list[0]
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
			f.t.Fatalf("waiting for: %s: %s; %+v\n%s", what, left, f.status(), programs.Run(f.t, f.env(), "vigo", "rollout", "status", "--log", "30"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// awaitPhase waits for a phase of the rollout of a commit.
func (f *fleet) awaitPhase(p rollout.Phase, after string) report.RolloutStatus {
	f.t.Helper()
	var last report.RolloutStatus
	f.await("the rollout is "+string(p), func() string {
		if last = f.status(); last.ID == after || last.Phase != p {
			return fmt.Sprintf("it is %q", last.Phase)
		}
		return ""
	})
	return last
}
