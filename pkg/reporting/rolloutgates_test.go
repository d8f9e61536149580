package reporting

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trait"
)

// A board is a webhook that is asked about rollouts. It checks that questions are signed.
type board struct {
	mu     sync.Mutex
	status int
	says   string
	asked  []GateQuestion
	bad    []string
}

func (b *board) set(status int, says string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.says = status, says
}

func (b *board) questions() []GateQuestion {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// staged is a service with ten nodes that take part in rollouts, and a board.
type staged struct {
	*rig
	*board
	plan  api.RolloutPlan
	has   map[string]string
	load  map[string]float64
	boots map[string]string
	runs  int
	fails map[string]bool
	waits map[string]int // resources
}

const newer = "sha256:3333333333333333333333333333333333333333333333333333333333333333"

func newStaged(t *testing.T, spec rollout.Spec) *staged {
	t.Helper()
	b := &board{status: 200}
	var r *rig
	var h *pager
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		var q GateQuestion
		if err != nil || json.Unmarshal(body, &q) != nil {
			b.bad = append(b.bad, string(body))
		}
		if err := deliver.Verify(h.key, req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp"), req.Header.Get("Webhook-Signature"), body, time.Now()); err != nil {
			b.bad = append(b.bad, err.Error())
		}
		b.asked = append(b.asked, q)
		w.WriteHeader(b.status)
		_, _ = io.WriteString(w, b.says)
	}))
	t.Cleanup(web.Close)
	ca := filepath.Join(t.TempDir(), "board.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600))
	r, h = hooked(t, func(c *deliver.Config) {
		c.Receivers["board"] = deliver.Receiver{Webhook: &deliver.Webhook{URL: web.URL + "/gate", CA: ca}}
	})
	must(t, r.DB.Close())
	r.traits = func(s *expr.Schema) {
		s.Trait("load", reflect.TypeFor[struct {
			One float64 `json:"one"`
		}]())
	}
	r.start(t)
	spec.Channel = "stable"
	s := &staged{rig: r, board: b, has: map[string]string{}, load: map[string]float64{}, boots: map[string]string{}, fails: map[string]bool{}, waits: map[string]int{},
		plan: api.RolloutPlan{Channel: "stable", Spec: spec.WithDefaults(), Stable: bundle.Target{Digest: current, Commit: "aaaa"}, Candidate: bundle.Target{Digest: newer, Commit: "bbbb"}}}
	for i := range 10 {
		name := fmt.Sprintf("web-%d", i)
		r.join(t, name)
		s.has[name], s.load[name], s.boots[name] = current, 1, "a"
	}
	s.pass(t, 2*time.Minute)
	return s
}

// pass lets time go by: all nodes report, and take what their turn gives them; the service steps and asks.
func (s *staged) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for end := s.Now().Add(d); s.Now().Before(end); {
		s.rig.pass(half)
		says, err := s.Roll(t.Context(), s.plan)
		must(t, err)
		s.runs++
		for name := range s.has {
			s.report(t, says, name)
		}
		s.step(t)
	}
}

func (s *staged) report(t *testing.T, says rollout.Signed, name string) {
	t.Helper()
	d := rollout.Decide(says, rollout.Place{Node: name, Current: s.has[name], Meets: func(string) (bool, error) { return true, nil }})
	adopting := ""
	if d.Target != s.has[name] {
		adopting = d.Target
	}
	f := facet(t, "load", map[string]any{"one": s.load[name]})
	in := report.CheckIn{Node: name, Channel: "stable", Bundle: s.has[name], Adopting: adopting, Boot: s.boots[name], Traits: f.Digest, Facets: map[string]string{"load": f.Digest},
		Run: report.Summary{ID: fmt.Sprint("run-", s.runs), Took: 2 * time.Second, Counts: report.Counts{OK: 1}}}
	if s.has[name] == newer && s.fails[name] {
		in.Run.Took = time.Minute
	}
	if s.has[name] == newer {
		in.Run.Counts.Waiting = s.waits[name]
	}
	if answer := s.checkIn(t, in); len(answer.Need) > 0 {
		must(t, s.PutFacets(t.Context(), name, report.Facets{Node: name, Facets: []trait.Facet{f}}))
	}
	if adopting != "" {
		s.has[name] = adopting
	}
}

// step moves the rollout, asks, waits for the answers, and moves it again.
func (s *staged) step(t *testing.T) {
	t.Helper()
	must(t, s.tickRollouts(t.Context()))
	s.askRollouts(t.Context())
	s.rollouts.asks.wait()
	must(t, s.tickRollouts(t.Context()))
}

func (s *staged) want(t *testing.T, p rollout.Phase, reason rollout.Reason, detail string) report.RolloutStatus {
	t.Helper()
	list, err := s.Rollouts(t.Context(), "stable", 10)
	must(t, err)
	got := list[0]
	if got.Phase != p || reason != "" && got.Reason != reason || !strings.Contains(got.Detail, detail) {
		t.Fatalf("it is %s (%s, %s), want %s (%s, %s); %v", got.Phase, got.Reason, got.Detail, p, reason, detail, got.Counts)
	}
	return got
}

func twoStages() rollout.Spec {
	gate := rollout.Gate{Soak: time.Second, Checkins: 1, Success: 100}
	return rollout.Spec{Stages: []rollout.Stage{{Name: "canary", Size: rollout.Share{Nodes: 3}, Gate: gate}, {Name: "rest", Size: rollout.Share{Percent: 100}, Gate: gate}},
		Abort: rollout.Abort{Failed: rollout.Limit{Percent: 50, Min: 2}, Lost: rollout.Limit{Percent: 50, Min: 2}}}
}

// TestAWebhookIsAsked with a signature whether a rollout may go on; only its word lets it, and everything else waits and is shown.
func TestAWebhookIsAsked(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Stages[0].Gate.Ask = rollout.Ask{Of: []string{"board"}}
	s := newStaged(t, spec)
	for _, try := range []struct {
		status       int
		says, detail string
	}{
		{503, `{"verdict": "accept"}`, "board cannot be asked: "},
		{200, `ok`, "not the JSON document"},
		{200, `{}`, "it has no verdict"},
		{200, `{"verdict": "yes"}`, "none of accept, refuse and wait"},
		{302, `{"verdict": "accept"}`, "answers 302"},
		{200, `{"verdict": "wait", "reason": "error budget\nis used up"}`, "board says wait: error budget is used up"},
	} {
		s.set(try.status, try.says)
		s.pass(t, 3*time.Minute)
		s.want(t, rollout.Running, rollout.WaitingGate, try.detail)
	}
	s.set(200, `{"verdict": "accept", "reason": "fine"}`)
	s.pass(t, 5*time.Minute)
	s.want(t, rollout.Completed, "", "")
	if len(s.bad) > 0 {
		t.Errorf("questions that are wrong: %v", s.bad)
	}
	q := s.questions()[0]
	if q.Type != "vigo.rollout.gate" || q.Fleet != "acme" || q.Stage != "canary" || q.Next != "rest" || q.Commit != "bbbb" || q.Members != 3 || q.Counts[rollout.Healthy] != 3 {
		t.Errorf("it is asked %+v", q)
	}
}

// TestAWebhookRefuses, and the rollout is over.
func TestAWebhookRefuses(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Stages[0].Gate.Ask = rollout.Ask{Of: []string{"board"}}
	s := newStaged(t, spec)
	s.set(200, `{"verdict": "refuse", "reason": "errors went up"}`)
	s.pass(t, 3*time.Minute)
	s.want(t, rollout.Aborted, "abort:gate:board", "errors went up")
	asked := len(s.questions())
	s.pass(t, 3*time.Minute)
	if len(s.questions()) != asked {
		t.Error("it is asked again although it refused")
	}
}

// TestNobodyKnowsTheWebhook: a name that the service has no receiver of waits, and pauses at the deadline.
func TestNobodyKnowsTheWebhook(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Stages[0].Gate.Ask = rollout.Ask{Of: []string{"slo"}, Deadline: 5 * time.Minute}
	s := newStaged(t, spec)
	s.pass(t, 4*time.Minute)
	s.want(t, rollout.Running, rollout.WaitingGate, `knows no webhook "slo"`)
	s.pass(t, 6*time.Minute)
	s.want(t, rollout.Paused, rollout.ProgressDeadline, `knows no webhook "slo"`)
}

// TestNodesAreCompared with those that do not have the candidate: their median, which one odd node does not move; and when too few
// are left, the last one.
func TestNodesAreCompared(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Checks = []rollout.Check{{Name: "load", Expr: "load.one <= 1.5 * control(load.one)", For: 2}}
	s := newStaged(t, spec)
	s.pass(t, time.Minute)
	odd := ""
	for name, digest := range s.has {
		if digest == current {
			odd = name
		}
	}
	s.load[odd] = 500 // whatever it does
	s.pass(t, 2*time.Minute)
	s.load[odd] = 1
	s.pass(t, 5*time.Minute)
	s.want(t, rollout.Completed, "", "")

	spec.Stages[0].Gate.Soak = 2 * time.Minute
	s = newStaged(t, spec)
	s.pass(t, time.Minute)
	for name, digest := range s.has {
		s.load[name] = 1
		if digest == newer {
			s.load[name] = 2
		}
	}
	s.pass(t, 3*time.Minute)
	s.want(t, rollout.Aborted, rollout.AbortCheck("load"), "3 of 3 failed")
}

// TestNobodyToCompareWith: when all are in the first stage there never was anybody, so nobody passes, and it says so.
func TestNobodyToCompareWith(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Stages = spec.Stages[1:]
	spec.Deadline = 10 * time.Minute
	spec.Checks = []rollout.Check{{Name: "load", Expr: "load.one <= 1.5 * control(load.one)", For: 2}}
	s := newStaged(t, spec)
	for name := range s.has {
		s.has[name] = newer // by hand, before there was a rollout
	}
	s.plan.Candidate.Digest = newer
	delete(s.rollouts.by, "stable")
	must(t, s.DB.PutRollout(t.Context(), "stable", map[string][]byte{headDoc: nil}))
	s.pass(t, 5*time.Minute)
	s.want(t, rollout.Running, rollout.CheckUnknown, "0 nodes without the candidate have load.one")
	s.pass(t, 10*time.Minute)
	s.want(t, rollout.Paused, rollout.ProgressDeadline, "load: 0 nodes")
}

// TestRunsAreChecked: a check looks at the last run of a node.
func TestRunsAreChecked(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Checks = []rollout.Check{{Name: "quick", Expr: "run.failed == 0 and run.seconds <= 3 * control(run.seconds)", For: 2, Abort: rollout.Limit{Percent: 60, Min: 2}}}
	s := newStaged(t, spec)
	for name := range s.has {
		s.fails[name] = true // with the candidate its runs take a minute
	}
	s.pass(t, 4*time.Minute)
	s.want(t, rollout.Aborted, rollout.AbortCheck("quick"), "")
}

// TestABootIsSeen: a node that was started anew has to show another run before it counts.
func TestABootIsSeen(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Stages[0].Gate.Soak = 3 * time.Minute
	s := newStaged(t, spec)
	s.pass(t, 2*time.Minute)
	for name, digest := range s.has {
		if digest == newer {
			s.boots[name] = "b"
		}
	}
	s.pass(t, half)
	for name, digest := range s.has {
		if n, err := s.ExplainRollout(t.Context(), name); err != nil || digest == newer && n.Progress.Await == "" {
			t.Errorf("%s was started anew: %+v, %v", name, n, err)
		}
	}
	s.pass(t, 2*time.Minute)
	if got := s.want(t, rollout.Running, rollout.Soaking, ""); got.Counts[rollout.Healthy] != 0 {
		t.Errorf("the soak did not begin again: %v", got.Counts)
	}
	s.pass(t, 8*time.Minute)
	s.want(t, rollout.Completed, "", "")
}

// TestConsents: who agreed by commits is counted once, if the stage asks them.
func TestConsents(t *testing.T) {
	t.Parallel()
	spec := twoStages()
	spec.Stages[0].Approve = rollout.Approve{Count: 2, By: []string{"ann", "bob@example.com"}, File: "rollouts/approvals/stable.yaml"}
	s := newStaged(t, spec)
	agree := func(by string) {
		s.plan.Consents = append(s.plan.Consents, rollout.Command{Do: rollout.DoApprove, Stage: "canary", By: by})
		s.pass(t, 2*half)
	}
	agree("ann,ann@example.com")
	agree("eve@example.com")
	agree("ann@example.com")
	s.want(t, rollout.Running, rollout.WaitingApproval, "1 of 2")
	agree("bob@example.com")
	s.pass(t, 6*time.Minute)
	s.want(t, rollout.Completed, "", "")

	spec.Stages[0].Approve.OnlyCommits = true
	s = newStaged(t, spec)
	s.pass(t, half)
	_, err := s.CommandRollout(t.Context(), "stable", rollout.Command{Do: rollout.DoApprove, By: "ann"}, "admin")
	refusedAs(t, "a command where commits are the only way", err, api.ErrForbidden)
}

// TestAReportThatComesWhileChecksAreLookedAt is for the next step: it is not taken without them.
func TestAReportThatComesWhileChecksAreLookedAt(t *testing.T) {
	t.Parallel()
	one, two := noon, noon.Add(half)
	n := &node{seen: two}
	n.Name = "web-1"
	for _, try := range []struct {
		m    measured
		p    rollout.Progress
		want time.Time
	}{
		{measured{}, rollout.Progress{}, two}, // there are no checks
		{measured{seen: map[string]time.Time{"web-1": two}}, rollout.Progress{Seen: one}, two},
		{measured{seen: map[string]time.Time{"web-1": one}}, rollout.Progress{}, one},
		{measured{seen: map[string]time.Time{}}, rollout.Progress{Seen: one}, one},
		{measured{seen: map[string]time.Time{}}, rollout.Progress{Seen: two}, two},
	} {
		if got := try.m.of(n, try.p); !got.Equal(try.want) {
			t.Errorf("%+v %+v: %s", try.m, try.p, got)
		}
	}
}
