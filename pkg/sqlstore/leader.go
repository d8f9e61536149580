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

// Lead reports whether this service leads those on the database, and makes it the leader when there is none. Without other
// services, it does. Ask every few seconds: the database takes the lead from who says nothing for [sessionIdle].
func (d *DB) Lead(ctx context.Context) (leads bool, err error) {
	if !d.dialect.feeds {
		return true, nil
	}
	err = d.commit(ctx, func(t *tx) (err error) {
		leads, err = t.lead()
		return err
	})
	return leads, err
}

func (t *tx) lead() (bool, error) {
	if !t.d.dialect.feeds || t.d.leads {
		return true, nil
	}
	if err := t.row(fmt.Sprintf("SELECT pg_try_advisory_lock(%d)", leader)).Scan(&t.d.leads); err != nil {
		return false, fmt.Errorf("asking who leads: %w", err)
	}
	return t.d.leads, nil
}

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
