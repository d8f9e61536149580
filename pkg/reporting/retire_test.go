package reporting

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// ephemeral has a node join with a token that has its nodes retired after a day of silence.
func (r *rig) ephemeral(t *testing.T, name string) identity.NodeKey {
	t.Helper()
	key, err := identity.NewNodeKey()
	must(t, err)
	_, err = r.enroll(t, key, r.tokenFor(t, api.TokenRequest{RetireAfter: 24 * time.Hour}), name)
	must(t, err)
	return key
}

func (r *rig) presenceOf(t *testing.T, name string) report.Presence {
	t.Helper()
	return r.node(t, name).Presence
}

// TestRetireSilent: who has gone for good is retired when its time is over and not before, also one that joined and never said
// anything; nodes whose token says nothing are left alone. Why is in the events and in the audit log.
func TestRetireSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "db-1")
	r.join(t, "db-2")
	for _, name := range []string{"w-1", "w-2", "w-stillborn"} {
		r.ephemeral(t, name)
	}
	said := int64(0)
	hour := func(names ...string) {
		r.listenUntil(t, r.Now().Add(time.Hour))
		said++
		for _, name := range names {
			r.checkIn(t, report.CheckIn{Node: name, Seq: said})
		}
		r.retireSilent(t.Context())
	}
	hour("db-1", "db-2", "w-1", "w-2")
	for range 22 {
		hour("db-1", "w-1")
	}
	if got := r.presenceOf(t, "w-stillborn"); got != report.Never {
		t.Errorf("23 hours after it joined, w-stillborn is %s", got)
	}
	hour("db-1", "w-1")
	if got, others := r.presenceOf(t, "w-stillborn"), r.presenceOf(t, "w-2"); got != report.Retired || silent(others) == false {
		t.Errorf("a day after it joined, w-stillborn is %s, and w-2, silent for 23 hours, %s", got, others)
	}
	hour("db-1", "w-1")
	for name, want := range map[string]report.Presence{"w-1": report.Live, "w-2": report.Retired, "db-1": report.Live, "db-2": report.Stale} {
		if got := r.presenceOf(t, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	e := r.node(t, "w-2").Events[0]
	if e.Kind != "node.retired" || !strings.HasPrefix(e.Text, "last seen 2026-11-25T13:00:00Z; token ") || !strings.HasSuffix(e.Text, " gives its nodes 24h0m0s") {
		t.Errorf("the event is %+v", e)
	}
	if n := r.node(t, "w-1"); n.RetireAfter != 24*time.Hour {
		t.Errorf("w-1 may be silent for %s", n.RetireAfter)
	}
}

// TestRetireSilentNot: nobody is retired for a silence that may be that of something else.
func TestRetireSilentNot(t *testing.T) {
	t.Parallel()
	const after = 48 * time.Hour
	for name, c := range map[string]struct {
		away   time.Duration // of the service itself
		silent time.Duration // of the node, while the service listens
		live   bool          // another node is heard of
		want   bool          // it is retired
	}{
		"others are heard of, and it is not":            {silent: after, live: true, want: true},
		"nobody is heard of":                            {silent: after},
		"the service was down":                          {away: after, live: true},
		"the service was down for a part of it":         {away: after - time.Hour, silent: time.Hour, live: true},
		"the service was down, and then it went silent": {away: time.Hour, silent: after, live: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.join(t, "web-1")
			r.join(t, "web-2")
			r.checkIn(t, report.CheckIn{Node: "web-1", Seq: 1})
			r.listenUntil(t, r.Now().Add(time.Second))
			if c.away > 0 {
				r.restart(t, c.away)
			}
			r.RetireAfter = after
			r.listenUntil(t, r.Now().Add(c.silent+time.Second))
			if c.live {
				r.checkIn(t, report.CheckIn{Node: "web-2", Seq: 1})
			}
			r.retireSilent(t.Context())
			if got := r.node(t, "web-1").Presence; (got == report.Retired) != c.want {
				t.Errorf("web-1 is %s", got)
			}
		})
	}
}

// TestRetireSilentBehindHub: a node is not retired while the hub it is behind is dark; a hub never is by itself.
func TestRetireSilentBehindHub(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.RetireAfter = 24 * time.Hour
	r.hub(t, "ams")
	r.join(t, "web-1")
	r.join(t, "web-2")
	r.checkIn(t, report.CheckIn{Node: "web-1", Seq: 1, Hub: "ams"})
	r.hubReport(t, "ams")
	later := func() map[string]bool {
		r.listenUntil(t, r.Now().Add(25*time.Hour))
		r.checkIn(t, report.CheckIn{Node: "web-2", Seq: r.Now().Unix()})
		r.retireSilent(t.Context())
		retired := map[string]bool{}
		for name, n := range r.nodes {
			retired[name] = !n.Retired.IsZero()
		}
		return retired
	}
	if got := later(); got["web-1"] || got["ams"] {
		t.Errorf("while the hub is dark, those are retired: %v", got)
	}
	r.hubReport(t, "ams")
	r.retireSilent(t.Context())
	if n := r.nodes["web-1"]; n.Retired.IsZero() {
		t.Error("the hub is back without web-1, which is not retired")
	}
}

// TestRetireAfterChecked: a silence that is no time to wait is refused, as is one of hubs.
func TestRetireAfterChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, req := range []api.TokenRequest{{RetireAfter: time.Minute}, {RetireAfter: -time.Hour}, {Hub: true, RetireAfter: time.Hour}} {
		_, err := r.CreateToken(t.Context(), req)
		refusedAs(t, "retire after "+req.RetireAfter.String(), err, api.ErrBadRequest)
	}
}

// TestForgetRetired: when its time is over nothing is left of a retired node here, and others are as they were; its key stays refused,
// and its name is free. Who follows has forgotten it, too.
func TestForgetRetired(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		testForgetRetired(t, newRig(t), nil)
	})
	t.Run("two on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		p := newPair(t)
		testForgetRetired(t, p.a, p.b)
	})
}

func testForgetRetired(t *testing.T, a, b *rig) {
	a.join(t, "web-1")
	old := a.join(t, "web-2")
	a.join(t, "web-3")
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		a.checkIn(t, report.CheckIn{Node: name, Seq: 1})
		must(t, a.PutRuns(t.Context(), name, []report.Run{{ID: "first", Started: a.Now(), Counts: report.Counts{Changed: 1}, Results: []report.Result{{ID: "web/file:/x", Outcome: report.Changed}}}}))
	}
	must(t, a.Retire(t.Context(), "web-2"))
	a.pass(30*24*time.Hour - time.Minute)
	if a.forgetRetired(t.Context()); a.presenceOf(t, "web-2") != report.Retired {
		t.Fatal("web-2 is forgotten before its time")
	}
	a.pass(time.Minute)
	a.forgetRetired(t.Context())
	for _, s := range []*rig{a, b} {
		if s == nil {
			continue
		}
		if s == b {
			a.passTo(t, b)
		}
		_, err := s.Node(t.Context(), "web-2")
		refusedAs(t, "asking for web-2", err, api.ErrNotFound)
		if _, err := s.NodeKey("web-2"); err == nil {
			t.Error("web-2 has a key")
		}
		if p := s.status(t).Presences; p.Total != 2 || p.Retired != 0 {
			t.Errorf("there are %+v", p)
		}
		runs := s.node(t, "web-3").Runs
		if len(runs) != 1 {
			t.Errorf("of web-3 there are the runs %+v", runs)
		}
	}
	events, err := a.Events(t.Context(), 1)
	must(t, err)
	if e := events[0]; e.Kind != "nodes.forgotten" || e.Text != "web-2" {
		t.Errorf("the newest event is %+v", e)
	}
	_, err = a.enroll(t, old, a.tokenFor(t, api.TokenRequest{}), "web-9")
	refusedAs(t, "the retired key, forgotten, as web-9", err, api.ErrRetired)
	a.join(t, "web-2")
	if n := a.node(t, "web-2"); n.Presence != report.Never || len(n.Runs) != 0 || len(n.Events) != 1 {
		t.Errorf("the new web-2 is %+v", n)
	}
	if b != nil {
		a.passTo(t, b)
		if got := b.presenceOf(t, "web-2"); got != report.Never {
			t.Errorf("for b the new web-2 is %s", got)
		}
	}
}

// TestForgetRetiredLost: a service that reads everything anew forgets what others have forgotten meanwhile.
func TestForgetRetiredLost(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.a.join(t, "web-1")
	p.a.join(t, "web-2")
	p.a.passTo(t, p.b)
	must(t, p.a.Retire(t.Context(), "web-1"))
	p.pass(31 * 24 * time.Hour)
	p.a.forgetRetired(t.Context())
	must(t, p.a.DB.PutNote(t.Context(), "settled", 1))
	must(t, p.a.DB.PruneFeed(t.Context(), p.Now().AddDate(10, 0, 0)))
	must(t, p.b.Refresh(t.Context()))
	if _, err := p.b.NodeKey("web-1"); err == nil || len(p.b.nodes) != 1 {
		t.Errorf("b has %v", slices.Collect(maps.Keys(p.b.nodes)))
	}
}
