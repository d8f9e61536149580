// Package sqlstore keeps what the report service knows in one SQLite file: nodes, tokens, runs, trait facets, events and
// the controller's notes.
//
// One goroutine writes and commits in groups, with synchronous=FULL: what a caller was told is kept survives a power cut.
// What nodes say every interval (Hot) is taken at once and written with the next group.
//
// It refuses to judge (package reporting does), to keep a secret in clear, and to open a file of a newer schema.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"modernc.org/sqlite" // also the driver "sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"vigo.dev/pkg/fault"
)

// The errors of the store. Others mean that the file could not be read or written.
var (
	ErrNotFound = errors.New("not in the store")
	ErrClosed   = errors.New("store is closed")
	ErrNewer    = fault.WithHint(errors.New("store was written by a newer version"), "run the newer version, or restore the backup made before it")
	// ErrFull says that nothing more can be kept; what was acknowledged before is safe.
	ErrFull = fault.WithHint(errors.New("store cannot grow"), "make room on the disk of the data folder; the service goes on by itself")
	// ErrDamaged says that the file is not a store, or not a whole one.
	ErrDamaged = fault.WithHint(errors.New("store is damaged"),
		"restore the file from a backup; to start anew, move it away: every node has to enrol again")
)

// explain adds to an error of SQLite what it means for people.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the rest of an extended code says where
	case sqlitelib.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Options of a store; the zero value is right for production.
type Options struct {
	// Flush is how long Hot records may wait for their commit; 0: 200 ms.
	Flush time.Duration
}

// A DB is an open store. It is safe for concurrent use.
type DB struct {
	o     Options
	write *sql.DB
	conn  *sql.Conn // the only one of write
	read  *sql.DB

	ops     chan *op
	closing chan struct{}
	done    chan struct{}
	once    sync.Once

	mu    sync.Mutex
	hot   map[string]Hot
	stats Stats
	stmts map[string]*sql.Stmt // of the writer goroutine alone
}

// Open opens the file at path, makes it if there is none, and brings its schema up to date. Close it.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	if o.Flush <= 0 {
		o.Flush = 200 * time.Millisecond
	}
	d := &DB{
		o: o, ops: make(chan *op, 1024), closing: make(chan struct{}), done: make(chan struct{}),
		hot: map[string]Hot{}, stmts: map[string]*sql.Stmt{},
	}
	if err := d.open(ctx, path); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, errors.Join(explain(err), d.closeFiles()))
	}
	go d.run()
	return d, nil
}

func (d *DB) open(ctx context.Context, path string) (err error) {
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
	if err := migrate(ctx, d.conn); err != nil {
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

// Close writes what waits and closes the file. It may be called twice.
func (d *DB) Close() error {
	var err error
	d.once.Do(func() {
		close(d.closing)
		<-d.done
		err = d.closeFiles()
	})
	return err
}

func (d *DB) closeFiles() error {
	var errs []error
	for _, stmt := range d.stmts {
		errs = append(errs, stmt.Close())
	}
	if d.read != nil {
		errs = append(errs, d.read.Close())
	}
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	if d.write != nil {
		errs = append(errs, d.write.Close())
	}
	return errors.Join(errs...)
}

// Ping reports whether the store can be read, and whether the last group could be written.
func (d *DB) Ping(ctx context.Context) error {
	var n int
	if err := d.read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM note LIMIT 1)").Scan(&n); err != nil {
		return explain(err)
	}
	return d.Stats().Failing
}

// Stats is what a store has done since it was opened.
type Stats struct {
	Commits  int64
	Failures int64         // groups that could not be written
	Failing  error         // why the last group could not be written; nil: it could
	Waiting  int           // operations whose callers wait
	Hot      int           // records that wait for their commit
	Took     time.Duration // in commits, altogether
}

// Stats returns the figures of this moment.
func (d *DB) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Waiting, s.Hot = len(d.ops), len(d.hot)
	return s
}
