package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrFollows says that what only the leader of several services writes was not written, because another service is it.
var ErrFollows = errors.New("another service on the database is the leader")

// leader is the advisory lock of who leads: the letters "lead". It is of the session that writes, so who has lost its connection
// does not lead any more, and cannot write as if it did.
const leader = 0x6c656164

// Lead returns the term in which this service leads those on the database, and makes it the leader when there is none; 0: another
// one is. A new term begins whenever it has not led in between. Without other services, it is always the first. Ask every few
// seconds: the database takes the lead from who says nothing for [sessionIdle].
func (d *DB) Lead(ctx context.Context) (term int64, err error) {
	if !d.dialect.feeds {
		return 1, nil
	}
	err = d.commit(ctx, func(t *tx) error {
		if !t.leads() {
			if err := t.row(fmt.Sprintf("SELECT pg_try_advisory_lock(%d)", leader)).Scan(&d.leads); err != nil {
				return fmt.Errorf("asking who leads: %w", err)
			}
			if !d.leads {
				return nil
			}
			d.term++
		}
		term = d.term
		return nil
	})
	return term, err
}

// leads reports whether this service still leads.
func (t *tx) leads() bool { return !t.d.dialect.feeds || t.d.leads }

// giveLead lets another service lead at once: the database takes a moment to notice that a connection has ended. The writer
// goroutine has ended.
func (d *DB) giveLead() {
	if !d.leads || d.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = d.conn.ExecContext(ctx, "SELECT pg_advisory_unlock_all()") // the end of the connection does the same
	d.leads = false
}
