package sqlstore

import (
	"context"
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

// stored is what a test of snapshots puts into a store, of every sort of column.
func stored(t *testing.T, d *DB) identity.Secret {
	t.Helper()
	s := secretOf(t, d, identity.Grant{Uses: 9})
	for i := range 3 {
		name := fmt.Sprint("web-", i)
		enroll(t, d, s, name, name)
		d.PutHot(Hot{Node: name, Seen: noon, Told: time.Minute, Counter: int64(i + 1), Doc: []byte("{}"), Facets: map[string]string{"os": "sha256:1"}})
		must(t, d.PutRuns(t.Context(), name, []report.Run{{ID: "1", Error: "x\x00y"}, {ID: "2"}}, noon))
	}
	must(t, d.PutFacets(t.Context(), []trait.Facet{{Name: "os", Digest: "sha256:1", Doc: []byte(`{"name":"Debian"}`)}}, noon))
	for id, name := range []string{"jane", "joe"} {
		must(t, d.PutOperator(t.Context(), Operator{ID: fmt.Sprint(id), Name: name, Role: identity.RoleAdmin, Hash: []byte(name)}, noon))
	}
	must(t, d.AddToken(t.Context(), Operator{ID: "2", Name: "jane", Role: identity.RoleAdmin, Kind: KindLogin, Hash: []byte{3}, Created: noon}))
	mark(t, d, noon)
	settle(t, d)
	return s
}

// snapshotOf takes a snapshot of a store, wherever it is.
func snapshotOf(t *testing.T, d *DB, file, address string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "snapshot.db")
	if address != "" {
		must(t, SnapshotPostgres(t.Context(), address, to))
	} else {
		must(t, SnapshotFile(t.Context(), file, to))
	}
	return to
}

// eachPlace runs a test with a store in a file and with one in a database.
func eachPlace(t *testing.T, test func(t *testing.T, d *DB, file, address string)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "report.db")
		test(t, open(t, file), file, "")
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		address := one.Database(t)
		test(t, openAt(t, address), "", address)
	})
}

// TestSnapshot: it is taken while the store is written to, says what the store said in one moment, and is a file by itself.
func TestSnapshot(t *testing.T) { eachPlace(t, testSnapshot) }

func testSnapshot(t *testing.T, d *DB, file, address string) {
	stored(t, d)
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		var err error
		for n := 0; err == nil && ctx.Err() == nil; n++ { // two rows that are one change
			err = d.PutEvents(context.WithoutCancel(ctx), report.Event{At: noon, Kind: "one"}, report.Event{At: noon, Kind: "other"})
		}
		written <- err
	}()
	to := snapshotOf(t, d, file, address)
	stop()
	must(t, <-written)

	found, err := Inspect(t.Context(), to)
	must(t, err)
	if found.Schema != len(sqliteMigrations()) || found.Rows["node"] != 3 || found.Rows["run"] != 6 || len(found.Rows) != len(tables())+1 {
		t.Errorf("it holds %+v", found)
	}
	beside, err := filepath.Glob(to + "-*")
	must(t, err)
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 || len(beside) > 0 {
		t.Errorf("it has mode %v, beside it are %q: %v", info.Mode(), beside, err)
	}
	s := open(t, to)
	events, err := s.Events(t.Context(), "", 1e6)
	must(t, err)
	one := slices.DeleteFunc(slices.Clone(events), func(e report.Event) bool { return e.Kind != "one" })
	other := slices.DeleteFunc(slices.Clone(events), func(e report.Event) bool { return e.Kind != "other" })
	if len(one) != len(other) {
		t.Errorf("%d and %d of what was written together", len(one), len(other))
	}
	for what, of := range map[string]func(d *DB) (any, error){
		"nodes":     func(d *DB) (any, error) { return d.Nodes(t.Context()) },
		"hot":       func(d *DB) (any, error) { return d.LoadHot(t.Context()) },
		"runs":      func(d *DB) (any, error) { return d.Runs(t.Context(), "web-1", 10, true) },
		"operators": func(d *DB) (any, error) { return d.Operators(t.Context()) },
		"audit":     func(d *DB) (any, error) { return wholeLog(t, d), nil },
	} {
		want, err := of(d)
		must(t, err)
		got, err := of(s)
		must(t, err)
		if fmt.Sprintf("%+v", want) != fmt.Sprintf("%+v", got) {
			t.Errorf("%s: were %+v\nare %+v", what, want, got)
		}
	}
}

// TestSnapshotRefuses: there is nothing to take, it is damaged, or it is of another version.
func TestSnapshotRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged.db")
	must(t, os.WriteFile(damaged, []byte(strings.Repeat("not a database\n", 1000)), 0o600))
	if err := SnapshotFile(t.Context(), damaged, filepath.Join(dir, "to")); !errors.Is(err, ErrDamaged) {
		t.Errorf("of a damaged file: %v", err)
	}
	if err := SnapshotFile(t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "to")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	if err := SnapshotPostgres(t.Context(), one.Database(t), filepath.Join(dir, "to")); err == nil || !strings.Contains(err.Error(), "no store in the database") {
		t.Errorf("of an empty database: %v", err)
	}
}

// TestMarkRestored: nobody is let in of whom it is not known whether that still holds; who left is taken from the store that
// is replaced.
func TestMarkRestored(t *testing.T) { eachPlace(t, testMarkRestored) }

func testMarkRestored(t *testing.T, d *DB, file, address string) {
	secret := stored(t, d)
	before := snapshotOf(t, d, file, address)
	must(t, d.Retire(t.Context(), "web-1", "", noon))
	must(t, d.RemoveOperator(t.Context(), "joe", noon))
	withdrawn, err := WithdrawnIn(t.Context(), file)
	if address != "" {
		withdrawn, err = WithdrawnAt(t.Context(), address)
	}
	must(t, err)

	s := open(t, before)
	at := Restored{At: noon.Add(time.Hour), Taken: noon}
	taken, err := s.MarkRestored(t.Context(), at, withdrawn)
	must(t, err)
	if want := (Taken{Tokens: 1, Logins: 1, Operators: []string{"joe"}, Retired: []string{"web-1"}}); fmt.Sprint(taken) != fmt.Sprint(want) {
		t.Errorf("taken was %+v, want %+v", taken, want)
	}
	if _, err := s.Enroll(t.Context(), secret, Node{Name: "web-9", Key: []byte("9"), Enrolled: noon}, allow("web-9")); !errors.Is(err, identity.ErrToken) {
		t.Errorf("a token of before: %v", err)
	}
	operators, err := s.Operators(t.Context())
	must(t, err)
	if len(operators) != 1 || operators[0].Name != "jane" {
		t.Errorf("operators are %+v", operators)
	}
	nodes, err := s.NodesNamed(t.Context(), []string{"web-1"})
	must(t, err)
	if !nodes[0].Retired.Equal(noon) {
		t.Errorf("web-1 is %+v", nodes[0])
	}
	var kept Restored
	if err := s.Note(t.Context(), RestoredKey, &kept); err != nil || !kept.At.Equal(at.At) {
		t.Errorf("kept is %+v: %v", kept, err)
	}
	mark(t, s, noon)
	if problems := wholeLog(t, s).Verify(unsealed); len(problems) > 0 {
		t.Errorf("the audit log went on: %v", problems)
	}

	again := open(t, snapshotOf(t, s, before, ""))
	if taken, err := again.MarkRestored(t.Context(), at, nil); err != nil || taken.Tokens+taken.Logins+len(taken.Operators)+len(taken.Retired) > 0 {
		t.Errorf("without what was there, %+v: %v", taken, err)
	}
}

// TestReplaceAt: a store takes the place of another one in a database that no service works with.
func TestReplaceAt(t *testing.T) {
	t.Parallel()
	address := one.Database(t)
	served := openAt(t, address)
	stored(t, served)
	if term, err := served.Lead(t.Context()); err != nil || term == 0 {
		t.Fatalf("term %d: %v", term, err)
	}
	d, _ := freshFile(t)
	s := secretOf(t, d, identity.Grant{})
	enroll(t, d, s, "db-1", "db-1")
	quiet := func(string, int64) {}
	if err := d.ReplaceAt(t.Context(), address, quiet); !errors.Is(err, ErrServed) {
		t.Errorf("replaced under a service: %v", err)
	}
	must(t, served.Close())
	must(t, d.ReplaceAt(t.Context(), address, quiet))
	nodes, err := openAt(t, address).Nodes(t.Context())
	must(t, err)
	if len(nodes) != 1 || nodes[0].Name != "db-1" {
		t.Errorf("nodes are %+v", nodes)
	}
}
