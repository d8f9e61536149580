package reporting

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// second has both services do what is due.
func (p *pair) second(t *testing.T) {
	t.Helper()
	for _, r := range []*rig{p.a, p.b} {
		must(t, r.Refresh(t.Context()))
		r.Tick(t.Context())
	}
}

// TestReplicasLead: what happens to the presence of a node is written once, by the leader; when it dies in any moment, the
// next one goes on where it was.
func TestReplicasLead(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.a.join(t, "web-1")
	p.a.checkIn(t, report.CheckIn{Node: "web-1", Seq: 1})
	p.a.passTo(t, p.b)
	if p.second(t); !p.a.Leads() || p.b.Leads() {
		t.Fatalf("the first leads: %t %t", p.a.Leads(), p.b.Leads())
	}
	silence := func() {
		t.Helper()
		for range 3 * int(half/pause) {
			p.pass(pause)
			p.second(t)
		}
		p.pass(time.Second)
	}
	silence()
	p.second(t)
	must(t, p.a.DB.Close()) // after it has written that the node is stale
	must(t, p.b.Refresh(t.Context()))
	p.b.Tick(t.Context())
	if !p.b.Leads() {
		t.Fatal("the leader has gone, and the other does not lead")
	}
	p.b.checkIn(t, report.CheckIn{Node: "web-1", Seq: 2})
	p.b.Tick(t.Context())
	c := p.replica(t, p.a.ca, p.a.path)
	p.a, p.b = p.b, c
	silence()
	p.b.Tick(t.Context()) // knows that the node is stale, and does not write
	must(t, p.a.DB.Close())
	must(t, p.b.Refresh(t.Context()))
	p.b.Tick(t.Context())
	p.b.Tick(t.Context())
	want := []string{"node.stale", "node.back", "node.stale", "node.enrolled"}
	if got := p.b.eventKinds(t, "web-1"); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestReplicasHearOneAnother: a node that checks in at one service is not stale for the other; nor while the other cannot read
// what the first has heard, nor before the nodes had time to come back after that.
func TestReplicasHearOneAnother(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.a.join(t, "web-1")
	p.a.join(t, "gone")
	p.a.checkIn(t, report.CheckIn{Node: "gone", Seq: 1})
	p.a.passTo(t, p.b)
	seq := int64(1)
	hear := func() {
		t.Helper()
		seq++
		p.b.checkIn(t, report.CheckIn{Node: "web-1", Seq: seq})
		must(t, p.b.DB.PutNote(t.Context(), "settled", seq))
	}
	for range 20 {
		p.pass(pause)
		hear()
		p.second(t)
	}
	presences := func() [2]report.Presence {
		return [2]report.Presence{p.a.node(t, "web-1").Presence, p.a.node(t, "gone").Presence}
	}
	want := [2]report.Presence{report.Live, report.Stale}
	if got := presences(); got != want {
		t.Errorf("a says %v", got)
	}
	for range 20 { // a is cut off
		p.pass(pause)
		hear()
		p.a.Tick(t.Context())
		p.b.Tick(t.Context())
		if got := presences(); got != want {
			t.Fatalf("cut off, a says %v", got)
		}
	}
	if code := p.a.ready(); code != http.StatusServiceUnavailable {
		t.Errorf("cut off, a says that it is ready: %d", code)
	}
	p.second(t)
	if got := presences(); got != want || p.a.ready() != http.StatusOK {
		t.Errorf("back, a says %v", got)
	}
	if until := p.a.status(t).Amnesty; !until.Equal(p.Now().Add(3 * half)) {
		t.Errorf("back, nodes have until %s to be heard of", until)
	}
	if got := p.a.eventKinds(t, "web-1"); !slices.Equal(got, []string{"node.enrolled"}) {
		t.Errorf("events %q", got)
	}
}

func (r *rig) ready() int {
	answer := httptest.NewRecorder()
	r.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return answer.Code
}

// TestReplicasAuthority: a service with another authority is refused: nodes would be turned away by every second connection.
func TestReplicasAuthority(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ca, err := identity.NewCA("acme", noon.AddDate(-1, 0, 0))
	must(t, err)
	db, err := sqlstore.OpenPostgres(t.Context(), p.a.path, sqlstore.Options{})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	c := p.a.Config
	c.DB, c.CA = db, ca
	if _, err := New(t.Context(), c); err == nil {
		t.Error("it was let in")
	}
}

// TestReplicasAmnesty: a service that joins others that listen takes over since when they do; one that is alone was away.
func TestReplicasAmnesty(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	must(t, p.a.markAlive(t.Context()))
	p.pass(5 * time.Second)
	if until := p.replica(t, p.a.ca, p.a.path).status(t).Amnesty; !until.IsZero() {
		t.Errorf("others listen, and nobody is stale until %s", until)
	}
	must(t, p.a.DB.Close())
	must(t, p.b.DB.Close())
	alone := p.replica(t, p.a.ca, p.a.path)
	if until := alone.status(t).Amnesty; !until.Equal(p.Now().Add(3 * half)) {
		t.Errorf("nobody listened, and nodes have until %s to come back", until)
	}
}
