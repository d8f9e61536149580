package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// forgetAtOnce bounds the nodes that are forgotten in one group.
	forgetAtOnce = 200
	// certificateSlack is how long after its end a certificate may still count for who has another clock.
	certificateSlack = time.Hour
)

// retiredStill is the condition that a row is of some nodes which were retired at a time or before, and not taken in again since.
const retiredStill = "node IN (SELECT name FROM node WHERE retired > 0 AND retired <= ? AND name IN {items ?})"

// Forget forgets nodes that were retired longer ago than the limit's age, or that are beyond its number, the oldest first, with all
// that was kept of them, and returns their names. That their keys were retired is kept: these never enrol again, not after a backup
// from before was restored either. So is the audit log. A node whose certificate is still valid stays until that is over: who has
// never heard of a node would let it read.
func (d *DB) Forget(ctx context.Context, l Limit, now time.Time) ([]string, error) {
	before, err := d.forgetBefore(ctx, l, now)
	if err != nil || before.IsZero() {
		return nil, err
	}
	old, err := d.nodes(ctx, " WHERE retired > 0 AND retired <= ?", nanos(before))
	if err != nil {
		return nil, err
	}
	var names, gone []string
	for _, n := range old {
		if n.CertExpires.Add(certificateSlack).Before(now) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	for some := range slices.Chunk(names, forgetAtOnce) {
		went, err := d.forgetNodes(ctx, some, before)
		if gone = append(gone, went...); err != nil {
			return gone, fmt.Errorf("forgetting retired nodes: %w", err)
		}
	}
	return gone, nil
}

// forgetBefore is until when nodes were retired that are to be forgotten; zero: none are.
func (d *DB) forgetBefore(ctx context.Context, l Limit, now time.Time) (before time.Time, err error) {
	if l.Age > 0 {
		before = now.Add(-l.Age)
	}
	if l.Rows <= 0 {
		return before, nil
	}
	var beyond int64
	query := "SELECT coalesce((SELECT retired FROM node WHERE retired > 0 ORDER BY retired DESC LIMIT 1 OFFSET ?), 0)"
	if err := d.queryRow(ctx, query, l.Rows).Scan(&beyond); err != nil {
		return before, fmt.Errorf("counting retired nodes: %w", err)
	}
	if at := timeOf(beyond); at.After(before) {
		before = at
	}
	return before, nil
}

// forgetNodes forgets some nodes, unless they were taken in again: first what there is much of, some rows at a time, then who they
// were. When it is interrupted, it is done again.
func (d *DB) forgetNodes(ctx context.Context, names []string, before time.Time) (gone []string, err error) {
	of := string(jsonOf(names))
	for _, t := range nodeTables() {
		query := fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (SELECT %[2]s FROM %[1]s WHERE %[3]s LIMIT ?)", t.table, t.key, retiredStill)
		if err := d.inParts(ctx, query, nanos(before), of, pruneAtOnce); err != nil {
			return nil, err
		}
	}
	err = d.commit(ctx, func(t *tx) error {
		var err error
		if gone, err = column(t.rows("DELETE FROM node WHERE retired > 0 AND retired <= ? AND name IN {items ?} RETURNING name", nanos(before), of)); err != nil {
			return err
		}
		t.change.Nodes = append(t.change.Nodes, gone...)
		return t.forgetSaid(gone)
	})
	return gone, err
}

// nodeTables are those with many rows of one node.
func nodeTables() (all []class) {
	for _, c := range (Retention{}).classes() {
		if !slices.ContainsFunc(all, func(other class) bool { return other.table == c.table }) {
			all = append(all, c)
		}
	}
	return all
}

// forgetSaid forgets what is kept of nodes that are not there any more.
func (t *tx) forgetSaid(names []string) error {
	if len(names) == 0 {
		return nil
	}
	of, notes := string(jsonOf(names)), make([]string, len(names))
	for i, name := range names {
		notes[i] = droppedOf + name
	}
	for _, c := range nodeTables() { // of what came in the moment of its retirement
		if _, err := t.exec("DELETE FROM "+c.table+" WHERE node IN {items ?}", of); err != nil {
			return err
		}
	}
	if _, err := t.exec("DELETE FROM lease WHERE node IN {items ?}", of); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM note WHERE key IN {items ?}", string(jsonOf(notes))); err != nil {
		return err
	}
	return t.forgetHot(names)
}
