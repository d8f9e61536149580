package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"vigo.dev/pkg/fault"
)

// SnapshotFile writes the store in a file as it is in one moment to a new file, while a service goes on with it. The new
// one is of SQLite, whole without others beside it, and for its owner alone. Its schema is that of the store.
func SnapshotFile(ctx context.Context, path, to string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("taking a snapshot: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "ro", "busy_timeout(10000)"))
	if err != nil {
		return err
	}
	err = func() error {
		if _, err := schemaOf(ctx, db); err != nil {
			return err
		}
		if err := private(to); err != nil { // one that is there and empty keeps its mode
			return err
		}
		_, err := db.ExecContext(ctx, "VACUUM INTO ?", to)
		return err
	}()
	if err = errors.Join(explainSQLite(err), db.Close()); err != nil {
		return fmt.Errorf("taking a snapshot of %s: %w", path, err)
	}
	return nil
}

// schemaOf reads the schema version of a file, and refuses one that this program is too old for.
func schemaOf(ctx context.Context, db *sql.DB) (version int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	return version, known(version, len(sqliteMigrations()))
}

// SnapshotPostgres is [SnapshotFile] of a database, which must have the schema of this program: it is read, never brought up
// to date. The new file has that of files.
func SnapshotPostgres(ctx context.Context, address, to string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("taking a snapshot of a database: %w", explainPostgres(err))
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := sameSchema(ctx, tx); err != nil {
			return err
		}
		fresh, err := Open(ctx, to, Options{}) // brings the schema
		if err != nil {
			return err
		}
		if err := fresh.Close(); err != nil {
			return err
		}
		return fillFile(ctx, tx, to)
	})
	if err = errors.Join(explainPostgres(err), conn.Close(ctx)); err != nil {
		return fmt.Errorf("taking a snapshot of a database: %w", err)
	}
	return nil
}

// sameSchema refuses a database that holds no store, or one of another version of the program.
func sameSchema(ctx context.Context, tx pgx.Tx) error {
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('schema_version') IS NOT NULL").Scan(&there); err != nil {
		return err
	}
	if !there {
		return fault.WithHint(errors.New("there is no store in the database"), "--store is the address that the service was started with")
	}
	var version int
	if err := tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version); err != nil {
		return err
	}
	if mine := len(postgresMigrations()); version < mine {
		return fault.WithHint(fmt.Errorf("schema %d, this program has %d", version, mine), "use the program of the version that the service has")
	}
	return known(version, len(postgresMigrations()))
}

// fillFile copies all tables from a database into a file that has them, empty.
func fillFile(ctx context.Context, from pgx.Tx, path string) (err error) {
	// What is half done is never used, so it need not survive a crash.
	db, err := sql.Open("sqlite", dsn(path, "rw", "journal_mode(DELETE)", "synchronous(OFF)", "cache_size(-16384)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(explainSQLite(err), db.Close()) }()
	to, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, t := range tables() {
		if err := fillTable(ctx, from, to, t); err != nil {
			return errors.Join(fmt.Errorf("copying the table %s: %w", t.name, err), to.Rollback())
		}
	}
	return to.Commit()
}

func fillTable(ctx context.Context, from pgx.Tx, to *sql.Tx, t table) error {
	stmt, err := to.PrepareContext(ctx, "INSERT INTO "+t.name+" ("+strings.Join(t.columns, ", ")+") VALUES (?"+strings.Repeat(", ?", len(t.columns)-1)+")")
	if err != nil {
		return err
	}
	rows, err := from.Query(ctx, "SELECT "+strings.Join(t.columns, ", ")+" FROM "+t.name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		if _, err := stmt.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), stmt.Close())
}

// Settle moves what is in the log of a file that no service works with into the file.
func Settle(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", dsn(path, "rw", "busy_timeout(10000)"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err = errors.Join(explainSQLite(err), db.Close()); err != nil {
		return fmt.Errorf("moving the log of %s into it: %w", path, err)
	}
	return nil
}

// Contents is what a store in a file holds.
type Contents struct {
	Schema int              `json:"schema"` // version of its schema
	Rows   map[string]int64 `json:"rows"`   // by table
}

// Inspect reads a whole file that no service works with, and says what is in it. [ErrDamaged], [ErrNewer].
func Inspect(ctx context.Context, path string) (c Contents, err error) {
	if _, err := os.Stat(path); err != nil {
		return c, fmt.Errorf("looking into a store: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "ro", "query_only(1)"))
	if err != nil {
		return c, err
	}
	defer func() {
		if err = errors.Join(explainSQLite(err), db.Close()); err != nil {
			err = fmt.Errorf("looking into %s: %w", path, err)
		}
	}()
	if c.Schema, err = schemaOf(ctx, db); err != nil {
		return c, err
	}
	if wrong, err := integrity(ctx, db); err != nil || wrong != "" {
		return c, errors.Join(err, fmt.Errorf("%s: %w", wrong, ErrDamaged))
	}
	c.Rows, err = countRows(ctx, db)
	return c, err
}

// integrity is what SQLite finds wrong with a file; "" when it is whole.
func integrity(ctx context.Context, db *sql.DB) (string, error) {
	found, err := column(db.QueryContext(ctx, "PRAGMA integrity_check(5)"))
	if err != nil || len(found) == 1 && found[0] == "ok" {
		return "", err
	}
	return strings.Join(found, "; "), nil
}

func countRows(ctx context.Context, db *sql.DB) (map[string]int64, error) {
	names, err := column(db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"))
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, name := range names {
		var n int64
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM "`+strings.ReplaceAll(name, `"`, `""`)+`"`).Scan(&n); err != nil {
			return nil, fmt.Errorf("counting the rows of %s: %w", name, err)
		}
		counts[name] = n
	}
	return counts, nil
}
