package reporting

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

func failsThrice() report.AlertRule {
	r := report.NewAlertRule("failing", report.EventFailed)
	r.Runs, r.Repeat, r.Quarantine = 3, 0, &report.QuarantineRule{Until: report.UntilReleased, Most: 5}
	return r
}

// fail has a node fail once more.
func (r *rig) fail(t *testing.T, node string, seq int64) {
	t.Helper()
	r.checkIn(t, report.CheckIn{Node: node, Seq: seq, Run: report.Summary{ID: strings.Repeat("r", int(seq)), Started: r.Now(), Counts: report.Counts{Failed: 1}}})
}

// TestQuarantine: a node whose runs fail three times in a row is marked, a signed webhook is called once, also over a restart, and a
// person lets it out. Its identity is left alone.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	r, h := hooked(t, nil)
	r.rules(t, failsThrice())
	r.join(t, "web-1")
	for i := range 2 {
		r.pass(half)
		r.fail(t, "web-1", int64(i+1))
		r.alertUntil(t, r.Now().Add(time.Second))
	}
	is(t, h.kinds())
	r.pass(half)
	r.fail(t, "web-1", 3)
	r.alertUntil(t, r.Now().Add(time.Second))
	kinds := h.kinds()
	slices.Sort(kinds)
	is(t, kinds, "firing failing/web-1", "quarantined node.quarantine/web-1")
	r.restart(t, 0)
	r.alertUntil(t, r.Now().Add(2*time.Second))
	if q := r.node(t, "web-1").Quarantine; q == nil || q.Rule != "failing" || len(h.kinds()) != 2 || !slices.Contains(r.problemKinds(t), "quarantine") {
		t.Errorf("in quarantine: %+v; told %q; problems %q", q, h.kinds(), r.problemKinds(t))
	}
	r.fail(t, "web-1", 4) // it may check in as before
	must(t, r.Release(t.Context(), "web-1"))
	refusedAs(t, "released already", r.Release(t.Context(), "web-1"), api.ErrNotFound)
	r.alertUntil(t, r.Now().Add(2*time.Second))
	if q := r.node(t, "web-1").Quarantine; q != nil || h.kinds()[2] != "released node.quarantine/web-1" {
		t.Errorf("still in: %+v, told %q", q, h.kinds())
	}
	if got := r.eventKinds(t, "web-1"); !slices.Equal(got, []string{"node.released", "node.quarantine", "node.enrolled"}) {
		t.Errorf("events %q", got)
	}
}

// TestReplicasKnowQuarantine: the service that leads puts nodes in; the others show it, and let them out as well.
func TestReplicasKnowQuarantine(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.second(t)
	must(t, p.a.PutAlertRules(t.Context(), []report.AlertRule{failsThrice()}))
	p.a.join(t, "web-1")
	for i := range 3 {
		p.pass(half)
		p.a.fail(t, "web-1", int64(i+1))
	}
	must(t, p.a.Alert(t.Context()))
	must(t, p.b.Refresh(t.Context()))
	if q := p.b.node(t, "web-1").Quarantine; q == nil {
		t.Fatal("b does not know of it")
	}
	must(t, p.b.Release(t.Context(), "web-1"))
	must(t, p.a.Refresh(t.Context()))
	if q := p.a.node(t, "web-1").Quarantine; q != nil {
		t.Errorf("a still has it in: %+v", q)
	}
	for range 3 { // it still fails, and is not put in again
		p.pass(time.Second)
		must(t, p.a.Alert(t.Context()))
	}
	if got := p.a.eventKinds(t, "web-1"); !slices.Equal(got, []string{"node.released", "node.quarantine", "node.enrolled"}) {
		t.Errorf("events %q", got)
	}
}

// TestReceiversAreOthers: who is told can be changed while the service runs; what waits goes where they are now, and a broken file is
// a problem that is seen.
func TestReceiversAreOthers(t *testing.T) {
	t.Parallel()
	r, h := hooked(t, nil)
	r.rules(t, report.NewAlertRule("node", report.EventStale))
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	old := r.tell
	h.refuse = func(int) int { return 503 }
	r.alertUntil(t, noon.Add(100*time.Second))
	is(t, h.kinds())
	conf := deliver.Config{Receivers: map[string]deliver.Receiver{"pager": {Webhook: &deliver.Webhook{URL: h.URL + "/new", CA: h.ca}},
		"second": {Webhook: &deliver.Webhook{URL: h.URL + "/second", CA: h.ca}}}, Default: []string{"pager"}}
	next, err := deliver.New(conf, h.keyFile, "acme", "test")
	must(t, err)
	h.refuse = func(int) int { return 0 }
	r.RefuseReceivers(errors.New("a mistake"))
	if kinds := r.problemKinds(t); !slices.Contains(kinds, "alert") {
		t.Errorf("problems %q", kinds)
	}
	r.UseReceivers(next)
	if kinds := r.problemKinds(t); slices.Contains(kinds, "alert") {
		t.Errorf("problems afterwards %q", kinds)
	}
	r.alertUntil(t, r.Now().Add(2*time.Minute))
	is(t, h.kinds(), "firing node/web-1")
	must(t, r.TestReceiver(t.Context(), "second"))
	r.UseReceivers(old)
	refusedAs(t, "a receiver of before", r.TestReceiver(t.Context(), "second"), api.ErrNotFound)
}
