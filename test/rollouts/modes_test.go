package rollouts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

// modal is a policy whose motd says whether the mode failover is on, with a module that only this mode takes.
func (f *fleet) modal(interval string, on bool) {
	f.t.Helper()
	f.repo.Put(map[string]string{
		"fleet.yaml":                   fmt.Sprintf("kind: Fleet\nname: lab\ninterval: %s\nlabels: [stage]\nmodes: {failover: %t}\nnodes:\n  - {match: \"node-0[01]\", labels: {stage: trial}}\n", interval, on),
		"roles/failover.yaml":          "kind: Role\nwhen: mode.failover\nmodules: [takeover]\n",
		"modules/takeover/module.yaml": "kind: Module\nresources:\n  - file: /etc/issue\n    content: \"taken over\\n\"\n",
	})
	f.commit("{{ if .mode.failover }}crisis{{ else }}quiet{{ end }}", "")
}

func (f *fleet) mode() report.ModeStatus {
	f.t.Helper()
	return f.operator().Mode()
}

// all waits until nodes say something, and returns how long it took.
func (f *fleet) all(motd string, of int) time.Duration {
	f.t.Helper()
	began := time.Now()
	f.await(motd, func() string {
		if n := f.having(motd); n < of {
			return fmt.Sprintf("%d of %d", n, of)
		}
		return ""
	})
	return time.Since(began)
}

// TestADisaster: two people have twenty nodes change over within their interval of 15 s, and back; the module that only the mode takes
// was there before. A node that is off meanwhile is named, and follows when it is back.
func TestADisaster(t *testing.T) {
	t.Parallel()
	const interval, busy = 15 * time.Second, 12 * time.Second // of a machine that does much else
	var root string
	var keys [2]string
	f := newFleetAfter(t, func(data string) {
		root, keys = programs.TwoKeys(t, func(args ...string) string { return programs.Run(t, nil, "vigo", args...) }, data, t.TempDir())
	}, "kind: Rollout\nstrategy: immediate\n", "--interval", "0s") // 1 s until the policy says more
	f.modal("15s", false)
	f.all("quiet", nodes)
	ada, ben := keys[0], keys[1]
	order := func(key string, words ...string) {
		cmd := programs.Command(t, f.env(), "vigo", append(append([]string{"mode"}, words...), "--channel", "stable", "--trust-root", root, "--key", key)...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 0 && (key != ada || code != 4) {
			t.Fatalf("%s: %v: %v\n%s", key, words, err, out)
		}
	}
	f.await("all are ready, and told of 15 s", func() string {
		if m := f.mode(); m.On || len(m.Unready) > 0 || m.There != nodes {
			return fmt.Sprintf("%+v", m)
		}
		for _, name := range f.hosts.Names {
			if !strings.Contains(f.hosts.Agents[name].Out.String(), "to=15s") {
				return name + " was not told"
			}
		}
		return ""
	})
	order(ada, "set", "failover", "--note", "the site is gone")
	order(ben, "set", "failover")
	took := f.all("crisis", nodes)
	t.Logf("%d nodes changed over in %s", nodes, took.Round(time.Millisecond))
	if took > interval+busy || took < interval/5 {
		t.Errorf("it took %s", took)
	}
	if data, err := os.ReadFile(filepath.Join(f.dir, "node-13/etc/issue")); err != nil || string(data) != "taken over\n" {
		t.Errorf("what the mode takes: %q, %v", data, err)
	}
	f.await("the service knows it", func() string {
		if m := f.mode(); !m.On || m.There != nodes || m.Note != "the site is gone" {
			return fmt.Sprintf("%+v", m)
		}
		return ""
	})
	f.kill("node-19")
	order(ada, "clear", "failover")
	order(ben, "clear", "failover")
	took = f.all("quiet", nodes-1)
	t.Logf("and back in %s", took.Round(time.Millisecond))
	if took > interval+busy {
		t.Errorf("it took %s", took)
	}
	f.await("the one that is off is named", func() string {
		if m := f.mode(); m.On || m.There != nodes-1 || strings.Join(m.Lagging, " ") != "node-19" && m.Silent != 1 {
			return fmt.Sprintf("%+v", m)
		}
		return ""
	})
	f.run("node-19")
	f.all("quiet", nodes)
}

// TestAModeOfACommitIsNotGivenInStages: all nodes act on it while its bundle is on the canaries alone.
func TestAModeOfACommitIsNotGivenInStages(t *testing.T) {
	t.Parallel()
	f := newFleet(t, `kind: Rollout
gate: {soak: 1s, checkins: 1}
stages:
  - {name: canary, when: stage == "trial", size: 100%}
  - {name: rest, size: 100%, approve: {count: 1}}
`)
	f.modal("1s", false)
	f.awaitReason(rollout.WaitingApproval, "")
	programs.Run(t, f.env(), "vigo", "rollout", "approve", "stable")
	first := f.awaitPhase(rollout.Completed, "")
	f.all("quiet", nodes)

	f.modal("1s", true)
	f.all("crisis", nodes)
	second := f.awaitStatus("the second waits", func(s report.RolloutStatus) bool { return s.ID != first.ID && s.Reason == rollout.WaitingApproval })
	if n := second.Counts[rollout.Pending]; n != nodes-2 {
		t.Errorf("%d nodes wait for their turn to have the bundle, want %d", n, nodes-2)
	}
	if n := f.having("crisis"); n != nodes {
		t.Errorf("%d nodes are in the mode", n)
	}
	f.modal("1s", false) // the next commit takes it back, also before that one was given to all
	f.all("quiet", nodes)
}
