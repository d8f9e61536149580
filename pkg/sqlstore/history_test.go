package sqlstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// TestResourceHistory: what changed and drifted is found by node and by resource, page by page, with what the run says of it.
func TestResourceHistory(t *testing.T) { everyDatabase(t, testResourceHistory) }

func testResourceHistory(t *testing.T, fresh opener) {
	d, again := fresh(t)
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	put := func(node string, minute int, results ...report.Result) {
		r := report.Run{ID: fmt.Sprint("run-", minute), Node: node, Commit: "abc", Started: at(minute), Results: results}
		must(t, d.PutRuns(t.Context(), node, []report.Run{r}, at(minute)))
		must(t, d.PutRuns(t.Context(), node, []report.Run{r}, at(minute))) // delivered twice
	}
	motd := report.Result{ID: "site/file:/etc/motd", Outcome: report.Corrected, Changes: []change.Change{{Field: "mode", From: "0666", To: "0644"}}}
	nginx := report.Result{ID: "web/service:nginx", Outcome: report.Failed, Reason: "exit 1"}
	put("web-1", 1, motd, nginx)
	put("web-1", 2, motd, nginx)
	put("web-2", 3, motd)
	put("web-1", 4)
	must(t, d.PutRuns(t.Context(), "web-1", []report.Run{{ID: "late", Started: at(0), Results: []report.Result{nginx}}}, at(5)))
	d = again()
	for _, c := range []struct {
		q    report.HistoryQuery
		want string
	}{
		{report.HistoryQuery{Node: "web-1"}, "5 web service:nginx failed late | 4 web service:nginx ok run-4 | 2 site file:/etc/motd corrected run-2 | 1 web service:nginx failed run-1 | 1 site file:/etc/motd corrected run-1"},
		{report.HistoryQuery{Node: "web-1", Since: at(2)}, "5 web service:nginx failed late | 4 web service:nginx ok run-4 | 2 site file:/etc/motd corrected run-2"},
		{report.HistoryQuery{Resource: "file:/etc/motd"}, "3 site file:/etc/motd corrected run-3 | 2 site file:/etc/motd corrected run-2 | 1 site file:/etc/motd corrected run-1"},
		{report.HistoryQuery{Resource: "site/file:/etc/*", Node: "web-2"}, "3 site file:/etc/motd corrected run-3"},
		{report.HistoryQuery{Resource: "other/file:/etc/motd"}, ""},
	} {
		for _, page := range []int{100, 2, 1} {
			if got := pages(t, d, c.q, page); got != c.want {
				t.Errorf("%+v, %d at once:\n%s\nwant\n%s", c.q, page, got, c.want)
			}
		}
	}
	list, err := d.ResourceHistory(t.Context(), report.HistoryQuery{Node: "web-1", Resource: "file:/etc/motd"}, Before{}, 1)
	must(t, err)
	if len(list) != 1 || list[0].Commit != "abc" || fmt.Sprint(list[0].Changes) != "[mode: 0666 -> 0644]" {
		t.Errorf("what the run says: %+v", list)
	}
	_, err = d.Prune(t.Context(), Retention{Runs: Limit{Rows: 1}}, at(9))
	must(t, err)
	list, err = d.ResourceHistory(t.Context(), report.HistoryQuery{Node: "web-2"}, Before{}, 10)
	must(t, err)
	if len(list) != 1 || list[0].Changes != nil {
		t.Errorf("the run is not kept any more: %+v", list)
	}
}

// pages reads a history page by page.
func pages(t *testing.T, d *DB, q report.HistoryQuery, size int) string {
	t.Helper()
	var all []string
	for before := (Before{}); ; {
		list, err := d.ResourceHistory(t.Context(), q, before, size)
		must(t, err)
		for _, e := range list {
			all = append(all, fmt.Sprintf("%.0f %s %s %s %s", e.At.Sub(noon).Minutes(), e.Module, e.Subject, e.Outcome, e.Run))
			before = Before{e.At, e.Seq}
		}
		if len(list) < size {
			return strings.Join(all, " | ")
		}
	}
}

// TestTraitHistory: that a node says something else is noted together with what it says, and looked into once.
func TestTraitHistory(t *testing.T) { everyDatabase(t, testTraitHistory) }

func testTraitHistory(t *testing.T, fresh opener) {
	d, again := fresh(t)
	say := func(minute int, facets map[string]string) {
		d.PutHot(Hot{Node: "web-1", Seen: noon.Add(time.Duration(minute) * time.Minute), Doc: []byte("{}"), Facets: facets})
		settle(t, d)
	}
	say(1, map[string]string{"os": "1", "packages": "a", "mounts": "x"})
	say(2, map[string]string{"os": "1", "packages": "a", "mounts": "x"}) // nothing new
	say(3, nil)
	say(4, map[string]string{"os": "1", "packages": "b", "users": "u"})
	d = again()
	waiting, err := d.FacetChanges(t.Context(), 0, 10)
	must(t, err)
	got := ""
	for _, c := range waiting {
		got += fmt.Sprintf("%.0f %s %s %q %q\n", c.At.Sub(noon).Minutes(), c.Node, c.Trait, c.Was, c.Became)
	}
	if want := "4 web-1 mounts \"x\" \"\"\n4 web-1 packages \"a\" \"b\"\n4 web-1 users \"\" \"u\"\n"; got != want {
		t.Fatalf("noted\n%swant\n%s", got, want)
	}
	if n, err := d.FacetChangesWaiting(t.Context()); err != nil || n != 3 {
		t.Errorf("%d wait, %v", n, err)
	}
	entry := func(c FacetChange, changes ...change.Change) *report.HistoryEntry {
		return &report.HistoryEntry{At: c.At, Node: c.Node, Subject: c.Trait, Outcome: report.Changed, Changes: changes, More: 7}
	}
	for range 2 { // as when two services do it
		must(t, d.PutTraitHistory(t.Context(), map[int64]*report.HistoryEntry{waiting[0].ID: nil,
			waiting[1].ID: entry(waiting[1], change.Change{Field: "openssl.version", From: "1\x00", To: strings.Repeat("2", 300)})}))
	}
	list, err := d.TraitHistory(t.Context(), "web-1", "packages", noon, Before{}, 10)
	must(t, err)
	if len(list) != 1 || list[0].More != 7 || list[0].Changes[0] != (change.Change{Field: "openssl.version", From: "1\uFFFD", To: strings.Repeat("2", 300)}) {
		t.Errorf("kept %+v", list)
	}
	if rest, err := d.FacetChanges(t.Context(), waiting[0].ID, 10); err != nil || len(rest) != 1 || rest[0].Trait != "users" {
		t.Errorf("still waiting: %+v, %v", rest, err)
	}
	if list, err := d.TraitHistory(t.Context(), "", "", noon, Before{list[0].At, list[0].Seq}, 10); err != nil || len(list) != 0 {
		t.Errorf("behind the last: %+v, %v", list, err)
	}
}

// TestBounds: beyond its bound the oldest of a class goes before its time, and until when is known.
func TestBounds(t *testing.T) { everyDatabase(t, testBounds) }

func testBounds(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	loud := []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}
	for i := range 10 {
		must(t, d.PutRuns(t.Context(), "web-1", []report.Run{{ID: fmt.Sprint("loud-", i), Results: loud}, {ID: fmt.Sprint("quiet-", i)}}, at(i)))
		must(t, d.PutEvents(t.Context(), report.Event{At: at(i), Kind: "node.stale"}))
		d.PutHot(Hot{Node: "web-1", Seen: at(i), Facets: map[string]string{"os": fmt.Sprint(i)}})
		settle(t, d)
	}
	waiting, err := d.FacetChanges(t.Context(), 0, 100)
	must(t, err)
	entries := map[int64]*report.HistoryEntry{}
	for _, c := range waiting {
		entries[c.ID] = &report.HistoryEntry{At: c.At, Node: c.Node, Subject: c.Trait, Outcome: report.Changed}
	}
	must(t, d.PutTraitHistory(t.Context(), entries))
	for range 2 {
		_, err = d.Prune(t.Context(), Retention{Runs: Limit{Rows: 3}, Quiet: Limit{Rows: 4}, Events: Limit{Rows: 5}, History: Limit{Rows: 6}, Traits: Limit{Rows: 7}}, at(20))
		must(t, err)
	}
	runs, err := d.Runs(t.Context(), "web-1", 100, true)
	must(t, err)
	events, err := d.Events(t.Context(), "", 100)
	must(t, err)
	resources, err := d.ResourceHistory(t.Context(), report.HistoryQuery{}, Before{}, 100)
	must(t, err)
	traits, err := d.TraitHistory(t.Context(), "", "", time.Time{}, Before{}, 100)
	must(t, err)
	if got := fmt.Sprint(len(runs), len(events), len(resources), len(traits)); got != "7 5 6 7" {
		t.Errorf("are kept: %s", got)
	}
	dropped, err := d.Dropped(t.Context())
	must(t, err)
	for class, last := range map[string]int{"runs": 6, "quiet": 5, "events": 4, "history": 3, "traits": 2} {
		if got := dropped[class]; got.Before(at(last)) || !got.Before(at(last+1)) {
			t.Errorf("%s: dropped until %s, not %s", class, got, at(last))
		}
	}
}

// TestPacked: documents are small on disk and the same when they are read; those that were kept before are read, too.
func TestPacked(t *testing.T) { everyDatabase(t, testPacked) }

func testPacked(t *testing.T, fresh opener) {
	d, again := fresh(t)
	packages := map[string]string{}
	for i := range 400 {
		packages[fmt.Sprint("package-", i)] = "1.2.3"
	}
	large, err := trait.FacetOf("packages", packages)
	must(t, err)
	must(t, d.PutFacets(t.Context(), []trait.Facet{large}, noon))
	must(t, d.commit(t.Context(), func(tx *tx) error {
		_, err := tx.exec("INSERT INTO facet (digest, at, doc) VALUES (?, ?, ?)", "old", nanos(noon), []byte(large.Doc))
		return err
	}))
	d = again()
	docs, err := d.Facets(t.Context(), []string{large.Digest, "old"})
	must(t, err)
	if string(docs[large.Digest]) != string(large.Doc) || string(docs["old"]) != string(large.Doc) {
		t.Error("a document is another one than it was")
	}
	var size int
	must(t, d.queryRow(t.Context(), "SELECT length(doc) FROM facet WHERE digest = ?", large.Digest).Scan(&size))
	if size > len(large.Doc)/3 {
		t.Errorf("%d of %d bytes are kept", size, len(large.Doc))
	}
}
