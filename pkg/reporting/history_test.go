package reporting

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
)

// settle has everything on disk, and what has changed looked into.
func settle(t *testing.T, r *rig) {
	t.Helper()
	must(t, r.DB.PutNote(t.Context(), "settled", true))
	_, _, err := r.lookIntoChanges(t.Context())
	must(t, err)
}

// says has a node say what it is, and upload what it is asked for.
func (r *rig) says(t *testing.T, node string, traits map[string]any) {
	t.Helper()
	facets, docs := map[string]string{}, map[string]trait.Facet{}
	for name, v := range traits {
		f := facet(t, name, v)
		facets[name], docs[f.Digest] = f.Digest, f
	}
	answer := r.checkIn(t, report.CheckIn{Node: node, Traits: trait.Root(facets), Facets: facets})
	var wanted []trait.Facet
	for _, digest := range answer.Need {
		wanted = append(wanted, docs[digest])
	}
	must(t, r.PutFacets(t.Context(), node, report.Facets{Node: node, Facets: wanted}))
}

func packages(versions map[string]string) map[string]any {
	all := map[string]any{}
	for name, version := range versions {
		all[name] = map[string]string{"version": version}
	}
	return map[string]any{"packages": all, "os": map[string]string{"family": "debian"}}
}

func (r *rig) moves(t *testing.T, q report.ChangeQuestion) string {
	t.Helper()
	answer, err := r.TraitChanges(t.Context(), q)
	must(t, err)
	var lines []string
	for _, m := range answer.Moves {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s -> %s", m.Node, m.Trait, m.Field, m.From, m.To))
	}
	return strings.Join(lines, "; ")
}

// What a node says of itself anew is told with what it was, per node and since a time; a value that is back is none.
func TestChangesOfTraits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"web-1", "web-2", "db-1"} {
		r.join(t, name)
		r.says(t, name, packages(map[string]string{"openssl": "3.0.16", "bash": "5.1"}))
	}
	settle(t, r)
	began := r.Now()
	r.pass(time.Hour)
	for _, name := range []string{"web-1", "web-2"} {
		r.says(t, name, packages(map[string]string{"openssl": "3.0.17", "bash": "5.1", "vim": "9"}))
	}
	r.says(t, "db-1", packages(map[string]string{"openssl": "3.0.18", "bash": "5.1"}))
	settle(t, r)
	r.pass(time.Hour)
	r.says(t, "db-1", packages(map[string]string{"openssl": "3.0.16", "bash": "5.2"}))
	settle(t, r)
	all := `db-1 packages bash.version: 5.1 -> 5.2; ` +
		`web-1 packages openssl.version: 3.0.16 -> 3.0.17; web-1 packages vim: absent -> {"version":"9"}; ` +
		`web-2 packages openssl.version: 3.0.16 -> 3.0.17; web-2 packages vim: absent -> {"version":"9"}`
	for _, c := range []struct {
		q    report.ChangeQuestion
		want string
	}{
		{report.ChangeQuestion{Since: began}, all},
		{report.ChangeQuestion{Since: began, Limit: 1}, "db-1 packages bash.version: 5.1 -> 5.2"},
		{report.ChangeQuestion{Since: began, Trait: "os"}, ""},
		{report.ChangeQuestion{Since: began, Query: report.Query{Name: "db-*"}}, "db-1 packages bash.version: 5.1 -> 5.2"},
		{report.ChangeQuestion{Since: r.Now()}, "db-1 packages bash.version: 5.1 -> 5.2; db-1 packages openssl.version: 3.0.18 -> 3.0.16"},
		{report.ChangeQuestion{Since: r.Now().Add(time.Minute)}, ""},
	} {
		if got := r.moves(t, c.q); got != c.want {
			t.Errorf("%+v:\n%s\nwant\n%s", c.q, got, c.want)
		}
	}
	answer, err := r.TraitChanges(t.Context(), report.ChangeQuestion{Since: began, Limit: 1})
	must(t, err)
	if answer.Nodes != 3 || answer.Left != 4 || answer.Waiting != 0 || !answer.Dropped.IsZero() {
		t.Errorf("beside what is listed: %+v", answer)
	}
	r.restart(t, half)
	if got := r.moves(t, report.ChangeQuestion{Since: began}); got != all {
		t.Errorf("after a restart: %s", got)
	}
	_, err = r.TraitChanges(t.Context(), report.ChangeQuestion{})
	refusedAs(t, "no time", err, api.ErrBadRequest)
	_, err = r.TraitChanges(t.Context(), report.ChangeQuestion{Since: began, Where: "nothing =="})
	refusedAs(t, "no condition", err, api.ErrBadRequest)
}

// A change waits for its document, over a restart. One that the node never sent, and will not send any more, is passed over; the
// last one is told without it after a while.
func TestChangeWaitsForItsDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.says(t, "web-1", packages(map[string]string{"bash": "5.1"}))
	settle(t, r)
	began := r.Now()
	var last trait.Facet
	name := func(version string) {
		last = facet(t, "packages", packages(map[string]string{"bash": version})["packages"])
		facets := map[string]string{"packages": last.Digest}
		r.checkIn(t, report.CheckIn{Node: "web-1", Traits: trait.Root(facets), Facets: facets})
		settle(t, r)
	}
	send := func() {
		must(t, r.PutFacets(t.Context(), "web-1", report.Facets{Node: "web-1", Facets: []trait.Facet{last}}))
		settle(t, r)
	}
	is := func(when, want string, waiting int) {
		t.Helper()
		answer, err := r.TraitChanges(t.Context(), report.ChangeQuestion{Since: began, Trait: "packages"})
		must(t, err)
		if got := r.moves(t, report.ChangeQuestion{Since: began, Trait: "packages"}); got != want || answer.Waiting != waiting {
			t.Errorf("%s: %d wait, %s", when, answer.Waiting, got)
		}
	}
	r.pass(half)
	name("5.2")
	is("its document has not come", "", 1)
	r.restart(t, half)
	name("5.3")
	send()
	is("the next one has", "web-1 packages bash.version: 5.1 -> 5.3", 0)
	name("5.4")
	r.pass(documentWait)
	settle(t, r)
	is("it does not come", "web-1 packages : ? -> ? (what differs is not known: the node did not send its document); web-1 packages bash.version: 5.1 -> 5.3", 0)
}

// The history of a node has what runs did to it and what it says of itself, page by page; what stays as it is adds nothing.
func TestHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.says(t, "web-1", packages(map[string]string{"bash": "5.1"}))
	broken := []report.Result{{ID: "web/service:nginx", Outcome: report.Failed, Reason: "exit 1"}}
	for i := range 3 {
		r.pass(half)
		must(t, r.PutRuns(t.Context(), "web-1", []report.Run{{ID: fmt.Sprint("run-", i), Node: "web-1", Started: r.Now(), Results: broken}}))
		r.says(t, "web-1", packages(map[string]string{"bash": "5.1"}))
	}
	r.pass(half)
	r.says(t, "web-1", packages(map[string]string{"bash": "5.2"}))
	must(t, r.PutRuns(t.Context(), "web-1", []report.Run{{ID: "run-4", Node: "web-1", Started: r.Now()}}))
	settle(t, r)
	want := []string{"resource service:nginx ok", "trait packages changed", "resource service:nginx failed"}
	for _, size := range []int{10, 2, 1} {
		var got []string
		for q := (report.HistoryQuery{Node: "web-1", Limit: size}); ; {
			page, err := r.History(t.Context(), q)
			must(t, err)
			for _, e := range page.Entries {
				got = append(got, fmt.Sprint(e.Kind, " ", e.Subject, " ", e.Outcome))
			}
			if q.Before = page.Next; page.Next == "" {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d at once: %q, want %q", size, got, want)
		}
	}
	h, err := r.History(t.Context(), report.HistoryQuery{Resource: "web/service:*"})
	must(t, err)
	if len(h.Entries) != 2 || h.Entries[1].Reason != "exit 1" {
		t.Errorf("of one resource: %+v", h.Entries)
	}
	for _, bad := range []report.HistoryQuery{{Resource: "nginx"}, {Before: "x-1-2"}, {Before: "r-1"}} {
		_, err := r.History(t.Context(), bad)
		refusedAs(t, fmt.Sprintf("%+v", bad), err, api.ErrBadRequest)
	}
	_, err = r.History(t.Context(), report.HistoryQuery{Node: "web-2"})
	refusedAs(t, "a node that is not there", err, api.ErrNotFound)
}

// What is beyond the bound goes, and an answer over that time says so.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Keep.History.Rows, r.Keep.Traits.Rows = 3, 2
	r.join(t, "web-1")
	began := r.Now()
	for i := range 6 {
		r.pass(half)
		r.says(t, "web-1", packages(map[string]string{"bash": fmt.Sprint(i)}))
		must(t, r.PutRuns(t.Context(), "web-1", []report.Run{{ID: fmt.Sprint(i), Started: r.Now(), Results: []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}}}))
		settle(t, r)
	}
	r.prune(t.Context())
	h, err := r.History(t.Context(), report.HistoryQuery{Node: "web-1", Since: began})
	must(t, err)
	if len(h.Entries) != 5 || h.Dropped.IsZero() {
		t.Errorf("%d entries, dropped until %s", len(h.Entries), h.Dropped)
	}
	changes, err := r.TraitChanges(t.Context(), report.ChangeQuestion{Since: began})
	must(t, err)
	if changes.Dropped.IsZero() || len(changes.Moves) != 1 || changes.Moves[0].From != "3" {
		t.Errorf("%+v", changes)
	}
	if changes, err = r.TraitChanges(t.Context(), report.ChangeQuestion{Since: r.Now()}); err != nil || !changes.Dropped.IsZero() {
		t.Errorf("nothing of this time is gone: %+v, %v", changes, err)
	}
}

// A service that does not lead leaves the changes to the one that does.
func TestHistoryIsOfTheLeader(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.says(t, "web-1", packages(map[string]string{"bash": "1"}))
	settle(t, r)
	r.says(t, "web-1", packages(map[string]string{"bash": "2"}))
	must(t, r.DB.PutNote(t.Context(), "settled", true))
	r.replica.term.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	r.keepHistory(ctx)
	if n, err := r.DB.FacetChangesWaiting(t.Context()); err != nil || n != 1 {
		t.Errorf("%d wait, %v", n, err)
	}
	page, err := r.DB.FacetChanges(t.Context(), 0, 10)
	must(t, err)
	entries, err := r.compare(t.Context(), append(page, sqlstore.FacetChange{ID: 99, Trait: "users", Became: "sha256:u"}), true)
	must(t, err)
	if e := entries[page[0].ID]; !strings.Contains(e.Reason, "too many") || entries[99].Outcome != report.Appeared {
		t.Errorf("in a hurry: %+v", e)
	}
}
