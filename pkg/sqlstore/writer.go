package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"
)

// maxGroup bounds the operations in one commit.
const maxGroup = 512

// An op is a change that somebody waits for.
type op struct {
	do   func(*tx) error
	err  error
	done chan struct{}
}

// tx is the transaction of one group; only the writer goroutine has one.
type tx struct{ d *DB }

// exec runs one statement, prepared once for the life of the store.
func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	stmt, err := t.d.stmt(query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(context.Background(), args...) //nolint:contextcheck // a group belongs to no single caller
}

func (t *tx) row(query string, args ...any) *sql.Row {
	return t.d.conn.QueryRowContext(context.Background(), query, args...)
}

func (d *DB) stmt(query string) (*sql.Stmt, error) {
	if s, ok := d.stmts[query]; ok {
		return s, nil
	}
	s, err := d.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("preparing %.40q: %w", query, err)
	}
	d.stmts[query] = s
	return s, nil
}

// commit has do run in the next group, and returns after the group is on disk. When ctx ends first, whether the change
// was kept is not known.
func (d *DB) commit(ctx context.Context, do func(*tx) error) error {
	o := &op{do: do, done: make(chan struct{})}
	select {
	case d.ops <- o:
	case <-d.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.done:
		select {
		case <-o.done:
			return o.err
		default:
			return ErrClosed
		}
	}
}

// run is the writer: the first operation starts a group, all that wait join it, and Hot records ride along. While
// a group is written the next one gathers, so groups grow with the load and a lone operation does not wait.
func (d *DB) run() {
	defer close(d.done)
	tick := time.NewTicker(d.o.Flush)
	defer tick.Stop()
	for {
		var group []*op
		closing := false
		select {
		case o := <-d.ops:
			group = append(group, o)
		case <-tick.C:
		case <-d.closing:
			closing = true
		}
		d.writeGroup(d.gather(group))
		if closing {
			return
		}
	}
}

func (d *DB) gather(group []*op) []*op {
	for len(group) < maxGroup {
		select {
		case o := <-d.ops:
			group = append(group, o)
		default:
			return group
		}
	}
	return group
}

func (d *DB) takeHot() map[string]Hot {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.hot) == 0 {
		return nil
	}
	hot := d.hot
	d.hot = make(map[string]Hot, len(hot))
	return hot
}

// giveBack returns hot records whose commit failed, unless newer ones came in.
func (d *DB) giveBack(hot map[string]Hot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, newer := range d.hot {
		hot[name] = hot[name].merge(newer)
	}
	d.hot = maps.Clone(hot)
}

func (d *DB) writeGroup(group []*op) {
	hot := d.takeHot()
	if len(group) == 0 && len(hot) == 0 {
		return
	}
	began := time.Now()
	err := explain(d.transact(group, hot))
	d.count(time.Since(began), err)
	if err != nil && len(hot) > 0 {
		d.giveBack(hot)
	}
	for _, o := range group {
		if err != nil {
			o.err = err
		}
		close(o.done)
	}
}

func (d *DB) count(took time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Failing = err
	d.stats.Took += took
	if err != nil {
		d.stats.Failures++
		return
	}
	d.stats.Commits++
}

func (d *DB) transact(group []*op, hot map[string]Hot) error {
	t := &tx{d}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("beginning a group: %w", err)
	}
	err := func() error {
		for _, h := range hot {
			if err := t.putHot(h); err != nil {
				return err
			}
		}
		for _, o := range group {
			if err := t.savepoint(o); err != nil {
				return err
			}
		}
		_, err := t.exec("COMMIT")
		return err
	}()
	if err != nil {
		_, back := t.exec("ROLLBACK")
		if errors.Is(explain(err), ErrFull) {
			back = nil // SQLite may have undone the group itself, and then there is nothing to roll back
		}
		return fmt.Errorf("committing a group: %w", errors.Join(err, back))
	}
	return nil
}

// savepoint runs one operation so that its failure undoes it alone.
func (t *tx) savepoint(o *op) error {
	if _, err := t.exec("SAVEPOINT one"); err != nil {
		return err
	}
	if o.err = explain(o.do(t)); o.err != nil {
		if _, err := t.exec("ROLLBACK TO one"); err != nil {
			return errors.Join(o.err, err) // SQLite has undone the whole group, as it does on a full disk
		}
	}
	_, err := t.exec("RELEASE one")
	return err
}
