package sqlstore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/trait"
)

// following opens a feed at the place where a store is.
func following(t *testing.T, d *DB) *Feed {
	t.Helper()
	f, err := d.Feed(t.Context())
	must(t, err)
	t.Cleanup(f.Close)
	return f
}

func readFeed(t *testing.T, f *Feed) Change {
	t.Helper()
	c, _, err := f.Read(t.Context())
	must(t, err)
	f.Done()
	return c
}

// TestFeed: a service is told by name what another one has kept, and of what itself keeps only what it reads back.
func TestFeed(t *testing.T) {
	t.Parallel()
	address := one.Database(t)
	a, b := openAt(t, address), openAt(t, address)
	fa, fb := following(t, a), following(t, b)
	s := secretOf(t, a, identity.Grant{Uses: 10})
	enroll(t, a, s, "web-1", "key")
	must(t, a.PutFacets(t.Context(), []trait.Facet{{Name: "os", Digest: "sha256:1", Doc: []byte(`{}`)}}, noon))
	must(t, a.PutNote(t.Context(), "channels", 1))
	must(t, a.PutOperator(t.Context(), Operator{ID: "a", Name: "jane", Role: "admin", Hash: []byte{1}}, noon))
	a.PutHot(Hot{Node: "web-1", Seen: noon, Counter: 7, Doc: []byte("{}"), Facets: map[string]string{"os": "sha256:1"}})
	a.PutHot(Hot{Node: "web-2", Seen: noon, Counter: 8})
	settle(t, a)

	got := readFeed(t, fb)
	want := Change{Hot: []string{"web-1", "web-2"}, Described: []string{"web-1"}, Nodes: []string{"web-1"}, Notes: []string{"channels", "settled"},
		Facets: []Named{{"os", "sha256:1"}}, Operators: true}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told %+v\nwant %+v", got, want)
	}
	if again := readFeed(t, fb); !again.empty() || again.Lost {
		t.Errorf("told again: %+v", again)
	}
	if own := readFeed(t, fa); len(own.Hot)+len(own.Facets) != 0 || !slices.Equal(own.Nodes, []string{"web-1"}) {
		t.Errorf("told what it did itself: %+v", own)
	}
	hot, err := b.HotOf(t.Context(), got.Hot, got.Described)
	must(t, err)
	if h := hot["web-1"]; len(hot) != 2 || h.Counter != 7 || h.Facets["os"] != "sha256:1" || hot["web-2"].Facets != nil {
		t.Errorf("read %+v", hot)
	}
}

// TestFeedWakes: who waits is woken by the commit, not by the clock.
func TestFeedWakes(t *testing.T) {
	t.Parallel()
	address := one.Database(t)
	a, b := openAt(t, address), openAt(t, address)
	f := following(t, b)
	f.Wait(t.Context()) // connects
	for round := range 5 {
		key := fmt.Sprint("note-", round)
		began := time.Now()
		must(t, a.PutNote(t.Context(), key, round))
		f.Wait(t.Context())
		if c := readFeed(t, f); !slices.Equal(c.Notes, []string{key}) {
			t.Errorf("woken after %s for %+v", time.Since(began), c)
		}
	}
}

// TestFeedLost: a service that was away for longer than changes are kept, or whose database is another one now, is told to
// read everything anew.
func TestFeedLost(t *testing.T) {
	t.Parallel()
	address := one.Database(t)
	a, b := openAt(t, address), openAt(t, address)
	f := following(t, b)
	for round := range 5 {
		must(t, a.PutNote(t.Context(), "note", round))
	}
	readFeed(t, f)
	must(t, a.PruneFeed(t.Context(), time.Now().Add(2*feedKeep)))
	if c := readFeed(t, f); c.Lost {
		t.Errorf("it has read all: %+v", c)
	}
	must(t, a.PutNote(t.Context(), "note", 6))
	must(t, a.PutNote(t.Context(), "note", 7))
	must(t, a.PruneFeed(t.Context(), time.Now().Add(2*feedKeep)))
	if c := readFeed(t, f); !c.Lost {
		t.Errorf("changes are gone: %+v", c)
	}
	must(t, a.PutNote(t.Context(), "note", 8))
	if c := readFeed(t, f); c.Lost || len(c.Notes) != 1 {
		t.Errorf("it goes on after that: %+v", c)
	}
	for _, restored := range []string{"DELETE FROM feed", "UPDATE feed SET writer = 'other'"} {
		must(t, a.PutNote(t.Context(), "note", 9))
		readFeed(t, f)
		_, err := a.read.ExecContext(t.Context(), restored)
		must(t, err)
		if c := readFeed(t, f); !c.Lost {
			t.Errorf("after %s: %+v", restored, c)
		}
	}
}
