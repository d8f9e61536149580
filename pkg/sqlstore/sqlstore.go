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
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// The errors of the store. Others mean that the file could not be read or written.
var (
	ErrNotFound = errors.New("not in the store")
	ErrClosed   = errors.New("store is closed")
	ErrNewer    = errors.New("store was written by a newer version")
)

// Options of a store; the zero value is right for production.
type Options struct {
	// Flush is how long Hot records may wait for their commit; 0: 200 ms.
	Flush time.Duration
	// Committed, if not nil, is told of every commit: operations, hot records, duration, error.
	Committed func(ops, hot int, took time.Duration, err error)
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
	stmts map[string]*sql.Stmt // of the writer goroutine alone
}

// Open opens the file at path, makes it if there is none, and brings its schema up to date. Close it.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	if o.Flush <= 0 {
		o.Flush = 200 * time.Millisecond
	}
	if o.Committed == nil {
		o.Committed = func(int, int, time.Duration, error) {}
	}
	d := &DB{
		o: o, ops: make(chan *op, 1024), closing: make(chan struct{}), done: make(chan struct{}),
		hot: map[string]Hot{}, stmts: map[string]*sql.Stmt{},
	}
	if err := d.open(ctx, path); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, errors.Join(err, d.closeFiles()))
	}
	go d.run()
	return d, nil
}

func (d *DB) open(ctx context.Context, path string) (err error) {
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

// Ping reports whether the store can be read.
func (d *DB) Ping(ctx context.Context) error {
	var n int
	return d.read.QueryRowContext(ctx, "SELECT 1").Scan(&n)
}
