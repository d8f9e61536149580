package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// rowBytes is how many bytes the documents of the rows of one node may have on the average: its rows may be few and large.
const rowBytes = 4 << 10

// droppedOf is the key of the note of what was forgotten of one node because it had too much.
const droppedOf = droppedKey + "/"

// PruneNode forgets what a node has beyond its share of each class, oldest first, notes until when that was, and returns the names of
// the classes that it had too much of.
func (d *DB) PruneNode(ctx context.Context, node string, r Retention) (over []string, err error) {
	for _, c := range r.classes() {
		if c.limit.Node <= 0 {
			continue
		}
		beyond, err := d.boundNode(ctx, c, node)
		if err != nil {
			return over, fmt.Errorf("forgetting %s of %s: %w", c.name, node, err)
		}
		if beyond {
			over = append(over, c.name)
		}
	}
	return over, nil
}

// boundNode is [DB.PruneNode] of one class, and reports whether there was too much.
func (d *DB) boundNode(ctx context.Context, c class, node string) (beyond bool, err error) {
	size := "0"
	if c.doc {
		size = "length(doc)"
	}
	query := fmt.Sprintf(`SELECT at, id FROM (
		SELECT %s AS at, id, row_number() OVER newest AS rank, sum(%s) OVER newest AS bytes FROM %s WHERE %s node = ? WINDOW newest AS (ORDER BY %[1]s DESC, id DESC)
	) AS ranked WHERE rank > ? OR bytes > ? ORDER BY at DESC, id DESC LIMIT 1`, c.at, size, c.table, c.where)
	var last int64
	var id any // a number or a text
	switch err := d.queryRow(ctx, query, node, c.limit.Node, c.limit.Node*rowBytes).Scan(&last, &id); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	}
	remove := fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (SELECT %[2]s FROM %[1]s WHERE %[3]s node = ? AND (%[4]s, id) <= (?, ?) LIMIT ?)", c.table, c.key, c.where, c.at)
	for n := int64(pruneAtOnce); n == pruneAtOnce; {
		err := d.commit(ctx, func(t *tx) error {
			done, err := t.exec(remove, node, last, id, pruneAtOnce)
			if err != nil {
				return err
			}
			if n, err = done.RowsAffected(); err != nil {
				return err
			}
			return t.noteDropped(node, c.name, timeOf(last+1))
		})
		if err != nil {
			return true, err
		}
	}
	return true, nil
}

func (t *tx) noteDropped(node, class string, until time.Time) error {
	dropped := map[string]time.Time{}
	var doc []byte
	switch err := t.row("SELECT doc FROM note WHERE key = ?", droppedOf+node).Scan(&doc); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return fmt.Errorf("reading what was forgotten of %s: %w", node, err)
	default:
		if err := json.Unmarshal(doc, &dropped); err != nil {
			return fmt.Errorf("reading what was forgotten of %s: %w", node, err)
		}
	}
	dropped[class] = until
	if _, err := t.exec("INSERT INTO note (key, doc) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET doc = ?2", droppedOf+node, jsonOf(dropped)); err != nil {
		return fmt.Errorf("noting what was forgotten of %s: %w", node, err)
	}
	return nil
}

// DroppedOf says for each class until when it was forgotten of a node before its time, because the node had more than its share.
func (d *DB) DroppedOf(ctx context.Context, node string) (map[string]time.Time, error) {
	var of map[string]time.Time
	if err := d.Note(ctx, droppedOf+node, &of); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return of, nil
}

// PruneNodes is [DB.PruneNode] of every node that may have too much, by name, and forgets the notes of what would have gone by now.
func (d *DB) PruneNodes(ctx context.Context, r Retention, now time.Time) (over map[string][]string, err error) {
	over = map[string][]string{}
	most, least := map[string]bool{}, map[string]int64{} // by table
	for _, c := range r.classes() {
		if n := c.limit.Node; n > 0 && (least[c.table] == 0 || n < least[c.table]) {
			least[c.table] = n
		}
	}
	for table, n := range least {
		names, err := column(d.query(ctx, "SELECT node FROM "+table+" WHERE node <> '' GROUP BY node HAVING count(*) > ?", n))
		if err != nil {
			return over, fmt.Errorf("looking for nodes with too many rows of %s: %w", table, err)
		}
		for _, name := range names {
			most[name] = true
		}
	}
	for name := range most {
		classes, err := d.PruneNode(ctx, name, r)
		if err != nil {
			return over, err
		}
		if len(classes) > 0 {
			over[name] = classes
		}
	}
	return over, d.forgetDropped(ctx, r, now)
}

// forgetDropped forgets the notes that say nothing any more: what is as old is gone of every node.
func (d *DB) forgetDropped(ctx context.Context, r Retention, now time.Time) error {
	keys, err := column(d.query(ctx, "SELECT key FROM note WHERE substr(key, 1, ?) = ?", len(droppedOf), droppedOf))
	if err != nil {
		return fmt.Errorf("reading what was forgotten of nodes: %w", err)
	}
	for _, key := range keys {
		dropped, err := d.DroppedOf(ctx, strings.TrimPrefix(key, droppedOf))
		if err != nil {
			return err
		}
		for _, c := range r.classes() {
			if c.limit.Age > 0 && dropped[c.name].Before(now.Add(-c.limit.Age)) {
				delete(dropped, c.name)
			}
		}
		if len(dropped) > 0 {
			continue
		}
		if err := d.commit(ctx, func(t *tx) error { _, err := t.exec("DELETE FROM note WHERE key = ?", key); return err }); err != nil {
			return fmt.Errorf("forgetting what was forgotten of nodes: %w", err)
		}
	}
	return nil
}
