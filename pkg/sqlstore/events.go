package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// PutEvents keeps what happened, and returns after it is on disk.
func (d *DB) PutEvents(ctx context.Context, events ...report.Event) error {
	return d.commit(ctx, func(t *tx) error {
		for _, e := range events {
			if err := t.event(e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) event(e report.Event) error {
	if _, err := t.exec("INSERT INTO event (at, node, kind, text) VALUES (?, ?, ?, ?)", nanos(e.At), e.Node, e.Kind, textOf(e.Text)); err != nil {
		return fmt.Errorf("keeping event %s: %w", e.Kind, err)
	}
	return nil
}

// Events returns events, newest first; of one node unless it is "".
func (d *DB) Events(ctx context.Context, node string, limit int) ([]report.Event, error) {
	query, args := "SELECT id, at, node, kind, text FROM event ORDER BY id DESC LIMIT ?", []any{limit}
	if node != "" {
		query, args = "SELECT id, at, node, kind, text FROM event WHERE node = ? ORDER BY id DESC LIMIT ?", []any{node, limit}
	}
	rows, err := d.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	defer rows.Close()
	events := []report.Event{}
	for rows.Next() {
		var e report.Event
		var at int64
		if err := rows.Scan(&e.Seq, &at, &e.Node, &e.Kind, &e.Text); err != nil {
			return nil, fmt.Errorf("reading events: %w", err)
		}
		e.At = timeOf(at)
		events = append(events, e)
	}
	return events, rows.Err()
}

// PutNote keeps a document under a key, and returns after it is on disk.
func (d *DB) PutNote(ctx context.Context, key string, v any, events ...report.Event) error {
	return d.PutNoteOf(ctx, key, v, time.Time{}, nil, events...)
}

// PutNoteOf keeps a document under a key together with the audit entries of what it changes, and events.
func (d *DB) PutNoteOf(ctx context.Context, key string, v any, now time.Time, acts []audit.Entry, events ...report.Event) error {
	return d.commit(ctx, func(t *tx) error {
		if _, err := t.exec("INSERT INTO note (key, doc) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET doc = ?2", key, jsonOf(v)); err != nil {
			return fmt.Errorf("keeping note %s: %w", key, err)
		}
		t.change.Notes = append(t.change.Notes, key)
		for _, e := range acts {
			if err := t.audit(e, now); err != nil {
				return err
			}
		}
		for _, e := range events {
			if err := t.event(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Note reads the document under a key. [ErrNotFound].
func (d *DB) Note(ctx context.Context, key string, into any) error {
	var doc []byte
	switch err := d.queryRow(ctx, "SELECT doc FROM note WHERE key = ?", key).Scan(&doc); {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("note %s: %w", key, ErrNotFound)
	case err != nil:
		return fmt.Errorf("reading note %s: %w", key, err)
	}
	if err := json.Unmarshal(doc, into); err != nil {
		return fmt.Errorf("reading note %s: %w", key, err)
	}
	return nil
}
