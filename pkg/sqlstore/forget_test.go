package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/report"
)

// TestForget: nodes that were retired long enough ago are gone with all their rows, but for their keys, which never enrol again, not
// even where a backup from before is restored. Those who were retired since, whose name another machine has, or whose certificate is
// valid still, stay.
func TestForget(t *testing.T) { everyDatabase(t, testForget) }

func testForget(t *testing.T, fresh opener) {
	d, again := fresh(t)
	s := secretOf(t, d, identity.Grant{})
	join := func(name, key string, certificate time.Duration) {
		t.Helper()
		_, err := d.Enroll(t.Context(), s, Node{Name: name, Key: []byte(key), Enrolled: noon, CertExpires: noon.Add(certificate)}, allow(name))
		must(t, err)
		d.PutHot(Hot{Node: name, Seen: noon, Counter: 9, Doc: []byte("{}"), Facets: map[string]string{"os": "sha256:1"}})
		must(t, d.PutRuns(t.Context(), name, []report.Run{{ID: "1", Results: []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}}, {ID: "2"}}, noon))
		must(t, d.ChangeLease(t.Context(), name, "reboot", noon, func(*lease.Lease, []lease.Lease) LeaseChange {
			return LeaseChange{Put: &lease.Lease{Node: name, Group: "reboot"}}
		}))
		must(t, d.commit(t.Context(), func(t *tx) error { return t.noteDropped(name, "runs", noon) }))
	}
	const day = 24 * time.Hour
	for _, name := range []string{"gone", "reused", "valid", "recent", "there"} {
		certificate := time.Hour
		if name == "valid" {
			certificate = 90 * day
		}
		join(name, "key of "+name, certificate)
	}
	must(t, d.PutRuns(t.Context(), "gone", []report.Run{{ID: "3"}}, noon))
	for _, name := range []string{"gone", "reused", "valid"} {
		must(t, d.Retire(t.Context(), name, "", noon))
	}
	must(t, d.Retire(t.Context(), "recent", "", noon.Add(day)))
	join("reused", "another key", time.Hour)
	settle(t, d)

	gone, err := d.Forget(t.Context(), Limit{Age: 30 * day}, noon.Add(30*day-1))
	if err != nil || len(gone) != 0 {
		t.Errorf("before their time, those are forgotten: %v, %v", gone, err)
	}
	gone, err = d.Forget(t.Context(), Limit{Age: 30 * day}, noon.Add(30*day))
	if err != nil || !slices.Equal(gone, []string{"gone"}) {
		t.Fatalf("forgotten are %q, %v", gone, err)
	}
	d = again()
	must(t, d.moveAll(t.Context()))
	for _, table := range tables() {
		if !slices.Contains(table.columns, "node") || table.name == "retired_key" {
			continue
		}
		for name, want := range map[string]bool{"gone": false, "there": true, "reused": true} {
			if table.name == "silence" || table.name == "trait_history" || table.name == "facet_change" {
				want = false // they have none of anybody
			}
			if n := rowsOfNode(t, d, table.name, name); n > 0 != want {
				t.Errorf("%s has %d rows of %s", table.name, n, name)
			}
		}
	}
	nodes, err := d.Nodes(t.Context())
	must(t, err)
	if len(nodes) != 4 {
		t.Errorf("there are %+v", nodes)
	}
	of, err := d.DroppedOf(t.Context(), "gone")
	if err != nil || len(of) != 0 {
		t.Errorf("the note of what was too much is %v, %v", of, err)
	}
	if _, err := d.Enroll(t.Context(), s, Node{Name: "gone", Key: []byte("key of gone")}, allow("gone")); !errors.Is(err, ErrKeyRetired) {
		t.Errorf("the key of who is forgotten: %v", err)
	}
	since, err := readWithdrawn(t.Context(), d.read)
	must(t, err)
	if !slices.ContainsFunc(since.retired, func(k retiredKey) bool { return string(k.key) == "key of gone" }) {
		t.Errorf("who restores a backup is not told of the key: %+v", since.retired)
	}
	join("gone", "new key", time.Hour)
}

func rowsOfNode(t *testing.T, d *DB, table, node string) (n int) {
	t.Helper()
	must(t, d.queryRow(t.Context(), "SELECT count(*) FROM "+table+" WHERE node = ?", node).Scan(&n))
	return n
}

// TestForgetBeyond: of more retired nodes than are kept, the oldest go, though their time is not over. There may be more of them, and
// more rows of one, than go in one group.
func TestForgetBeyond(t *testing.T) { everyDatabase(t, testForgetBeyond) }

func testForgetBeyond(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	const all, keep = forgetAtOnce + 12, 10
	must(t, d.commit(t.Context(), func(t *tx) error {
		for i := range all {
			name := fmt.Sprintf("web-%03d", i)
			if _, err := t.exec("INSERT INTO node (name, key, retired, doc) VALUES (?, ?, ?, ?)", name, []byte(name), nanos(noon.Add(time.Duration(i))), []byte("{}")); err != nil {
				return err
			}
		}
		for range pruneAtOnce + 1 {
			if err := t.event(report.Event{At: noon, Node: "web-000", Kind: "node.back"}); err != nil {
				return err
			}
		}
		return t.event(report.Event{At: noon, Node: "web-211", Kind: "node.back"})
	}))
	gone, err := d.Forget(t.Context(), Limit{Age: time.Hour, Rows: keep}, noon.Add(time.Minute))
	if err != nil || len(gone) != all-keep || gone[0] != "web-000" || gone[len(gone)-1] != "web-201" {
		t.Errorf("%d are forgotten, %v", len(gone), err)
	}
	if first, last := rowsOfNode(t, d, "event", "web-000"), rowsOfNode(t, d, "event", "web-211"); first != 0 || last != 1 {
		t.Errorf("of the first there are %d events, of the last %d", first, last)
	}
	if gone, err := d.Forget(t.Context(), Limit{Rows: keep}, noon.Add(time.Minute)); err != nil || len(gone) != 0 {
		t.Errorf("the second time %d are forgotten, %v", len(gone), err)
	}
	if gone, err := d.Forget(t.Context(), Limit{}, noon.Add(time.Hour)); err != nil || len(gone) != 0 {
		t.Errorf("without a limit %d are forgotten, %v", len(gone), err)
	}
	var name string
	if err := d.queryRow(t.Context(), "SELECT name FROM node WHERE retired = 0").Scan(&name); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("%s is taken in again: %v", name, err)
	}
}
