package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func secretOf(t *testing.T, d *DB, g identity.Grant) identity.Secret {
	t.Helper()
	s, err := identity.NewSecret(strings.Repeat("0", 64), false)
	must(t, err)
	g.ID = s.ID
	must(t, d.CreateToken(t.Context(), s, g))
	return s
}

func allow(node string) func(identity.Grant) error {
	return func(g identity.Grant) error { return g.Allow(node, noon) }
}

func enroll(t *testing.T, d *DB, s identity.Secret, name, key string) Node {
	t.Helper()
	n, err := d.Enroll(t.Context(), s, Node{Name: name, Key: []byte(key), Enrolled: noon}, allow(name))
	must(t, err)
	return n
}

// settle waits until everything that was put before is on disk: a change that is waited for is written after it.
func settle(t *testing.T, d *DB) {
	t.Helper()
	must(t, d.PutNote(t.Context(), "settled", true))
}

// TestHot is on disk after the flush interval without anybody waiting, and its counter only rises.
func TestHot(t *testing.T) { everyDatabase(t, testHot) }

func testHot(t *testing.T, fresh opener) {
	d, again := fresh(t)
	for _, h := range []Hot{
		{Node: "web-1", Seen: noon, Told: time.Minute, Counter: 7, Doc: []byte(`{"a":1}`), Facets: map[string]string{"os": "sha256:1", "cpu": "sha256:2"}},
		{Node: "web-1", Seen: noon, Told: time.Minute, Counter: 9},
		{Node: "web-1", Seen: noon, Told: time.Minute, Counter: 8}, // overtaken on the way
		{Node: "web-2", Seen: noon, Counter: 3},                    // has not checked in yet
	} {
		d.PutHot(h)
	}
	d = again() // Close writes what waits
	want := Hot{Node: "web-1", Seen: noon, Told: time.Minute, Counter: 9, Doc: []byte(`{"a":1}`), Facets: map[string]string{"os": "sha256:1", "cpu": "sha256:2"}}
	check := func(want Hot) {
		t.Helper()
		all, err := d.LoadHot(t.Context())
		must(t, err)
		if got := all[want.Node]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("kept %+v\nwant %+v", got, want)
		}
	}
	check(want)
	check(Hot{Node: "web-2", Seen: noon, Counter: 3, Doc: []byte{}, Facets: map[string]string{}})
	d.PutHot(Hot{Node: "web-1", Seen: noon.Add(time.Second), Told: time.Minute, Counter: 4, Doc: []byte(`{}`), Facets: map[string]string{"os": "sha256:3"}})
	settle(t, d)
	want.Seen, want.Doc, want.Facets = noon.Add(time.Second), []byte(`{}`), map[string]string{"os": "sha256:3"}
	check(want)
}

// TestHotFlush writes within the flush interval, unasked.
func TestHotFlush(t *testing.T) { everyDatabase(t, testHotFlush) }

func testHotFlush(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	d.PutHot(Hot{Node: "web-1", Seen: noon, Counter: 7, Doc: []byte("{}")})
	deadline := time.Now().Add(time.Minute)
	for d.Stats().Hot > 0 || d.Stats().Commits == 0 {
		if time.Now().After(deadline) {
			t.Fatal("it still waits after a minute")
		}
		time.Sleep(5 * time.Millisecond) // the store tells nobody of a commit that nobody waits for
	}
	if hot, err := d.LoadHot(t.Context()); err != nil || hot["web-1"].Counter != 7 {
		t.Errorf("after the flush: %+v, %v", hot, err)
	}
}

// TestRuns keeps a run once, however often it is delivered, newest received first.
func TestRuns(t *testing.T) { everyDatabase(t, testRuns) }

func testRuns(t *testing.T, fresh opener) {
	d, again := fresh(t)
	loud := func(id string) report.Run {
		return report.Run{ID: id, Node: "web-1", Results: []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}}
	}
	must(t, d.PutRuns(t.Context(), "web-1", []report.Run{loud("1"), {ID: "2", Node: "web-1"}}, noon))
	altered := loud("1")
	altered.Error = "delivered twice"
	must(t, d.PutRuns(t.Context(), "web-1", []report.Run{altered, loud("3")}, noon.Add(time.Second)))
	must(t, d.PutRuns(t.Context(), "web-2", []report.Run{loud("1")}, noon))
	d = again()
	for _, c := range []struct {
		quiet bool
		limit int
		want  []string
	}{{false, 10, []string{"3", "1"}}, {true, 10, []string{"3", "2", "1"}}, {true, 1, []string{"3"}}} {
		runs, err := d.Runs(t.Context(), "web-1", c.limit, c.quiet)
		must(t, err)
		var ids []string
		for _, r := range runs {
			ids = append(ids, r.ID)
			if r.Error != "" {
				t.Error("a second delivery has replaced the first")
			}
		}
		if !slices.Equal(ids, c.want) {
			t.Errorf("quiet %v, limit %d: %v, want %v", c.quiet, c.limit, ids, c.want)
		}
	}
}

// TestFacets keeps a document once for all nodes, and forgets it when no node has it any more and its time has come.
func TestFacets(t *testing.T) { everyDatabase(t, testFacets) }

func testFacets(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	doc := func(v string) trait.Facet {
		f, err := trait.FacetOf("os", v)
		must(t, err)
		return f
	}
	debian, old, retired := doc("debian"), doc("old"), doc("retired")
	s := secretOf(t, d, identity.Grant{})
	for _, name := range []string{"web-1", "web-2", "gone"} {
		enroll(t, d, s, name, name)
		facet := debian
		if name == "gone" {
			facet = retired
		}
		d.PutHot(Hot{Node: name, Seen: noon, Doc: []byte("{}"), Facets: map[string]string{"os": facet.Digest}})
	}
	must(t, d.PutFacets(t.Context(), []trait.Facet{debian, old, debian, retired}, noon))
	must(t, d.Retire(t.Context(), "gone", "", noon))
	known, err := d.FacetDigests(t.Context())
	must(t, err)
	docs, err := d.Facets(t.Context(), []string{debian.Digest, "sha256:unknown"})
	must(t, err)
	if len(known) != 3 || len(docs) != 1 || string(docs[debian.Digest]) != `"debian"` {
		t.Errorf("kept %v; read %s", known, docs)
	}
	day := 24 * time.Hour
	if gone, err := d.Prune(t.Context(), Retention{Facets: 30 * day}, noon.Add(29*day)); err != nil || len(gone) != 0 {
		t.Errorf("before its time: %v, %v", gone, err)
	}
	gone, err := d.Prune(t.Context(), Retention{Facets: 30 * day}, noon.Add(31*day))
	must(t, err)
	slices.Sort(gone)
	want := []string{old.Digest, retired.Digest}
	slices.Sort(want)
	if !slices.Equal(gone, want) {
		t.Errorf("went: %v, want %v", gone, want)
	}
	if docs, err := d.Facets(t.Context(), []string{debian.Digest, old.Digest}); err != nil || len(docs) != 1 {
		t.Errorf("after that: %s, %v", docs, err)
	}
}

// TestPrune forgets each class in its own time.
func TestPrune(t *testing.T) { everyDatabase(t, testPrune) }

func testPrune(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	loud := report.Run{ID: "loud", Node: "web-1", Error: "x"}
	must(t, d.PutRuns(t.Context(), "web-1", []report.Run{loud, {ID: "quiet", Node: "web-1"}}, noon))
	must(t, d.PutEvents(t.Context(), report.Event{At: noon, Node: "web-1", Kind: "node.stale"}))
	left := func() string {
		runs, err := d.Runs(t.Context(), "web-1", 10, true)
		must(t, err)
		events, err := d.Events(t.Context(), "", 10)
		must(t, err)
		return fmt.Sprint(len(runs), " runs, ", len(events), " events")
	}
	keep := Retention{Runs: Limit{Age: 90 * time.Hour}, Quiet: Limit{Age: 7 * time.Hour}, Events: Limit{Age: 30 * time.Hour}}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{7 * time.Hour, "2 runs, 1 events"}, {8 * time.Hour, "1 runs, 1 events"}, {31 * time.Hour, "1 runs, 0 events"}, {91 * time.Hour, "0 runs, 0 events"}} {
		if _, err := d.Prune(t.Context(), keep, noon.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if got := left(); got != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got, c.want)
		}
	}
}

// TestEventsAndNotes are read newest first, of one node or of all; notes are replaced.
func TestEventsAndNotes(t *testing.T) { everyDatabase(t, testEventsAndNotes) }

func testEventsAndNotes(t *testing.T, fresh opener) {
	d, again := fresh(t)
	var into map[string]int
	if err := d.Note(t.Context(), "key", &into); !errors.Is(err, ErrNotFound) {
		t.Errorf("a note that is not there: %v", err)
	}
	must(t, d.PutNote(t.Context(), "key", map[string]int{"a": 1}, report.Event{At: noon, Kind: "first"}))
	must(t, d.PutNote(t.Context(), "key", map[string]int{"a": 2}, report.Event{At: noon, Kind: "second", Node: "web-1"}))
	d = again()
	must(t, d.Note(t.Context(), "key", &into))
	if into["a"] != 2 {
		t.Errorf("the note is %v", into)
	}
	for node, want := range map[string][]string{"": {"second", "first"}, "web-1": {"second"}, "web-2": nil} {
		events, err := d.Events(t.Context(), node, 10)
		must(t, err)
		var kinds []string
		for _, e := range events {
			kinds = append(kinds, e.Kind)
			if !e.At.Equal(noon) {
				t.Errorf("at %s", e.At)
			}
		}
		if !slices.Equal(kinds, want) {
			t.Errorf("of %q: %v", node, kinds)
		}
	}
}

// TestOperators are one for each name.
func TestOperators(t *testing.T) { everyDatabase(t, testOperators) }

func testOperators(t *testing.T, fresh opener) {
	d, again := fresh(t)
	first, err := identity.NewSecret(strings.Repeat("0", 64), true)
	must(t, err)
	second, err := identity.NewSecret(strings.Repeat("0", 64), true)
	must(t, err)
	must(t, d.PutOperator(t.Context(), Operator{ID: first.ID, Hash: first.Hash(), Name: "jane", Role: identity.RoleViewer}, noon))
	must(t, d.PutOperator(t.Context(), Operator{ID: second.ID, Hash: second.Hash(), Name: "jane", Role: identity.RoleAdmin}, noon))
	d = again()
	list, err := d.Operators(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].Role != identity.RoleAdmin || list[0].Matches(first) || !list[0].Matches(second) {
		t.Errorf("operators: %+v", list)
	}
	must(t, d.RemoveOperator(t.Context(), "jane", noon))
	if err := d.RemoveOperator(t.Context(), "jane", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// TestSecretsAreHashed finds no secret in the file.
func TestSecretsAreHashed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.db")
	d := open(t, path)
	s := secretOf(t, d, identity.Grant{})
	enroll(t, d, s, "web-1", "key")
	must(t, d.Close())
	secret := strings.Split(s.Text(), ".")[1]
	files, err := filepath.Glob(path + "*")
	must(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(data), secret) {
			t.Errorf("%s holds the secret", file)
		}
	}
}

// TestDocumentsHoldNoKey: what is JSON can be shown; keys and hashes are columns of their own.
func TestDocumentsHoldNoKey(t *testing.T) {
	t.Parallel()
	doc, err := json.Marshal(Node{Name: "web-1", Key: []byte("secret?"), Token: "abc"})
	must(t, err)
	if strings.Contains(string(doc), "secret") || strings.Contains(string(doc), "web-1") {
		t.Errorf("%s", doc)
	}
}
