package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Retention is for how long each class is kept.
type Retention struct {
	Runs    Limit         // with changes or failures
	Quiet   Limit         // runs that found all as declared
	Events  Limit         //
	History Limit         // what changed and drifted of resources
	Traits  Limit         // what changed of traits
	Facets  time.Duration // documents that no node has any more, and no change waits for; 0: for ever
}

// A Limit is how long a class is kept; what is 0 does not limit it.
type Limit struct {
	Age  time.Duration
	Rows int64 // the newest
	Node int64 // the newest of each node, of 4 KiB on the average
}

// class is how the rows of a class are found. Statements are about one table.
type class struct {
	name  string
	limit Limit
	table string
	key   string // columns
	where string // beside the time; "": all of the table
	at    string // column of the time
	doc   bool   // there is a document, whose size counts
}

func (r Retention) classes() []class {
	return []class{
		{"runs", r.Runs, "run", "node, id", "NOT quiet AND ", "received", true},
		{"quiet", r.Quiet, "run", "node, id", "quiet AND ", "received", true},
		{"events", r.Events, "event", "id", "", "at", false},
		{"history", r.History, "history", "id", "", "at", false},
		{"traits", r.Traits, "trait_history", "id", "", "at", true},
	}
}

// droppedKey is the note of what was forgotten because there was too much of it.
const droppedKey = "dropped"

// pruneAtOnce bounds what is forgotten in one group, so that others do not wait long.
const pruneAtOnce = 2000

// Prune forgets what is past its time or beyond its bound, oldest first, and returns the digests of the facets that went.
func (d *DB) Prune(ctx context.Context, r Retention, now time.Time) ([]string, error) {
	for _, c := range r.classes() {
		if c.limit.Age > 0 {
			if err := d.pruneClass(ctx, c, now.Add(-c.limit.Age)); err != nil {
				return nil, fmt.Errorf("forgetting %s: %w", c.name, err)
			}
		}
		if c.limit.Rows > 0 {
			if err := d.boundClass(ctx, c); err != nil {
				return nil, fmt.Errorf("forgetting %s: %w", c.name, err)
			}
		}
	}
	if r.Facets <= 0 {
		return nil, nil
	}
	return d.pruneFacets(ctx, now.Add(-r.Facets))
}

// boundClass forgets what is beyond the bound of a class, and notes until when that was.
func (d *DB) boundClass(ctx context.Context, c class) error {
	var oldest int64 // that does not fit
	where := ""
	if c.where != "" {
		where = " WHERE " + c.where + "true"
	}
	query := fmt.Sprintf("SELECT coalesce((SELECT %s FROM %s%s ORDER BY %[1]s DESC LIMIT 1 OFFSET ?), 0)", c.at, c.table, where)
	if err := d.queryRow(ctx, query, c.limit.Rows).Scan(&oldest); err != nil || oldest == 0 {
		return err
	}
	until := timeOf(oldest + 1)
	dropped, err := d.Dropped(ctx)
	if err != nil {
		return err
	}
	dropped[c.name] = until
	if err := d.PutNote(ctx, droppedKey, dropped); err != nil {
		return err
	}
	return d.pruneClass(ctx, c, until)
}

// Dropped says for each class until when it was forgotten before its time, because there was too much of it.
func (d *DB) Dropped(ctx context.Context) (map[string]time.Time, error) {
	of := map[string]time.Time{}
	if err := d.Note(ctx, droppedKey, &of); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return of, nil
}

// pruneClass forgets the rows of a class that are older than a time, some at a time.
func (d *DB) pruneClass(ctx context.Context, c class, before time.Time) error {
	query := fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (SELECT %[2]s FROM %[1]s WHERE %[3]s%[4]s < ? LIMIT ?)", c.table, c.key, c.where, c.at)
	return d.inParts(ctx, query, nanos(before), pruneAtOnce)
}

// inParts has a statement that changes at most [pruneAtOnce] rows run until it has changed all.
func (d *DB) inParts(ctx context.Context, query string, args ...any) error {
	for {
		var n int64
		err := d.commit(ctx, func(t *tx) error {
			done, err := t.exec(query, args...)
			if err != nil {
				return err
			}
			n, err = done.RowsAffected()
			return err
		})
		if err != nil || n < pruneAtOnce {
			return err
		}
	}
}

// unused is the condition that no node has a document, and that no change waits for it.
const unused = ` AND NOT EXISTS (SELECT 1 FROM node_facet WHERE node_facet.digest = facet.digest)
	AND facet.digest NOT IN (SELECT was FROM facet_change) AND facet.digest NOT IN (SELECT became FROM facet_change)`

func (d *DB) pruneFacets(ctx context.Context, before time.Time) (gone []string, err error) {
	err = d.commit(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM node_facet WHERE node IN (SELECT name FROM node WHERE retired > 0 AND retired < ?)", nanos(before))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("forgetting traits of retired nodes: %w", err)
	}
	old, err := column(d.query(ctx, "SELECT digest FROM facet WHERE at < ?"+unused, nanos(before))) // those who write do not wait for this
	if err != nil {
		return nil, fmt.Errorf("forgetting traits: %w", err)
	}
	for len(old) > 0 && err == nil {
		some := old[:min(len(old), pruneAtOnce)]
		old = old[len(some):]
		err = d.commit(ctx, func(t *tx) error {
			went, err := t.pruneDocuments(some, before)
			gone = append(gone, went...)
			t.change.Gone = append(t.change.Gone, went...)
			return err
		})
	}
	return gone, err
}

// pruneDocuments forgets documents, unless they are in use again.
func (t *tx) pruneDocuments(digests []string, before time.Time) ([]string, error) {
	gone, err := column(t.rows("DELETE FROM facet WHERE at < ? AND digest IN {items ?}"+unused+" RETURNING digest", nanos(before), string(jsonOf(digests))))
	if err != nil {
		return nil, fmt.Errorf("forgetting traits: %w", err)
	}
	return gone, nil
}
