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
type tx struct {
	d   *DB
	ctx context.Context //nolint:containedctx // of the group, which belongs to no single caller
	// change is what the group tells other services.
	change Change
}

// exec runs one statement, prepared once for the life of the store.
func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	stmt, err := t.d.stmt(query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(t.ctx, args...)
}

// rows reads what is there, or what a statement returns.
func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	return t.d.conn.QueryContext(t.ctx, t.d.dialect.sql(query), args...)
}

func (t *tx) row(query string, args ...any) *sql.Row {
	return t.d.conn.QueryRowContext(t.ctx, t.d.dialect.sql(query), args...)
}

func (d *DB) stmt(query string) (*sql.Stmt, error) {
	if s, ok := d.stmts[query]; ok {
		return s, nil
	}
	s, err := d.conn.PrepareContext(context.Background(), d.dialect.sql(query))
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
		group = d.gather(group)
		if o := d.moveSome(time.Now()); o != nil {
			group = append(group, o)
		}
		d.writeGroup(group)
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
	err := d.dialect.explain(d.transact(group, hot))
	d.count(time.Since(began), err)
	if err != nil {
		d.moving.left = nil // what was moved was not
	}
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
	if err == nil {
		d.stats.Since = time.Time{}
	} else if d.stats.Failing == nil {
		d.stats.Since = time.Now()
	}
	d.stats.Failing = err
	d.stats.Took += took
	if err != nil {
		d.stats.Failures++
		return
	}
	d.stats.Commits++
}

// transact writes a group in one transaction.
func (d *DB) transact(group []*op, hot map[string]Hot) (err error) {
	ctx, cancel := context.Background(), func() {}
	if d.dialect.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, d.dialect.timeout)
	}
	defer cancel()
	t := &tx{d: d, ctx: ctx}
	defer func() {
		if err != nil {
			d.look(ctx)
		}
	}()
	if err := t.begin(); err != nil {
		return fmt.Errorf("beginning a group: %w", err)
	}
	if err := t.fill(group, hot); err != nil {
		_, back := t.exec("ROLLBACK")
		if e := d.dialect.explain(err); errors.Is(e, ErrFull) || errors.Is(e, ErrDisk) || errors.Is(e, ErrUnreachable) {
			back = nil // the database may have undone the group itself, and then there is nothing to roll back
		}
		return fmt.Errorf("committing a group: %w", errors.Join(err, back))
	}
	return nil
}

func (t *tx) fill(group []*op, hot map[string]Hot) error {
	if err := t.putHots(hot); err != nil {
		return err
	}
	for _, o := range group {
		if err := t.savepoint(o); err != nil {
			return err
		}
	}
	if err := t.tell(); err != nil {
		return err
	}
	_, err := t.exec("COMMIT")
	return err
}

// begin begins a group; on another connection when the one there is has been lost since the last group.
func (t *tx) begin() error {
	known := t.d.conn != nil
	err := t.d.reconnect(t.ctx)
	for i := 0; err == nil && i < len(t.d.dialect.begin); i++ {
		_, err = t.exec(t.d.dialect.begin[i])
	}
	if err == nil || !known {
		return err
	}
	if t.d.look(t.ctx); t.d.conn != nil {
		return err
	}
	return t.begin()
}

// look gives a connection up that does not answer any more, so that the next group begins with a new one.
func (d *DB) look(ctx context.Context) {
	if d.conn == nil || d.conn.PingContext(ctx) == nil {
		return
	}
	d.leads = false
	for query, stmt := range d.stmts {
		_ = stmt.Close() // of a connection that is lost
		delete(d.stmts, query)
	}
	_ = d.conn.Close()
	d.conn = nil
}

// reconnect makes sure of a connection to write on.
func (d *DB) reconnect(ctx context.Context) (err error) {
	if d.conn == nil {
		if d.conn, err = d.write.Conn(ctx); err != nil {
			d.conn = nil
			return fmt.Errorf("connecting: %w", err)
		}
		for _, query := range d.dialect.opened {
			if _, err := d.conn.ExecContext(ctx, query); err != nil {
				err = errors.Join(err, d.conn.Close())
				d.conn = nil
				return fmt.Errorf("connecting: %w", err)
			}
		}
	}
	return nil
}

// savepoint runs one operation so that its failure undoes it alone.
func (t *tx) savepoint(o *op) error {
	if _, err := t.exec("SAVEPOINT one"); err != nil {
		return err
	}
	if o.err = t.d.dialect.explain(o.do(t)); o.err != nil {
		if _, err := t.exec("ROLLBACK TO one"); err != nil {
			return errors.Join(o.err, err) // SQLite has undone the whole group, as it does on a full disk
		}
	}
	_, err := t.exec("RELEASE one")
	return err
}
