package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"vigo.dev/pkg/fault"
)

// ErrNotEmpty says that a database has been used already, and is not copied into.
var ErrNotEmpty = fault.WithHint(errors.New("database holds a store already"), "give the address of a new database: createdb makes one")

// tables is every table with its columns, in both databases. A file has the log of check-ins (heard) beside.
func tables() []table {
	return []table{
		{name: "node", columns: []string{"name", "key", "retired", "doc"}},
		{name: "retired_key", columns: []string{"key", "node", "at"}},
		{name: "hot", columns: []string{"node", "seen", "told", "counter"}},
		{name: "account", columns: []string{"node", "doc"}},
		{name: "token", columns: []string{"id", "hash", "created", "doc"}},
		{name: "operator", columns: []string{"id", "hash", "name", "role", "kind", "note", "created", "expires", "used"}},
		{name: "run", columns: []string{"node", "id", "received", "quiet", "compliance", "doc"}, truth: 3},
		{name: "facet", columns: []string{"digest", "at", "doc"}},
		{name: "node_facet", columns: []string{"node", "name", "digest", "since"}},
		{name: "event", columns: []string{"id", "at", "node", "kind", "text"}},
		{name: "silence", columns: []string{"node", "presence"}},
		{name: "note", columns: []string{"key", "doc"}},
		{name: "audit", columns: []string{"seq", "at", "actor", "role", "act", "object", "detail", "address", "prev", "hash"}},
		{name: "audit_checkpoint", columns: []string{"seq", "at", "start", "doc"}, truth: 2},
		{name: "alert", columns: []string{"key", "doc"}},
		{name: "history", columns: []string{"id", "at", "node", "module", "subject", "outcome", "run"}},
		{name: "trait_history", columns: []string{"id", "at", "node", "trait", "outcome", "doc"}},
		{name: "facet_change", columns: []string{"id", "at", "node", "trait", "was", "became"}},
		{name: "rollout", columns: []string{"channel", "key", "doc"}},
		{name: "lease", columns: []string{"node", "grp", "held", "doc"}},
		{name: "outbox", columns: []string{"receiver", "id", "at", "due", "tries", "died", "error", "doc"}},
	}
}

// table is what is copied of one table.
type table struct {
	name    string
	columns []string
	truth   int // index of the column that is true or false; 0: none is
}

// ErrServed says that a service works with a database whose content is to be replaced.
var ErrServed = fault.WithHint(errors.New("a service works with the database"), "stop all services on it first")

// CopyTo copies a store to an empty PostgreSQL database, all of it or nothing; tell is called after each table with its
// rows. Nothing may write to the store meanwhile. [ErrNotEmpty].
func (d *DB) CopyTo(ctx context.Context, address string, tell func(table string, rows int64)) error {
	return d.copyTo(ctx, address, false, tell)
}

// ReplaceAt is [DB.CopyTo] in place of the store that is in the database. [ErrServed].
func (d *DB) ReplaceAt(ctx context.Context, address string, tell func(table string, rows int64)) error {
	return d.copyTo(ctx, address, true, tell)
}

func (d *DB) copyTo(ctx context.Context, address string, replace bool, tell func(table string, rows int64)) error {
	if err := d.moveAll(ctx); err != nil {
		return err
	}
	to, err := OpenPostgres(ctx, address, Options{}) // brings the schema
	if err != nil {
		return err
	}
	if err := to.Close(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return explainPostgres(err)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if replace {
			if err := emptied(ctx, tx); err != nil {
				return err
			}
		}
		for _, t := range tables() {
			n, err := d.copyTable(ctx, tx, t)
			if err != nil {
				return fmt.Errorf("copying the table %s: %w", t.name, err)
			}
			tell(t.name, n)
		}
		for _, name := range []string{"event", "history", "trait_history", "facet_change"} { // whose numbers the database gives
			if _, err := tx.Exec(ctx, fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%s', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM %[1]s), false)", name)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(explainPostgres(err), conn.Close(ctx))
}

// emptied removes all that services keep, with what they tell each other, if none works with it.
func emptied(ctx context.Context, tx pgx.Tx) error {
	var free bool
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT pg_try_advisory_xact_lock(%d)", leader)).Scan(&free); err != nil {
		return fmt.Errorf("asking whether a service leads: %w", err)
	}
	if !free {
		return ErrServed
	}
	for _, t := range append(tables(), table{name: "feed"}) {
		if _, err := tx.Exec(ctx, "TRUNCATE "+t.name); err != nil {
			return fmt.Errorf("emptying the table %s: %w", t.name, err)
		}
	}
	return nil
}

func (d *DB) copyTable(ctx context.Context, tx pgx.Tx, t table) (int64, error) {
	name := pgx.Identifier{t.name}
	var used bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+name.Sanitize()+")").Scan(&used); err != nil {
		return 0, err
	}
	if used {
		return 0, ErrNotEmpty
	}
	query := "SELECT "
	for i, column := range t.columns {
		if i > 0 {
			query += ", "
		}
		query += pgx.Identifier{column}.Sanitize()
	}
	rows, err := d.query(ctx, query+" FROM "+name.Sanitize())
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	return tx.CopyFrom(ctx, name, t.columns, &rowSource{rows: rows, table: t})
}

// rowSource hands the rows of a table on.
type rowSource struct {
	rows  *sql.Rows
	table table
}

// Next implements pgx.CopyFromSource.
func (s *rowSource) Next() bool { return s.rows.Next() }

// Err implements pgx.CopyFromSource.
func (s *rowSource) Err() error { return s.rows.Err() }

// Values implements pgx.CopyFromSource.
func (s *rowSource) Values() ([]any, error) {
	values := make([]any, len(s.table.columns))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	if err := s.rows.Scan(into...); err != nil {
		return nil, err
	}
	if at := s.table.truth; at > 0 { // SQLite has only numbers for it
		n, ok := values[at].(int64)
		if !ok {
			return nil, fmt.Errorf("column %s is %T", s.table.columns[at], values[at])
		}
		values[at] = n != 0
	}
	return values, nil
}
