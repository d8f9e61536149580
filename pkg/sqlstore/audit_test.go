package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// unsealed takes every signature for good: what is tested here is the chain.
func unsealed(string, []byte, []byte) error { return nil }

type plainSealer struct{}

func (plainSealer) Seal(string, []byte) ([]byte, error) { return []byte("seal"), nil }

func wholeLog(t *testing.T, d *DB) audit.Log {
	t.Helper()
	log := audit.Log{Fleet: "acme"}
	var err error
	log.Entries, err = d.Audit(t.Context(), audit.Query{})
	must(t, err)
	log.Checkpoints, err = d.Checkpoints(t.Context(), 0)
	must(t, err)
	log.Start, err = d.AuditStart(t.Context())
	must(t, err)
	return log
}

func mark(t *testing.T, d *DB, at time.Time) audit.Checkpoint {
	t.Helper()
	seq, hash, err := d.AuditHead(t.Context())
	must(t, err)
	c, err := audit.Checkpoint{Fleet: "acme", Seq: seq, Hash: hash, Time: at}.Sign(plainSealer{})
	must(t, err)
	must(t, d.PutCheckpoint(t.Context(), c))
	return c
}

func acts(entries []audit.Entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.Actor+" "+e.Act+" "+e.Object)
	}
	return list
}

// Every act is recorded with who did it, in one chain, and what failed is not recorded.
func TestAudit(t *testing.T) { everyDatabase(t, testAudit) }

func testAudit(t *testing.T, fresh opener) {
	d, again := fresh(t)
	ctx := audit.WithCaller(t.Context(), &audit.Caller{Name: "jane", Role: "admin", Address: "192.0.2.1"})
	now := time.Unix(1e9, 7).UTC()
	s, err := identity.NewSecret(strings.Repeat("a", 64), false)
	must(t, err)
	must(t, d.CreateToken(ctx, s, identity.Grant{ID: s.ID, Created: now, Uses: 1, Labels: map[string]string{"role": "web"}}))
	n := enroll(t, d, s, "web-1", "key")
	must(t, d.PutNode(ctx, n, report.Event{At: now, Node: "web-1", Kind: "node.renewed"}))
	must(t, d.RevokeToken(ctx, s.ID, now))
	must(t, d.Retire(ctx, "web-1", "", now))
	must(t, d.PutOperator(ctx, Operator{ID: "1", Hash: []byte{1}, Name: "joe", Role: identity.RoleViewer}, now))
	must(t, d.PutOperator(ctx, Operator{ID: "2", Hash: []byte{1}, Name: "joe", Role: identity.RoleAdmin}, now))
	must(t, d.RemoveOperator(ctx, "joe", now))
	for what, err := range map[string]error{
		"removing": d.RemoveOperator(ctx, "joe", now), "revoking": d.RevokeToken(ctx, "nonesuch", now), "retiring": d.Retire(ctx, "nonesuch", "", now),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s what is not there: %v", what, err)
		}
	}
	mark(t, d, now)
	d = again()
	log := wholeLog(t, d)
	want := []string{"jane token.created " + s.ID, "web-1 node.enrolled web-1", "web-1 node.renewed web-1", "jane token.revoked " + s.ID, "jane node.retired web-1",
		"jane operator.added joe", "jane operator.changed joe", "jane operator.removed joe"}
	if got := acts(log.Entries); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if problems := log.Verify(unsealed); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
	if e := log.Entries[0]; e.Address != "192.0.2.1" || e.Role != "admin" || e.Detail["label role"] != "web" || !e.Time.Equal(now) {
		t.Errorf("%+v", e)
	}
	if e := log.Entries[6]; e.Detail["before"] != "viewer" || e.Detail["role"] != "admin" {
		t.Errorf("%+v", e)
	}
}

// An act whose record cannot be kept does not happen.
func TestNoActWithoutAudit(t *testing.T) { everyDatabase(t, testNoActWithoutAudit) }

func testNoActWithoutAudit(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	must(t, d.PutOperator(t.Context(), Operator{ID: "1", Hash: []byte{1}, Name: "joe", Role: identity.RoleViewer}, time.Unix(1, 0)))
	must(t, d.commit(t.Context(), func(x *tx) error { _, err := x.exec("ALTER TABLE audit RENAME TO gone"); return err }))
	if err := d.RemoveOperator(t.Context(), "joe", time.Unix(2, 0)); err == nil {
		t.Error("an operator was removed without a record")
	}
	if list, err := d.Operators(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// Queries select, from either end.
func TestAuditQuery(t *testing.T) { everyDatabase(t, testAuditQuery) }

func testAuditQuery(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	for i, e := range []audit.Entry{
		{Actor: "jane", Act: "token.created"}, {Actor: "joe", Act: "token.revoked"}, {Actor: "jane", Act: "node.retired"}, {Actor: "jane", Act: "token.revoked"},
	} {
		must(t, d.PutAudit(t.Context(), time.Unix(int64(i+1), 0), e))
	}
	for name, c := range map[string]struct {
		q    audit.Query
		want []int64
	}{
		"all":      {audit.Query{}, []int64{1, 2, 3, 4}},
		"after":    {audit.Query{After: 2}, []int64{3, 4}},
		"since":    {audit.Query{Since: time.Unix(3, 0)}, []int64{3, 4}},
		"actor":    {audit.Query{Actor: "jane"}, []int64{1, 3, 4}},
		"act":      {audit.Query{Act: "token.*"}, []int64{1, 2, 4}},
		"first":    {audit.Query{Limit: 2}, []int64{1, 2}},
		"newest":   {audit.Query{Limit: 2, Newest: true}, []int64{3, 4}},
		"together": {audit.Query{Act: "token.*", Actor: "jane", Newest: true, Limit: 1}, []int64{4}},
		"injected": {audit.Query{Actor: "' OR 1=1 --"}, nil},
	} {
		entries, err := d.Audit(t.Context(), c.q)
		must(t, err)
		var got []int64
		for _, e := range entries {
			got = append(got, e.Seq)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What is past its time is forgotten behind a signed start, the newest entry never, and the chain goes on.
func TestPruneAudit(t *testing.T) { everyDatabase(t, testPruneAudit) }

func testPruneAudit(t *testing.T, fresh opener) {
	d, again := fresh(t)
	for i := range 5 {
		must(t, d.PutAudit(t.Context(), time.Unix(int64(i+1), 0), audit.Entry{Act: "x"}))
	}
	old := mark(t, d, time.Unix(5, 0))
	seq, hash, err := d.AuditBefore(t.Context(), time.Unix(100, 0))
	must(t, err)
	if seq != 4 {
		t.Errorf("up to %d", seq)
	}
	must(t, d.PruneAudit(t.Context(), audit.Checkpoint{Fleet: "acme", Seq: seq, Hash: hash, Time: time.Unix(6, 0), Start: true}, time.Unix(6, 0)))
	mark(t, d, time.Unix(7, 0))
	d = again()
	log := wholeLog(t, d)
	if got := acts(log.Entries); !slices.Equal(got, []string{" x ", "service audit.pruned entries up to 4"}) || log.Start.Seq != 4 {
		t.Errorf("%q from %+v", got, log.Start)
	}
	if problems := log.Verify(unsealed, old); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
	for seq, want := range map[int64]bool{3: true, 5: true, 9: false} {
		if holds, err := d.AuditHolds(t.Context(), audit.Checkpoint{Seq: seq, Hash: old.Hash}); err != nil || holds != want {
			t.Errorf("holds %d: %v, %v", seq, holds, err)
		}
	}
}

// Of older days one checkpoint stays.
func TestCheckpointsAreThinnedOut(t *testing.T) { everyDatabase(t, testCheckpointsAreThinnedOut) }

func testCheckpointsAreThinnedOut(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	const hour = time.Hour
	for i := range 100 {
		at := time.Unix(0, 0).Add(time.Duration(i+1) * hour)
		must(t, d.PutAudit(t.Context(), at, audit.Entry{Act: "x"}))
		mark(t, d, at)
	}
	list, err := d.Checkpoints(t.Context(), 0)
	must(t, err)
	if len(list) > 24+5 || len(list) < 24 || list[len(list)-1].Seq != 100 || list[0].Seq != 23 {
		t.Errorf("%d checkpoints from %d to %d", len(list), list[0].Seq, list[len(list)-1].Seq)
	}
}

// A store of the version before has its audit log begin now.
func TestAuditOfAnOlderStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.db")
	raw, err := sql.Open("sqlite", dsn(path, "rwc"))
	must(t, err)
	_, err = raw.ExecContext(context.Background(), sqliteMigrations()[0]+"PRAGMA user_version = 1; INSERT INTO operator VALUES ('1', x'00', 'jane', 'admin')")
	must(t, errors.Join(err, raw.Close()))
	d := open(t, path)
	must(t, d.RemoveOperator(t.Context(), "jane", time.Unix(1, 0)))
	if got := acts(wholeLog(t, d).Entries); !slices.Equal(got, []string{"service operator.removed jane"}) {
		t.Errorf("%q", got)
	}
}
