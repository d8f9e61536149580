package reporting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
	"vigo.dev/test/postgres"
)

// pair is two services on one database, with one clock.
type pair struct {
	*clock
	a, b *rig
}

func newPair(t *testing.T) *pair {
	t.Helper()
	ca, err := identity.NewCA("acme", noon.AddDate(-1, 0, 0))
	must(t, err)
	address := one.Database(t)
	p := &pair{clock: &clock{at: noon}}
	p.a, p.b = p.replica(t, ca, address), p.replica(t, ca, address)
	return p
}

// replica starts a further service on a database.
func (p *pair) replica(t *testing.T, ca *identity.CA, address string) *rig {
	t.Helper()
	db, err := sqlstore.OpenPostgres(t.Context(), address, sqlstore.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	r := &rig{clock: p.clock, path: address, ca: ca}
	r.Service, err = New(t.Context(), Config{DB: db, CA: ca, Fleet: "acme", Channel: "stable", Interval: half, TrustRoot: []byte("root"),
		Registry: []string{"registry/acme"}, Schema: expr.NewSchema(), Log: slog.New(slog.DiscardHandler), Now: p.Now})
	must(t, err)
	return r
}

// passTo has what one service was told reach the other.
func (r *rig) passTo(t *testing.T, other *rig) {
	t.Helper()
	must(t, r.DB.PutNote(t.Context(), "settled", 1)) // the check-ins that wait are in the same group, or in one before
	must(t, other.Refresh(t.Context()))
}

// TestReplicas: what one service was told is known to the other: who a node is, that it lives, how its runs went, what it has,
// what is published, and who may ask.
func TestReplicas(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, b := p.a, p.b
	a.join(t, "web-1")
	if _, err := b.NodeKey("web-1"); err != nil {
		t.Errorf("b is asked before it could read the feed: %v", err)
	}
	a.publish(t, note())
	debian := facet(t, "os", map[string]any{"name": "debian"})
	p.pass(half)
	run := report.Summary{ID: "run-1", Started: p.Now(), Counts: report.Counts{Failed: 1}}
	a.checkIn(t, report.CheckIn{Node: "web-1", Seq: 5, Run: run, Bundle: current, Pointer: "1.7", Traits: "sha256:t", Facets: map[string]string{"os": debian.Digest}})
	must(t, a.PutFacets(t.Context(), "web-1", report.Facets{Facets: []trait.Facet{debian}}))
	must(t, a.PutRuns(t.Context(), "web-1", []report.Run{{ID: "run-1", Started: p.Now(), Results: []report.Result{{ID: "site/file:/x", Outcome: report.Failed, Reason: "no room"}}}}))
	a.passTo(t, b)

	on, there := fmt.Sprintf("%+v", a.node(t, "web-1")), fmt.Sprintf("%+v", b.node(t, "web-1"))
	if on != there {
		t.Errorf("a knows %s\nb knows %s", on, there)
	}
	st := b.status(t)
	if st.Presences.Live != 1 || st.Compliances.Failed != 1 || len(st.Channels) != 1 || st.Channels[0].Cur != 1 || st.Rate == 0 {
		t.Errorf("b says %+v", st)
	}
	answer := b.checkIn(t, report.CheckIn{Node: "web-1", Seq: 6, Run: run, Bundle: current, Pointer: "1.7", Traits: "sha256:t"})
	if answer.Names || len(answer.Need) > 0 {
		t.Errorf("b asks again for what a has: %+v", answer)
	}
	b.readDocuments(t.Context(), false)
	found, err := b.Inventory(t.Context(), report.Question{Count: "os.name"})
	must(t, err)
	if !slices.Contains(found.Counts, report.ValueCount{Value: "debian", Nodes: 1}) || found.Lacking != 0 {
		t.Errorf("b finds %+v", found)
	}

	token, err := a.AddOperator(t.Context(), api.Operator{Name: "jane", Role: identity.RoleViewer})
	must(t, err)
	if _, err := b.Operator(token); err != nil {
		t.Errorf("b is asked before it could read the feed: %v", err)
	}
	must(t, a.RemoveOperator(t.Context(), "jane"))
	must(t, a.Retire(t.Context(), "web-1"))
	a.passTo(t, b)
	_, err = b.Operator(token)
	refusedAs(t, "an operator that was removed elsewhere", err, api.ErrUnauthorized)
	_, err = b.CheckIn(t.Context(), report.CheckIn{Node: "web-1", Seq: 7})
	refusedAs(t, "a node that was retired elsewhere", err, api.ErrRetired)
}

// TestReplicasReplay: a request that one service has accepted is refused by the other, and by one that starts.
func TestReplicasReplay(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.a.join(t, "web-1")
	must(t, p.a.Accept("web-1", 7))
	p.a.passTo(t, p.b)
	for _, counter := range []int64{7, 6} {
		if err := p.b.Accept("web-1", counter); !errors.Is(err, identity.ErrReplay) {
			t.Errorf("%d: %v", counter, err)
		}
	}
	must(t, p.b.Accept("web-1", 8))
	p.b.passTo(t, p.a)
	if err := p.a.Accept("web-1", 8); !errors.Is(err, identity.ErrReplay) {
		t.Errorf("8, back: %v", err)
	}
	c := p.replica(t, p.a.ca, p.a.path)
	if err := c.Accept("web-1", 8); !errors.Is(err, identity.ErrReplay) {
		t.Errorf("8, on one that starts: %v", err)
	}
}

// TestReplicasLost: a service that was cut off for longer than changes are kept reads everything anew.
func TestReplicasLost(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, b := p.a, p.b
	a.join(t, "web-1")
	a.passTo(t, b)
	a.join(t, "web-2")
	debian := facet(t, "os", map[string]any{"name": "debian"})
	a.checkIn(t, report.CheckIn{Node: "web-2", Seq: 1, Traits: "sha256:t", Facets: map[string]string{"os": debian.Digest}})
	must(t, a.PutFacets(t.Context(), "web-2", report.Facets{Facets: []trait.Facet{debian}}))
	a.publish(t, note())
	token, err := a.AddOperator(t.Context(), api.Operator{Name: "jane", Role: identity.RoleViewer})
	must(t, err)
	must(t, a.DB.PutNote(t.Context(), "settled", 1))
	must(t, a.DB.PruneFeed(t.Context(), p.Now().AddDate(10, 0, 0)))
	must(t, b.Refresh(t.Context()))
	if on, there := fmt.Sprintf("%+v", a.node(t, "web-2")), fmt.Sprintf("%+v", b.node(t, "web-2")); on != there {
		t.Errorf("a knows %s\nb knows %s", on, there)
	}
	if _, err := b.Operator(token); err != nil || b.status(t).Channels[0].Pointer != "1.7" {
		t.Errorf("b knows of jane: %v, and of channels %+v", err, b.status(t).Channels)
	}
	b.readDocuments(t.Context(), false)
	found, err := b.Inventory(t.Context(), report.Question{Count: "os.name"})
	must(t, err)
	if !slices.Contains(found.Counts, report.ValueCount{Value: "debian", Nodes: 1}) || found.Lacking != 0 {
		t.Errorf("b finds %+v", found)
	}
}

// TestReplicasAwait: that a rollout waits for a run of one node behind a hub is known to the service that the hub reports to, whichever
// that is; also when that one has heard of the node meanwhile.
func TestReplicasAwait(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, b := p.a, p.b
	a.hub(t, "plant")
	a.join(t, "web-1")
	a.passTo(t, b)
	seq := int64(0)
	says := func(to *rig, run string, spooled int) {
		seq++
		p.pass(time.Second)
		to.checkIn(t, report.CheckIn{Node: "web-1", Seq: seq, Hub: "plant", Spooled: spooled, Run: report.Summary{ID: run, Counts: report.Counts{OK: 1}}})
	}
	says(b, "run-1", 0)
	b.passTo(t, a)
	if answer := b.hubReport(t, "plant", "web-1"); len(answer.Verbatim) > 0 {
		t.Fatalf("nothing is awaited, and the hub is asked for %v", answer.Verbatim)
	}
	a.mu.Lock()
	a.await(a.nodes["web-1"], "run-1", p.Now())
	a.mu.Unlock()
	must(t, a.DB.PutNote(t.Context(), "settled", 1))
	says(b, "run-1", 1) // before it knows, and it writes over what a has kept
	b.passTo(t, a)
	a.passTo(t, b)
	for name, s := range map[string]*rig{"a": a, "b": b} {
		if answer := s.hubReport(t, "plant", "web-1"); !slices.Equal(answer.Verbatim, []string{"web-1"}) {
			t.Errorf("%s asks the hub for %v", name, answer.Verbatim)
		}
	}
	says(b, "run-2", 1)
	if answer := b.hubReport(t, "plant", "web-1"); len(answer.Verbatim) > 0 {
		t.Errorf("run-2 is there, and the hub is asked for %v", answer.Verbatim)
	}
	b.passTo(t, a)
	if answer := a.hubReport(t, "plant", "web-1"); len(answer.Verbatim) > 0 {
		t.Errorf("run-2 is there, and a asks the hub for %v", answer.Verbatim)
	}
}

// TestReplicasFollow: nobody has to ask: a service that runs takes over by itself.
func TestReplicasFollow(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { must(t, p.b.Run(ctx)) })
	defer running.Wait()
	defer stop()
	p.a.join(t, "web-1")
	p.a.checkIn(t, report.CheckIn{Node: "web-1", Seq: 1})
	for p.b.status(t).Presences.Live != 1 {
		must(t, t.Context().Err())
		must(t, p.b.DB.PutNote(t.Context(), "asking", 1)) // takes the time of a commit
	}
}

// one is the server of all tests; TestMain ends it.
var one postgres.Shared

func TestMain(m *testing.M) { os.Exit(one.Main(m)) }
