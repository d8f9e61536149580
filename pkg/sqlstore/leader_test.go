package sqlstore

import (
	"errors"
	"fmt"
	"testing"

	"vigo.dev/pkg/report"
)

func leads(t *testing.T, d *DB) bool {
	t.Helper()
	term, err := d.Lead(t.Context())
	must(t, err)
	return term > 0
}

// TestLeader: one service leads, and when it has gone, or has lost its connection, another one does.
func TestLeader(t *testing.T) {
	t.Parallel()
	address := one.Database(t)
	a, b := openAt(t, address), openAt(t, address)
	if !leads(t, a) || leads(t, b) || !leads(t, a) {
		t.Fatal("a is first, and stays it")
	}
	if err := b.PutTurns(t.Context(), []Turn{{Node: "web-1", Presence: report.Stale}}); !errors.Is(err, ErrFollows) {
		t.Errorf("b writes as if it led: %v", err)
	}
	cut(t, b)
	if !leads(t, b) {
		t.Error("a has lost its connection, and nobody leads")
	}
	if err := a.PutTurns(t.Context(), []Turn{{Node: "web-1", Presence: report.Stale}}); !errors.Is(err, ErrFollows) {
		t.Errorf("a writes as if it still led: %v", err)
	}
	if err := a.StepRollout(t.Context(), 1, "stable", map[string][]byte{"state": []byte("old")}); !errors.Is(err, ErrFollows) {
		t.Errorf("a moves a rollout as if it still led: %v", err)
	}
	must(t, b.StepRollout(t.Context(), 1, "stable", map[string][]byte{"state": []byte("new")}))
	must(t, b.Close())
	if term, err := a.Lead(t.Context()); term != 2 || err != nil {
		t.Errorf("b has gone, and a leads in term %d: %v", term, err)
	}
	if err := a.StepRollout(t.Context(), 1, "stable", map[string][]byte{"state": []byte("old")}); !errors.Is(err, ErrFollows) {
		t.Errorf("a takes up a step that it began before b led: %v", err)
	}
	cut(t, a)
	if term, err := a.Lead(t.Context()); term != 3 || err != nil {
		t.Errorf("anybody could have led in between, and a leads in term %d: %v", term, err)
	}
	file, _ := freshFile(t)
	if !leads(t, file) {
		t.Error("nobody else can lead")
	}
}

// cut ends the session of whoever has the lock of the leader.
func cut(t *testing.T, d *DB) {
	t.Helper()
	var ended bool
	must(t, d.queryRow(t.Context(), fmt.Sprintf("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objid = %d AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())", leader)).Scan(&ended))
	if !ended {
		t.Fatal("the session of the leader goes on")
	}
}

// TestTurns: a turn is told once, whoever tells it and however often.
func TestTurns(t *testing.T) {
	everyDatabase(t, func(t *testing.T, fresh opener) {
		d, again := fresh(t)
		turn := func(p report.Presence, kind string) {
			t.Helper()
			leads(t, d)
			for range 2 {
				must(t, d.PutTurns(t.Context(), []Turn{{Node: "web-1", Presence: p, Event: report.Event{At: noon, Node: "web-1", Kind: kind}}}))
			}
		}
		turn(report.Live, "none: it was not silent")
		turn(report.Stale, "node.stale")
		d = again()
		turn(report.Stale, "none: it is kept")
		turn(report.Missing, "node.missing")
		turn(report.Live, "node.back")
		turn(report.Stale, "")
		events, err := d.Events(t.Context(), "web-1", 100)
		must(t, err)
		silences, err := d.Silences(t.Context())
		must(t, err)
		if len(events) != 3 || silences["web-1"] != report.Stale {
			t.Errorf("told %v, silent are %v", events, silences)
		}
	})
}

// TestSilencesFromEvents: a store from before says by its events who is silent.
func TestSilencesFromEvents(t *testing.T) {
	everyDatabase(t, func(t *testing.T, fresh opener) {
		d, _ := fresh(t)
		for _, e := range []report.Event{{Node: "a", Kind: "node.stale"}, {Node: "b", Kind: "node.stale"}, {Node: "b", Kind: "node.missing"},
			{Node: "c", Kind: "node.stale"}, {Node: "c", Kind: "node.back"}, {Node: "d", Kind: "node.enrolled"}} {
			must(t, d.PutEvents(t.Context(), e))
		}
		must(t, d.commit(t.Context(), func(t *tx) error {
			_, err := t.exec(silencesFromEvents)
			return err
		}))
		got, err := d.Silences(t.Context())
		must(t, err)
		if len(got) != 2 || got["a"] != report.Stale || got["b"] != report.Missing {
			t.Errorf("silent are %v", got)
		}
	})
}
