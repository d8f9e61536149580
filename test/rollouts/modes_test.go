package rollouts

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trust"
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
	var list []report.ModeStatus
	out := programs.Run(f.t, f.env(), "vigo", "mode", "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		f.t.Fatalf("%v: %s", err, out)
	}
	return list[0]
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
	const interval, busy = 15 * time.Second, 3 * time.Second // of a machine that does much else
	dir := t.TempDir()
	key := func(name string) string { return filepath.Join(dir, name) }
	f := newFleetAfter(t, func(data string) {
		root := filepath.Join(data, "keys/root.json")
		programs.Run(t, nil, "vigo", "trust", "init", "--data", data)
		if err := os.Mkdir(key("desk"), 0o755); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"ada", "ben"} {
			private, public := newKey(t)
			if err := errors.Join(os.WriteFile(key(name+".key"), private, 0o600), os.WriteFile(key(name+".pub"), public, 0o644)); err != nil {
				t.Fatal(err)
			}
			programs.Run(t, nil, "vigo", "trust", "add-key", root, "modes/stable", key(name+".pub"), "--threshold", fmt.Sprint(i+1), "--dir", key("desk"))
		}
		programs.Run(t, nil, "vigo", "trust", "sign", key("desk/root-2.json"), "--key", filepath.Join(data, "keys/root.key"))
		programs.Run(t, nil, "vigo", "trust", "publish", key("desk/root-2.json"), "--data", data)
	}, "kind: Rollout\nstrategy: immediate\n", "--interval", "0s") // 1 s until the policy says more
	f.modal("15s", false)
	f.all("quiet", nodes)
	order := func(by string, words ...string) {
		cmd := programs.Command(t, f.env(), "vigo", append(append([]string{"mode"}, words...), "--channel", "stable", "--trust-root", filepath.Join(f.data, "keys/root.json"), "--key", key(by+".key"))...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 0 && (by != "ada" || code != 4) {
			t.Fatalf("%s %v: %v\n%s", by, words, err, out)
		}
	}
	f.await("all are ready, and told of 15 s", func() string {
		if m := f.mode(); m.On || len(m.Unready) > 0 || m.There != nodes {
			return fmt.Sprintf("%+v", m)
		}
		for _, name := range f.nodes {
			if !strings.Contains(f.agents[name].Out.String(), "to=15s") {
				return name + " was not told"
			}
		}
		return ""
	})
	order("ada", "set", "failover", "--note", "the site is gone")
	order("ben", "set", "failover")
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
	order("ada", "clear", "failover")
	order("ben", "clear", "failover")
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

// newKey is the two halves of a key, in PEM.
func newKey(t *testing.T) (private, public []byte) {
	t.Helper()
	signer, err := trust.NewKey()
	if err == nil {
		private, err = signer.PEM()
	}
	if err != nil {
		t.Fatal(err)
	}
	return private, signer.Public().PEM()
}
