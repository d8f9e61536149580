package rollouts

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

// spoken is a fleet of which every node comes to another end, with what holds it where it is: a mirror that keeps a manifest back, and a
// server for what the policy downloads, which lets nodes wait, and has nothing for some.
type spoken struct {
	*apart
	met  map[rollout.Word]bool
	open chan struct{} // closed: downloads are answered

	mu     sync.Mutex
	kept   string // digest that the mirror does not give
	denied string // node that cannot download
}

const tool = "tool\n"

const slowly = `kind: Rollout
channel: stable
gate: {soak: 8s, checkins: 2, success: 100%}
deadline: 1h
abort: {failed: {percent: 100, min: 10}, lost: {percent: 100, min: 10}}
checks: [{name: calm, expr: run.skipped < 2}]
window: WINDOW
stages:
  - {name: canary, when: stage == "trial", size: 100%, approve: {count: 1}}
  - {name: rest, size: 100%, approve: {count: 1}}
`

func newSpoken(t *testing.T) *spoken {
	t.Helper()
	s := &spoken{apart: prepareApart(t, strings.Replace(slowly, "WINDOW", "day", 1)), open: make(chan struct{}), met: map[rollout.Word]bool{}}
	mirror := httptest.NewServer(s)
	t.Cleanup(mirror.Close)
	s.mirror = strings.TrimPrefix(mirror.URL, "http://") + "/vigo/lab"
	far := strings.ToLower(time.Now().UTC().Add(72 * time.Hour).Weekday().String()[:3])
	s.repo.Put(map[string]string{
		"fleet.yaml": "kind: Fleet\nname: lab\ninterval: 1s\nlabels: [stage, bare]\nnodes:\n  - {match: \"node-0[0-4]\", labels: {stage: trial}}\n  - {match: node-02, labels: {bare: \"yes\"}}\n" +
			"windows:\n  day: {hours: \"00:00-24:00\", timezone: UTC}\n  far: {days: " + far + ", hours: \"00:00-24:00\", timezone: UTC}\n",
		"roles/base.yaml":          "kind: Role\nwhen: bare != \"yes\"\nmodules: [base]\n",
		"modules/base/module.yaml": "kind: Module\nresources:\n  - file: /etc/base\n    content: \"base\\n\"\n",
	})
	s.commit("one", "")
	s.report()
	s.controller = s.control("controller")
	s.enrol(s.address, 7)
	s.begin()
	s.enrol(s.address, 1) // and never start it
	return s
}

// ServeHTTP is the mirror, and the server for downloads.
func (s *spoken) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	kept, denied := s.kept, s.denied
	s.mu.Unlock()
	node, download := strings.CutPrefix(r.URL.Path, "/tool/")
	switch {
	case kept != "" && strings.HasSuffix(r.URL.Path, "/manifests/"+kept):
		http.Error(w, "not now", http.StatusServiceUnavailable)
	case !download:
		s.handler.ServeHTTP(w, r)
	case node == denied:
		http.NotFound(w, r)
	default:
		select {
		case <-s.open:
			_, _ = io.WriteString(w, tool) // an agent that is killed meanwhile
		case <-r.Context().Done():
		}
	}
}

// hold has the mirror keep the manifest of a digest back; "" gives all.
func (s *spoken) hold(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = digest
}

// deny has nothing to download for a node; "" has for all.
func (s *spoken) deny(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = node
}

// window makes another window that of the rollout.
func (s *spoken) window(name string) {
	s.repo.Put(map[string]string{"rollouts/stable.yaml": strings.Replace(slowly, "WINDOW", name, 1)}).Commit("the window " + name)
}

func (s *spoken) do(words ...string) {
	s.t.Helper()
	programs.Run(s.t, s.env(), "vigo", append([]string{"rollout"}, words...)...)
}

// is waits until the service says of a node that it is a word, with a text.
func (s *spoken) is(node string, word rollout.Word, text string) {
	s.t.Helper()
	s.met[word] = true
	s.await(fmt.Sprintf("%s is %s: %s", node, word, text), func() string {
		var n report.RolloutNode
		out := programs.Run(s.t, s.env(), "vigo", "rollout", "explain", node, "-o", "json")
		if err := json.Unmarshal([]byte(out), &n); err != nil {
			return err.Error()
		}
		if n.Word != word || !strings.Contains(n.Text, text) {
			return fmt.Sprintf("it is %s: %s", n.Word, n.Text)
		}
		return ""
	})
}

// says waits until a node itself says why it runs what it runs.
func (s *spoken) says(node string, why rollout.Why, text string) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s says %s: %s", node, why, text), func() string {
		var st agent.Status
		out := programs.Run(s.t, nil, "vigo-agent", "--root", filepath.Join(s.dir, node), "status", "-o", "json")
		if err := json.Unmarshal([]byte(out), &st); err != nil || st.Turn == nil {
			return fmt.Sprint(out, err)
		}
		if st.Turn.Why != why || !strings.Contains(st.Turn.Text, text) {
			return fmt.Sprintf("it says %s: %s", st.Turn.Why, st.Turn.Text)
		}
		return ""
	})
}

// keeps fails when a node has anything else for a while.
func (s *spoken) keeps(node, motd string) {
	s.t.Helper()
	s.stays(3*time.Second, node+" keeps what it has", func() string { return s.wants(node, motd) })
}

// TestEveryWord brings nodes to every word there is, and looks that what is said of them is so: by the service, by the node itself,
// and in what it has.
func TestEveryWord(t *testing.T) {
	t.Parallel()
	s := newSpoken(t)
	s.beforeItBegins()
	s.letIn()
	s.takenOver()
	s.over()
	for _, word := range rollout.Words() {
		if !s.met[word] && word != rollout.Ineligible { // see TestNobodyIsIneligible
			t.Errorf("no node was %s", word)
		}
	}
}

// beforeItBegins: node-04 is pinned, node-06 is off, node-07 never was there; the others wait for their turn.
func (s *spoken) beforeItBegins() {
	s.kill("node-06")
	s.awaitNode("node-06 is known to be silent", "node-06", report.Stale)
	programs.Run(s.t, nil, "vigo-agent", "--root", filepath.Join(s.dir, "node-04"), "pin", "--reason", "ann looks into it")
	s.says("node-04", rollout.WhyPinned, "somebody pinned this node")
	for _, name := range s.hosts.Names {
		if name != "node-01" && name != "node-03" { // on which this waits for a window that does not come
			s.write(name, "etc/later", "later\n")
		}
		if name != "node-01" {
			s.write(name, "etc/latest", "later\n")
		}
	}
	s.commit("two", fmt.Sprintf("    requires: [base/file:/etc/base]\n  - download: /etc/tool\n    url: http://%s/tool/{{ .node }}\n    sha256: %x\n"+
		"  - file: /etc/later\n    content: \"later\\n\"\n    window: far\n"+
		"  - file: /etc/latest\n    content: \"later\\n\"\n    window: far\n", strings.TrimSuffix(s.mirror, "/vigo/lab"), sha256.Sum256([]byte(tool))))
	s.awaitReason(rollout.WaitingApproval, "0 of 1 have approved")
	s.is("node-00", rollout.Pending, "its turn is yet to come: stage canary")
	s.is("node-05", rollout.Pending, "its turn is yet to come: stage rest")
	s.is("node-04", rollout.Pinned, "somebody pinned it to the bundle it has")
	s.is("node-06", rollout.Offline, "it has been silent for")
	s.is("node-07", rollout.Offline, "it has never been heard of")
	s.says("node-00", rollout.WhyStable, "its turn is yet to come")
	s.keeps("node-00", "one")
}

// letIn: the canaries may have it and cannot fetch it; then the window is closed, and it is paused.
func (s *spoken) letIn() {
	s.hold(s.status().Candidate)
	s.do("approve", "stable")
	s.is("node-00", rollout.Admitted, "stage canary has let it in; it has yet to take the new bundle")
	s.says("node-00", rollout.WhyAdmitted, "stage canary of the rollout has let it in")
	s.keeps("node-00", "one")
	s.window("far")
	s.is("node-00", rollout.Waiting, "does not while the window of the rollout is closed")
	s.says("node-00", rollout.WhyWindow, "the window of the rollout is closed")
	s.hold("")
	s.keeps("node-00", "one")
	s.do("pause", "stable")
	s.window("day")
	s.is("node-00", rollout.Admitted, "does not while the rollout is paused (by-operator)")
	s.says("node-00", rollout.WhyPaused, "the rollout is paused")
	s.keeps("node-00", "one")
}

// takenOver: one is well, one fails, one cannot run it, one dies.
func (s *spoken) takenOver() {
	s.deny("node-01")
	s.do("resume", "stable")
	s.is("node-00", rollout.Adopting, "it said that it is about to take the new bundle, by stage canary")
	s.says("node-00", rollout.WhyAdmitted, "stage canary of the rollout has let it in")
	s.await("node-00 is at it", func() string { return s.wants("node-00", "two") })
	s.is("node-02", rollout.SelfReverted, "it could not run the new bundle, and went back by itself")
	s.says("node-02", rollout.WhyAside, "it could not run the new bundle")
	close(s.open)
	s.is("node-00", rollout.Applied, "it has the new bundle by stage canary")
	s.says("node-00", rollout.WhyAdopted, "it took the new bundle when it was its turn")
	s.is("node-01", rollout.Failed, "its last run failed")
	s.says("node-01", rollout.WhyAdopted, "keeps it")
	s.is("node-03", rollout.Partial, "by stage canary, and 1 of its resources wait to do what is new, for a window, a turn or secrets")
	s.kill("node-03")
	s.is("node-03", rollout.Lost, "it took the new bundle by stage canary and has been silent for")
	s.is("node-00", rollout.Healthy, "it has the new bundle by stage canary and has been well for")
	s.deny("")
	s.is("node-01", rollout.Failed, "the check calm does not hold")
	for node, motd := range map[string]string{"node-00": "two", "node-01": "two", "node-02": "one", "node-03": "two", "node-04": "one", "node-05": "one", "node-06": "one", "node-07": ""} {
		if got := s.reads(node); got != motd {
			s.t.Errorf("%s has %q, want %q", node, got, motd)
		}
	}
	st := s.status()
	if st.Phase != rollout.Running || total(st.Counts) != 8 || st.Stages[0].State != "open" {
		s.t.Errorf("it is %s (%s), %s, %v", st.Phase, st.Reason, states(st.Stages), st.Counts)
	}
}

// over: it is aborted, and then taken back. Who has it leaves it; who is pinned stays.
func (s *spoken) over() {
	s.do("abort", "stable")
	s.is("node-05", rollout.Pending, "its turn did not come: the rollout is aborted (by-operator)")
	s.is("node-00", rollout.Healthy, "it has the new bundle by stage canary")
	s.keeps("node-00", "two")
	s.do("revert", "stable")
	s.awaitPhase(rollout.Reverted, "")
	s.await("node-00 has what was before", func() string { return s.wants("node-00", "one") })
	s.is("node-00", rollout.Admitted, "the rollout is taken back")
	s.says("node-00", rollout.WhyReverted, "the new bundle was taken back")
	programs.Run(s.t, nil, "vigo-agent", "--root", filepath.Join(s.dir, "node-04"), "unpin")
	s.says("node-04", rollout.WhyReverted, "the new bundle was taken back")
	if !slices.Contains(reasons(s.status("--log", "50")), string(rollout.ByOperator)) {
		s.t.Error("the log does not say who ended it")
	}
}

// write puts a file on a node by hand.
func (f *fleet) write(name, path, content string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name, path), []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// TestNobodyIsIneligible: the last stage is for everyone, so that no node gets by default what was held from others. A policy that leaves
// nodes out is refused, and says which stage does.
func TestNobodyIsIneligible(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := errors.Join(os.Mkdir(filepath.Join(dir, "rollouts"), 0o755), os.WriteFile(filepath.Join(dir, "fleet.yaml"), []byte("kind: Fleet\nname: lab\nlabels: [stage]\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "rollouts/stable.yaml"), []byte(strings.Replace(short(), "{name: rest, size: 100%}", "{name: rest, when: stage == \"rest\", size: 100%}", 1)), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	out, err := programs.Command(t, nil, "vigo", "lint", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nodes would get the bundle that were in no stage") {
		t.Errorf("%v: %s", err, out)
	}
}
