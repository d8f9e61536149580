package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Outgoing is a notice that is to be delivered, or could not be.
type Outgoing struct {
	Receiver string
	ID       string
	At       time.Time // when it was written
	Due      time.Time // when it is tried next
	Tries    int
	Died     time.Time // when it was given up; zero: it was not
	Error    string    // of the last try
	Doc      []byte
}

// Waiting is what waits for a receiver.
type Waiting struct {
	Waiting, Dead int
	Since         time.Time // when the oldest that waits was written
	Error         string    // of its last try
}

const outgoing = "SELECT receiver, id, at, due, tries, died, error, doc FROM outbox "

// Outbox returns what waits for a receiver, the oldest first.
func (d *DB) Outbox(ctx context.Context, receiver string, limit int) ([]Outgoing, error) {
	return d.outgoing(ctx, outgoing+"WHERE receiver = ? AND died = 0 ORDER BY at, id LIMIT ?", receiver, limit)
}

// Dead returns what was given up, the newest first.
func (d *DB) Dead(ctx context.Context, limit int) ([]Outgoing, error) {
	return d.outgoing(ctx, outgoing+"WHERE died > 0 ORDER BY died DESC, id LIMIT ?", limit)
}

func (d *DB) outgoing(ctx context.Context, query string, args ...any) ([]Outgoing, error) {
	rows, err := d.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", d.dialect.explain(err))
	}
	defer rows.Close()
	list := []Outgoing{}
	for rows.Next() {
		var o Outgoing
		var at, due, died int64
		if err := rows.Scan(&o.Receiver, &o.ID, &at, &due, &o.Tries, &died, &o.Error, &o.Doc); err != nil {
			return nil, fmt.Errorf("reading notices: %w", err)
		}
		o.At, o.Due, o.Died = timeOf(at), timeOf(due), timeOf(died)
		list = append(list, o)
	}
	return list, rows.Err()
}

// OutboxCounts returns what waits and what was given up, by receiver.
func (d *DB) OutboxCounts(ctx context.Context) (map[string]Waiting, error) {
	rows, err := d.query(ctx, "SELECT receiver, died > 0, count(*), min(at), max(error) FROM outbox GROUP BY receiver, died > 0")
	if err != nil {
		return nil, fmt.Errorf("counting notices: %w", d.dialect.explain(err))
	}
	defer rows.Close()
	counts := map[string]Waiting{}
	for rows.Next() {
		var receiver, failure string
		var dead bool
		var n int
		var since int64
		if err := rows.Scan(&receiver, &dead, &n, &since, &failure); err != nil {
			return nil, fmt.Errorf("counting notices: %w", err)
		}
		w := counts[receiver]
		if dead {
			w.Dead = n
		} else {
			w.Waiting, w.Since, w.Error = n, timeOf(since), failure
		}
		counts[receiver] = w
	}
	return counts, rows.Err()
}

// Claim takes a notice that is due for one try: until then nobody else tries it. It says whether nobody else was first.
func (d *DB) Claim(ctx context.Context, o Outgoing, until time.Time) (bool, error) {
	err := d.outboxDo(ctx, "UPDATE outbox SET due = ? WHERE receiver = ? AND id = ? AND due = ? AND died = 0", nanos(until), o.Receiver, o.ID, nanos(o.Due))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Delivered forgets a notice, and returns after that is on disk.
func (d *DB) Delivered(ctx context.Context, receiver, id string) error {
	return d.outboxDo(ctx, "DELETE FROM outbox WHERE receiver = ? AND id = ?", receiver, id)
}

// Failed takes note that a try failed: the next one is due then, or never if the notice died.
func (d *DB) Failed(ctx context.Context, o Outgoing) error {
	return d.outboxDo(ctx, "UPDATE outbox SET due = ?, tries = ?, died = ?, error = ? WHERE receiver = ? AND id = ?",
		nanos(o.Due), o.Tries, nanos(o.Died), textOf(o.Error), o.Receiver, o.ID)
}

// Revive has a notice that was given up tried again from the beginning; [ErrNotFound].
func (d *DB) Revive(ctx context.Context, id string, now time.Time) error {
	return d.outboxDo(ctx, "UPDATE outbox SET at = ?1, due = ?1, tries = 0, died = 0 WHERE id = ?2 AND died > 0", nanos(now), id)
}

// Drop forgets a notice that was given up; [ErrNotFound].
func (d *DB) Drop(ctx context.Context, id string) error {
	return d.outboxDo(ctx, "DELETE FROM outbox WHERE id = ? AND died > 0", id)
}

func (d *DB) outboxDo(ctx context.Context, query string, args ...any) error {
	return d.commit(ctx, func(t *tx) error {
		res, err := t.exec(query, args...)
		if err != nil {
			return fmt.Errorf("changing a notice: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return fmt.Errorf("changing a notice: %w", err)
		} else if n == 0 {
			return fmt.Errorf("notice: %w", ErrNotFound)
		}
		return nil
	})
}
