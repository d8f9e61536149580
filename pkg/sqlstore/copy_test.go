package sqlstore

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// TestCopy: a store that moves to PostgreSQL says the same there, and goes on from where it was.
func TestCopy(t *testing.T) {
	t.Parallel()
	address := one.Database(t)
	d, _ := freshFile(t)
	s := secretOf(t, d, identity.Grant{Uses: 3})
	for i := range 3 {
		name := fmt.Sprint("web-", i)
		enroll(t, d, s, name, name)
		d.PutHot(Hot{Node: name, Seen: noon, Counter: int64(i), Doc: []byte("{}"), Facets: map[string]string{"os": "sha256:1"}})
		must(t, d.PutRuns(t.Context(), name, []report.Run{{ID: "1", Error: "x\x00y"}, {ID: "2"}}, noon))
	}
	must(t, d.PutFacets(t.Context(), []trait.Facet{{Name: "os", Digest: "sha256:1", Doc: []byte(`{"name":"Debian"}`)}}, noon))
	must(t, d.PutRuns(t.Context(), "web-0", []report.Run{{ID: "3", Results: []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}}}, noon))
	settle(t, d)
	d.PutHot(Hot{Node: "web-0", Seen: noon, Facets: map[string]string{"os": "sha256:2"}})
	d.PutHot(Hot{Node: "web-1", Seen: noon, Facets: map[string]string{"os": "sha256:2"}})
	settle(t, d)
	must(t, d.PutTraitHistory(t.Context(), map[int64]*report.HistoryEntry{1: {At: noon, Node: "web-0", Subject: "os", Outcome: report.Changed}}))
	must(t, d.Retire(t.Context(), "web-2", "", noon))
	must(t, d.PutOperator(t.Context(), Operator{ID: "a", Name: "jane", Role: "admin", Hash: []byte{1}}, noon))
	mark(t, d, noon)
	settle(t, d)

	var copied []string
	must(t, d.CopyTo(t.Context(), address, func(table string, rows int64) { copied = append(copied, fmt.Sprint(table, " ", rows)) }))
	if !slices.Contains(copied, "run 7") || !slices.Contains(copied, "node_facet 3") {
		t.Errorf("copied %q", copied)
	}
	p := openAt(t, address)
	for what, of := range map[string]func(d *DB) (any, error){
		"nodes":     func(d *DB) (any, error) { return d.Nodes(t.Context()) },
		"hot":       func(d *DB) (any, error) { return d.LoadHot(t.Context()) },
		"runs":      func(d *DB) (any, error) { return d.Runs(t.Context(), "web-1", 10, true) },
		"facets":    func(d *DB) (any, error) { return d.Facets(t.Context(), []string{"sha256:1"}) },
		"operators": func(d *DB) (any, error) { return d.Operators(t.Context()) },
		"tokens":    func(d *DB) (any, error) { return d.Tokens(t.Context()) },
		"events":    func(d *DB) (any, error) { return d.Events(t.Context(), "", 100) },
		"history": func(d *DB) (any, error) {
			return d.ResourceHistory(t.Context(), report.HistoryQuery{}, Before{}, 10)
		},
		"traits":  func(d *DB) (any, error) { return d.TraitHistory(t.Context(), "", "", time.Time{}, Before{}, 10) },
		"waiting": func(d *DB) (any, error) { return d.FacetChanges(t.Context(), 0, 10) },
		"audit":   func(d *DB) (any, error) { return wholeLog(t, d), nil },
	} {
		before, err := of(d)
		must(t, err)
		after, err := of(p)
		must(t, err)
		if fmt.Sprintf("%+v", before) != fmt.Sprintf("%+v", after) {
			t.Errorf("%s: were %+v\nare %+v", what, before, after)
		}
	}
	must(t, p.PutEvents(t.Context(), report.Event{At: noon, Kind: "first there"}))
	must(t, p.PutRuns(t.Context(), "web-0", []report.Run{{ID: "4", Results: []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}}}, noon))
	p.PutHot(Hot{Node: "web-0", Seen: noon, Facets: map[string]string{"os": "sha256:3"}})
	settle(t, p)
	must(t, p.RemoveOperator(t.Context(), "jane", noon))
	mark(t, p, noon)
	if problems := wholeLog(t, p).Verify(unsealed); len(problems) > 0 {
		t.Errorf("the audit log went on in PostgreSQL: %v", problems)
	}
	if err := d.CopyTo(t.Context(), address, func(string, int64) {}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("copied over a store: %v", err)
	}
}

// TestTablesAreAll: no table and no column is left out of a copy, and both databases have the same.
func TestTablesAreAll(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, table := range tables() {
		for _, column := range table.columns {
			want[table.name+"."+column] = true
		}
	}
	file, _ := freshFile(t)
	there(t, file, want, "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'heard'") // what it logs is moved before
	d, _ := freshDatabase(t)
	there(t, d, want, "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT IN ('schema_version', 'feed')") // a feed begins with its database
}

func there(t *testing.T, d *DB, want map[string]bool, query string) {
	t.Helper()
	rows, err := d.query(t.Context(), query)
	must(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		if n++; !want[name] {
			t.Errorf("%s is not copied", name)
		}
	}
	must(t, rows.Err())
	if n != len(want) {
		t.Errorf("%d columns are there, %d are copied", n, len(want))
	}
}
