package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/audit"
)

// audit chains an entry to the log, in the transaction of the act it tells of: neither is kept without the other.
func (t *tx) audit(e audit.Entry, now time.Time) error {
	var seq int64
	var prev string
	if err := t.row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").Scan(&seq, &prev); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("reading the head of the audit log: %w", err)
	}
	e.Time = now
	e.Actor, e.Object, e.Address = textOf(e.Actor), textOf(e.Object), textOf(e.Address) // before it is chained
	e = e.Chain(seq, prev)
	var detail []byte
	if len(e.Detail) > 0 {
		detail = jsonOf(e.Detail)
	}
	_, err := t.exec("INSERT INTO audit (seq, at, actor, role, act, object, detail, address, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		e.Seq, e.Time.UnixNano(), e.Actor, e.Role, e.Act, e.Object, detail, e.Address, e.Prev, e.Hash)
	if err != nil {
		return fmt.Errorf("keeping audit entry %d: %w", e.Seq, err)
	}
	return nil
}

// PutAudit keeps entries of acts that change nothing here, and returns after they are on disk.
func (d *DB) PutAudit(ctx context.Context, now time.Time, entries ...audit.Entry) error {
	return d.commit(ctx, func(t *tx) error {
		for _, e := range entries {
			if err := t.audit(e, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// Audit returns the entries that match, in ascending order.
func (d *DB) Audit(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	where, args := []string{"seq > ?"}, []any{q.After}
	for _, c := range []struct {
		given bool
		cond  string
		arg   any
	}{{!q.Since.IsZero(), "at >= ?", nanos(q.Since)}, {q.Actor != "", "actor = ?", q.Actor}, {q.Act != "", "act {globs ?}", d.dialect.pattern(q.Act)}} {
		if c.given {
			where, args = append(where, c.cond), append(args, c.arg)
		}
	}
	order := "ASC"
	if q.Newest {
		order = "DESC"
	}
	if q.Limit <= 0 || q.Limit > audit.MaxPage {
		q.Limit = audit.MaxPage
	}
	rows, err := d.query(ctx, "SELECT seq, at, actor, role, act, object, detail, address, prev, hash FROM audit WHERE "+
		strings.Join(where, " AND ")+" ORDER BY seq "+order+" LIMIT ?", append(args, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	defer rows.Close()
	entries := []audit.Entry{}
	for rows.Next() {
		e, err := scanAudit(rows)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if q.Newest {
		slices.Reverse(entries)
	}
	return entries, rows.Err()
}

func scanAudit(rows *sql.Rows) (audit.Entry, error) {
	var e audit.Entry
	var at int64
	var detail []byte
	if err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Role, &e.Act, &e.Object, &detail, &e.Address, &e.Prev, &e.Hash); err != nil {
		return e, fmt.Errorf("reading the audit log: %w", err)
	}
	e.Time = time.Unix(0, at).UTC()
	if len(detail) > 0 {
		if err := json.Unmarshal(detail, &e.Detail); err != nil { // an altered entry is still to be shown
			e.Detail = map[string]string{"unreadable": string(detail)}
		}
	}
	return e, nil
}

// AuditHead returns number and hash of the newest entry; 0 and "" when there is none.
func (d *DB) AuditHead(ctx context.Context) (seq int64, hash string, err error) {
	err = d.queryRow(ctx, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return seq, hash, err
}

// auditHash returns the hash of one entry; [ErrNotFound].
func (d *DB) auditHash(ctx context.Context, seq int64) (hash string, err error) {
	err = d.queryRow(ctx, "SELECT hash FROM audit WHERE seq = ?", seq).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("audit entry %d: %w", seq, ErrNotFound)
	}
	return hash, err
}

// AuditHolds reports whether the log holds the entry a checkpoint has seen, or has forgotten it on purpose.
func (d *DB) AuditHolds(ctx context.Context, c audit.Checkpoint) (bool, error) {
	start, err := d.AuditStart(ctx)
	if err != nil {
		return false, err
	}
	if start != nil && c.Seq <= start.Seq {
		return true, nil
	}
	hash, err := d.auditHash(ctx, c.Seq)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return hash == c.Hash, err
}

// daily is how long every checkpoint is kept; of older days, the last one is.
const daily = 24 * time.Hour

// PutCheckpoint keeps a checkpoint, and thins out those that are older than a day to one for each day.
func (d *DB) PutCheckpoint(ctx context.Context, c audit.Checkpoint) error {
	return d.commit(ctx, func(t *tx) error {
		if _, err := t.exec("INSERT INTO audit_checkpoint (seq, at, start, doc) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (seq, start) DO UPDATE SET at = ?2, doc = ?4",
			c.Seq, nanos(c.Time), false, jsonOf(c)); err != nil {
			return fmt.Errorf("keeping the checkpoint of entry %d: %w", c.Seq, err)
		}
		_, err := t.exec("DELETE FROM audit_checkpoint WHERE NOT start AND at < ? AND seq NOT IN (SELECT max(seq) FROM audit_checkpoint WHERE NOT start GROUP BY at / ?)",
			nanos(c.Time.Add(-daily)), int64(daily))
		if err != nil {
			return fmt.Errorf("thinning out the checkpoints: %w", err)
		}
		return nil
	})
}

// Checkpoints returns the checkpoints of entries after one, in ascending order.
func (d *DB) Checkpoints(ctx context.Context, after int64) ([]audit.Checkpoint, error) {
	return d.checkpoints(ctx, "SELECT doc FROM audit_checkpoint WHERE NOT start AND seq > ? ORDER BY seq", after)
}

// AuditStart returns the statement up to where the log was forgotten; nil when it is whole.
func (d *DB) AuditStart(ctx context.Context) (*audit.Checkpoint, error) {
	list, err := d.checkpoints(ctx, "SELECT doc FROM audit_checkpoint WHERE start ORDER BY seq DESC LIMIT 1")
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func (d *DB) checkpoints(ctx context.Context, query string, args ...any) ([]audit.Checkpoint, error) {
	rows, err := d.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the audit checkpoints: %w", err)
	}
	defer rows.Close()
	list := []audit.Checkpoint{}
	for rows.Next() {
		var doc []byte
		var c audit.Checkpoint
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("reading the audit checkpoints: %w", err)
		}
		if err := json.Unmarshal(doc, &c); err != nil {
			return nil, fmt.Errorf("reading an audit checkpoint: %w", err)
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// AuditBefore returns number and hash of the newest entry older than a time; 0 when there is none. The newest of all never
// counts: a log is never empty again.
func (d *DB) AuditBefore(ctx context.Context, t time.Time) (seq int64, hash string, err error) {
	err = d.queryRow(ctx, "SELECT seq, hash FROM audit WHERE at < ? AND seq < (SELECT max(seq) FROM audit) ORDER BY seq DESC LIMIT 1", nanos(t)).Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return seq, hash, err
}

// AuditBeyond returns number and hash of the newest entry beyond the newest rows; 0 while there are not slack more than that.
func (d *DB) AuditBeyond(ctx context.Context, rows, slack int64) (seq int64, hash string, err error) {
	err = d.queryRow(ctx, `SELECT seq, hash FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?1
		AND (SELECT max(seq) - min(seq) FROM audit) >= ?1 + ?2 ORDER BY seq DESC LIMIT 1`, rows, slack).Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return seq, hash, err
}

// PruneAudit forgets the entries up to a signed start, which takes their place.
func (d *DB) PruneAudit(ctx context.Context, start audit.Checkpoint, now time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		for _, query := range []string{"DELETE FROM audit WHERE seq <= ?", "DELETE FROM audit_checkpoint WHERE seq <= ?"} {
			if _, err := t.exec(query, start.Seq); err != nil {
				return fmt.Errorf("forgetting audit entries: %w", err)
			}
		}
		if _, err := t.exec("INSERT INTO audit_checkpoint (seq, at, start, doc) VALUES (?, ?, ?, ?)",
			start.Seq, nanos(start.Time), true, jsonOf(start)); err != nil {
			return fmt.Errorf("forgetting audit entries: %w", err)
		}
		return t.audit(audit.By(ctx, audit.Pruned, fmt.Sprintf("entries up to %d", start.Seq), nil), now)
	})
}
