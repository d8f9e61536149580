package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"modernc.org/sqlite" // also the driver "sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"vigo.dev/pkg/fault"
)

// ErrDisk says that the file cannot be written or read: a disk that fails or was made read-only, a quota, too many open files.
// What was acknowledged before is safe.
var ErrDisk = fault.WithHint(errors.New("file of the store cannot be written or read"),
	"what does the system say of the disk of the data folder (`dmesg`), and has it a quota? The service goes on by itself")

// sqliteDialect is that of SQLite, in which the statements are written.
func sqliteDialect() *dialect {
	return &dialect{
		words:     map[string]string{"items": "(SELECT value FROM json_each(?))", "globs": "GLOB ?", "doc holds": "instr(doc, ?) > 0"},
		begin:     []string{"BEGIN IMMEDIATE"},
		explain:   explainSQLite,
		pattern:   func(glob string) string { return glob },
		putHots:   putHotsInLog,
		hots:      (*DB).hotsInLog,
		logs:      true,
		putAlerts: eachAlert,
		size:      "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
	}
}

// openFile opens the connections to a file.
func (d *DB) openFile(ctx context.Context, path string) (err error) {
	if err := private(path); err != nil {
		return err
	}
	if d.write, err = sql.Open("sqlite", dsn(path, "rwc", "journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "foreign_keys(1)", "cache_size(-16384)")); err != nil {
		return err
	}
	d.write.SetMaxOpenConns(1)
	if d.conn, err = d.write.Conn(ctx); err != nil {
		return err
	}
	if err := migrateSQLite(ctx, d.conn); err != nil {
		return err
	}
	if d.read, err = sql.Open("sqlite", dsn(path, "ro", "busy_timeout(10000)", "query_only(1)")); err != nil {
		return err
	}
	d.read.SetMaxOpenConns(4)
	return d.read.PingContext(ctx)
}

// private makes the file readable for its owner alone; the files SQLite puts beside it take over its mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// explainSQLite adds to an error of SQLite what it means for people.
func explainSQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the rest of an extended code says where
	case sqlitelib.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_READONLY:
		return fmt.Errorf("%w: %w", ErrDisk, err)
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
