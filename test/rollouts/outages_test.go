package rollouts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

// TestALostNode: a node that dies after it took the candidate counts as lost, and one that was off before does not. When it is
// back it has what it took.
func TestALostNode(t *testing.T) {
	t.Parallel()
	f := prepare(t, strings.Replace(short(), "soak: 3s", "soak: 20s", 1))
	f.serve()
	f.enrol(f.address, 6)
	f.begin()
	f.kill("node-05")
	f.awaitNode("node-05 is known to be silent", "node-05", report.Stale)
	f.commit("two", "")
	f.await("node-00 has it", func() string { return f.wants("node-00", "two") })
	f.awaitStatus("its report has arrived", func(s report.RolloutStatus) bool { return s.Counts[rollout.Applied] == 2 })
	f.explained(map[string]rollout.Word{"node-00": rollout.Applied, "node-05": rollout.Offline})
	f.kill("node-00")
	s := f.awaitPhase(rollout.Aborted, "")
	if s.Reason != rollout.AbortLost || s.Counts[rollout.Lost] != 1 || s.Counts[rollout.Offline] != 1 {
		t.Errorf("it is aborted because of %s: %v", s.Reason, s.Counts)
	}
	f.explained(map[string]rollout.Word{"node-00": rollout.Lost, "node-02": rollout.Pending, "node-05": rollout.Offline})
	f.run("node-00")
	f.run("node-05")
	f.awaitNode("node-00 is back", "node-00", report.Live)
	f.awaitNode("node-05 is back", "node-05", report.Live)
	if got := f.having("two"); got != 2 || f.reads("node-00") != "two" {
		t.Errorf("%d nodes have it, node-00 has %q", got, f.reads("node-00"))
	}
}

// wants says what a node has instead of something.
func (f *fleet) wants(name, motd string) string {
	if got := f.reads(name); got != motd {
		return fmt.Sprintf("%s has %q", name, got)
	}
	return ""
}

// awaitNode waits until the service knows a node to be present or not.
func (f *fleet) awaitNode(what, name string, p report.Presence) {
	f.t.Helper()
	f.await(what, func() string {
		if out := programs.Run(f.t, f.env(), "vigo", "nodes", "--presence", string(p), "-o", "name"); !strings.Contains(out, name) {
			return fmt.Sprintf("%s are %q", p, out)
		}
		return ""
	})
}

// TestHubCut: the cable of a site is cut while its canaries soak. Nothing is lost, nothing widens; when it is mended the rollout
// goes on.
func TestHubCut(t *testing.T) {
	t.Parallel()
	f := prepare(t, strings.Replace(short(), "soak: 3s", "soak: 5s", 1))
	f.serve()
	uplink := newCable(t, f.address)
	token := filepath.Join(f.dir, "hub.token")
	if err := os.WriteFile(token, []byte(programs.Run(t, f.env(), "vigo", "token", "create", "--hub", "--names", "plant")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, line := programs.Serve(t, nil, "the hub is up", "vigo", "hub", "--data", filepath.Join(f.dir, "hub"), "--listen", "127.0.0.1:0", "--poll", "200ms",
		"--name", "plant", "--server", "https://"+uplink.address, "--token-file", token)
	_, hub, _ := strings.Cut(line, "on https://")
	f.enrol(hub, 3) // both canaries among them
	f.enrol(f.address, 5)
	f.begin()
	f.commit("two", "")
	f.awaitStatus("both canaries are watched", func(s report.RolloutStatus) bool { return s.Counts[rollout.Applied] == 2 })
	uplink.set(true)
	f.awaitStatus("it is frozen", func(s report.RolloutStatus) bool { return s.Reason == rollout.EvidenceBlind })
	f.stays(8*time.Second, "while the cable is cut", func() string {
		s := f.status()
		if s.Phase != rollout.Running || s.Reason != rollout.EvidenceBlind || s.Counts[rollout.Lost] != 0 || f.having("two") != 2 {
			return fmt.Sprintf("it is %s (%s), %v; %d have it", s.Phase, s.Reason, s.Counts, f.having("two"))
		}
		return ""
	})
	uplink.set(false)
	f.awaitPhase(rollout.Completed, "")
	f.await("all nodes have it", func() string { return f.missing("two") })
	if log := reasons(f.status("--log", "50")); slices.ContainsFunc(log, func(r string) bool { return strings.HasPrefix(r, "abort") }) {
		t.Errorf("the log is %v", log)
	}
}

// TestServiceAway: the report service is away for the whole of a stage. Who was let in goes on, and nobody else is; when it is
// back, the rollout takes up where it was.
func TestServiceAway(t *testing.T) {
	t.Parallel()
	a := newApart(t, short(), 6)
	a.kill("node-05")
	a.awaitNode("node-05 is known to be silent", "node-05", report.Stale)
	a.commit("two", "")
	a.await("the canaries have it", func() string { return a.wants("node-00", "two") + a.wants("node-01", "two") })
	a.up.End(syscall.SIGKILL)
	a.stays(10*time.Second, "nobody can say that the canaries are well", func() string {
		if n := a.having("two"); n != 2 {
			return fmt.Sprintf("%d have it", n)
		}
		return ""
	})
	a.report()
	a.await("the last stage is open", func() string {
		if n := a.having("two"); n < 3 {
			return fmt.Sprintf("%d have it", n)
		}
		return ""
	})
	a.up.End(syscall.SIGKILL)
	a.run("node-05") // it was let in while it was off
	a.await("all nodes have it without the service", func() string { return a.missing("two") })
	a.report()
	s := a.awaitPhase(rollout.Completed, "")
	if s.Counts[rollout.Healthy] != 6 {
		t.Errorf("at its end there are %v", s.Counts)
	}
}
