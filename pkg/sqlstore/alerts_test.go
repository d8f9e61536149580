package sqlstore

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestAlertsAreKeptWithTheirNotices: both or none, and not over a change of somebody else.
func TestAlertsAreKeptWithTheirNotices(t *testing.T) {
	everyDatabase(t, func(t *testing.T, fresh opener) {
		d, again := fresh(t)
		now := time.Unix(1_800_000_000, 5).UTC()
		one := Outgoing{Receiver: "pager", ID: "told_1", At: now, Doc: []byte(`{"id":"told_1"}`)}
		must(t, d.PutAlerts(t.Context(), 0, map[string][]byte{"a:r/web-1": []byte(`{}`), "a:r/web-2": []byte(`{}`)}, []Outgoing{one}, Beside{}))
		two := one
		two.ID = "told_2"
		if err := d.PutAlerts(t.Context(), 0, map[string][]byte{"a:r/web-1": nil}, []Outgoing{two}, Beside{}); !errors.Is(err, ErrMoved) {
			t.Errorf("over a change of somebody else: %v", err)
		}
		must(t, d.PutAlerts(t.Context(), 1, map[string][]byte{"a:r/web-2": nil}, []Outgoing{one}, Beside{})) // the same notice again
		d = again()
		state, err := d.Alerts(t.Context())
		must(t, err)
		if state.Version != 2 || len(state.Docs) != 1 || string(state.Docs["a:r/web-1"]) != "{}" {
			t.Errorf("state %+v", state)
		}
		list, err := d.Outbox(t.Context(), "pager", 10)
		must(t, err)
		if len(list) != 1 || list[0].ID != "told_1" || !list[0].At.Equal(now) || string(list[0].Doc) != `{"id":"told_1"}` {
			t.Errorf("outbox %+v", list)
		}
	})
}

// TestOutbox: one of two services has a notice to try; it fails, dies, is tried again, and is forgotten when it was taken.
func TestOutbox(t *testing.T) {
	everyDatabase(t, func(t *testing.T, fresh opener) {
		d, _ := fresh(t)
		now := time.Unix(1_800_000_000, 0).UTC()
		var out []Outgoing
		for i, id := range []string{"c", "a", "b"} {
			out = append(out, Outgoing{Receiver: "pager", ID: id, At: now.Add(time.Duration(i) * time.Second), Doc: []byte("{}")})
		}
		out = append(out, Outgoing{Receiver: "mail", ID: "c", At: now, Doc: []byte("{}")})
		must(t, d.PutAlerts(t.Context(), 0, nil, out, Beside{}))
		ids := func() (ids []string) {
			list, err := d.Outbox(t.Context(), "pager", 10)
			must(t, err)
			for _, o := range list {
				ids = append(ids, o.ID)
			}
			return ids
		}
		if got := ids(); !slices.Equal(got, []string{"c", "a", "b"}) {
			t.Errorf("in the order %q", got)
		}
		list, err := d.Outbox(t.Context(), "pager", 1)
		must(t, err)
		o := list[0]
		for first := range 2 {
			mine, err := d.Claim(t.Context(), o, now.Add(time.Minute))
			if err != nil || mine != (first == 0) {
				t.Errorf("claimed: %t, %v", mine, err)
			}
		}
		o.Tries, o.Error, o.Died = 9, "no\x00 answer", now.Add(time.Hour)
		must(t, d.Failed(t.Context(), o))
		counts, err := d.OutboxCounts(t.Context())
		must(t, err)
		if c := counts["pager"]; c.Waiting != 2 || c.Dead != 1 || !c.Since.Equal(now.Add(time.Second)) || counts["mail"].Waiting != 1 {
			t.Errorf("counts %+v", counts)
		}
		dead, err := d.Dead(t.Context(), 10)
		must(t, err)
		if len(dead) != 1 || dead[0].Tries != 9 || dead[0].Error != "no\uFFFD answer" {
			t.Errorf("dead %+v", dead)
		}
		must(t, d.Revive(t.Context(), "c", now.Add(2*time.Hour)))
		if got := ids(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("in the order %q", got)
		}
		must(t, d.Delivered(t.Context(), "pager", "a"))
		for what, err := range map[string]error{"delivered": d.Delivered(t.Context(), "pager", "a"), "revived": d.Revive(t.Context(), "c", now), "dropped": d.Drop(t.Context(), "b")} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s what is not there: %v", what, err)
			}
		}
	})
}

// TestManyAlerts: a mass event is kept whole, and so is its end.
func TestManyAlerts(t *testing.T) { everyDatabase(t, testManyAlerts) }

func testManyAlerts(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	docs := map[string][]byte{}
	for i := range 12_000 {
		docs[fmt.Sprint("a:r/web-", i)] = []byte("{}")
	}
	must(t, d.PutAlerts(t.Context(), 0, docs, nil, Beside{}))
	for key := range docs {
		docs[key] = nil
	}
	docs["a:r/web-7"] = []byte(`{"new":1}`)
	kept, err := d.Alerts(t.Context())
	must(t, err)
	if len(kept.Docs) != 12_000 {
		t.Errorf("%d of 12000 are kept", len(kept.Docs))
	}
	must(t, d.PutAlerts(t.Context(), 1, docs, nil, Beside{}))
	kept, err = d.Alerts(t.Context())
	must(t, err)
	if len(kept.Docs) != 1 || string(kept.Docs["a:r/web-7"]) != `{"new":1}` || kept.Version != 2 {
		t.Errorf("at the end: %d, version %d", len(kept.Docs), kept.Version)
	}
}
