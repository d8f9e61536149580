package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A check-in changes one row of the table hot, and those of a group are all over it: SQLite writes nearly a page for each, twice. So a
// file has them written one behind the other, a row of the table heard for a group, and moved now and then: by then most nodes have
// been heard of several times, and the rows of hot are written in their order.

const (
	// moveEvery is how long what was heard stays in the log.
	moveEvery = 2 * time.Minute
	// moveAtOnce is how many nodes are moved in one group, so that those who wait do so shortly.
	moveAtOnce = 2000
)

// moving is how far what was heard is moved into the table hot. Only the writer goroutine has it. When a group fails, it begins
// anew: moving the same again changes nothing.
type moving struct {
	since time.Time // when the log was looked at last
	left  []heard   // to be moved, by name
	upTo  int64     // the last row of the log that they are from
}

// putHotsInLog keeps the records of a group of a file.
func putHotsInLog(t *tx, all map[string]Hot) error {
	if len(all) == 0 {
		return nil
	}
	said := make([]heard, 0, len(all))
	for _, h := range all {
		said = append(said, heard{node: h.Node, seen: nanos(h.Seen), told: int64(h.Told), counter: h.Counter})
	}
	if err := t.putHeard(said...); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) { // in the order of the rows, of which many are on one page
		if err := t.putSaid(all[name]); err != nil {
			return err
		}
	}
	return nil
}

// putHeard writes a row of the log.
func (t *tx) putHeard(said ...heard) error {
	at := int64(0)
	for _, h := range said {
		at = max(at, h.seen)
	}
	doc := make([]byte, 0, 48*len(said))
	for _, h := range said {
		doc = appendHeard(doc, h, at)
	}
	if _, err := t.exec("INSERT INTO heard (at, doc) VALUES (?, ?)", at, doc); err != nil {
		return fmt.Errorf("keeping what %d nodes said: %w", len(said), err)
	}
	return nil
}

// forgetHeard has what was said under names until now not count.
func (t *tx) forgetHeard(names []string) error {
	said := make([]heard, len(names))
	for i, name := range names {
		said[i] = heard{node: name, anew: true, silent: true}
	}
	return t.putHeard(said...)
}

// readHeard returns what the log says in the end of each node that it tells of, and the number of its last row.
func readHeard(ctx context.Context, from querier) (all map[string]heard, last int64, err error) {
	rows, err := from.QueryContext(ctx, "SELECT id, at, doc FROM heard ORDER BY id")
	if err != nil {
		return nil, 0, fmt.Errorf("reading the log of check-ins: %w", err)
	}
	defer rows.Close()
	all = map[string]heard{}
	for rows.Next() {
		var at int64
		var doc sql.RawBytes
		if err := rows.Scan(&last, &at, &doc); err != nil {
			return nil, 0, fmt.Errorf("reading the log of check-ins: %w", err)
		}
		if err := eachHeard(doc, at, func(h heard) { all[h.node] = h.after(all[h.node]) }); err != nil {
			return nil, 0, fmt.Errorf("reading the log of check-ins: row %d: %w", last, err)
		}
	}
	return all, last, rows.Err()
}

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// moveSome is an operation of its own when it is time to move what was heard; nil when it is not.
func (d *DB) moveSome(now time.Time) *op {
	m := &d.moving
	if !d.dialect.logs || m.left == nil && now.Sub(m.since) < moveEvery {
		return nil
	}
	return &op{do: (*tx).moveHeard, done: make(chan struct{})}
}

// moveHeard moves some of what was heard, and removes it from the log with the last.
func (t *tx) moveHeard() (err error) {
	m := &t.d.moving
	defer func() {
		if err != nil {
			m.left, m.since = nil, time.Now()
		}
	}()
	if m.left == nil {
		m.since = time.Now()
		all, last, err := readHeard(t.ctx, t.d.conn)
		if err != nil {
			return err
		}
		m.upTo, m.left = last, make([]heard, 0, len(all))
		for _, name := range slices.Sorted(maps.Keys(all)) {
			m.left = append(m.left, all[name])
		}
	}
	for _, h := range m.left[:min(moveAtOnce, len(m.left))] {
		if err := t.move(h); err != nil {
			return fmt.Errorf("keeping what %s said: %w", h.node, err)
		}
	}
	if m.left = m.left[min(moveAtOnce, len(m.left)):]; len(m.left) > 0 {
		return nil
	}
	m.left = nil
	if _, err := t.exec("DELETE FROM heard WHERE id <= ?", m.upTo); err != nil {
		return fmt.Errorf("emptying the log of check-ins: %w", err)
	}
	return nil
}

func (t *tx) move(h heard) error {
	var err error
	if h.anew {
		_, err = t.exec("DELETE FROM hot WHERE node = ?", h.node)
	}
	if err == nil && !h.silent {
		_, err = t.exec(`INSERT INTO hot (node, seen, told, counter) VALUES (?, ?, ?, ?)
			ON CONFLICT (node) DO UPDATE SET seen = excluded.seen, told = excluded.told, counter = max(hot.counter, excluded.counter)`, h.node, h.seen, h.told, h.counter)
	}
	return err
}

// moveAll moves all that was heard, so that the table hot says all.
func (d *DB) moveAll(ctx context.Context) error {
	if !d.dialect.logs {
		return nil
	}
	return d.commit(ctx, func(t *tx) error {
		err := t.moveHeard()
		for err == nil && t.d.moving.left != nil {
			err = t.moveHeard()
		}
		return err
	})
}

// hotsInLog is what a file says of the last check-ins of nodes, nil for all of them: the table hot, and what was heard since.
func (d *DB) hotsInLog(ctx context.Context, nodes []string) (all map[string]Hot, err error) {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // what is moved meanwhile is in one of both
	if err != nil {
		return nil, fmt.Errorf("reading the last check-ins: %w", err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	said, _, err := readHeard(ctx, tx)
	if err != nil {
		return nil, err
	}
	if all, err = d.hots(ctx, tx, nodes); err != nil {
		return nil, err
	}
	for name, h := range said {
		if nodes != nil && !slices.Contains(nodes, name) {
			continue
		}
		old := all[name]
		if delete(all, name); h.silent {
			continue
		}
		if !h.anew {
			h.counter = max(h.counter, old.Counter)
		}
		all[name] = h.hot()
	}
	return all, d.addAccounts(ctx, tx, all, nodes)
}
