// Package sqlstore keeps what the report service knows in one SQLite file or in a PostgreSQL database: nodes, tokens, runs,
// trait facets, events and the controller's notes.
//
// One goroutine writes and commits in groups, durably: what a caller was told is kept survives a power cut. What nodes say
// every interval (Hot) is taken at once and written with the next group. Several services on one PostgreSQL take turns.
//
// It refuses to judge (package reporting does), to keep a secret in clear, and to open a file of a newer schema.
package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"vigo.dev/pkg/fault"
)

// The errors of the store. Others mean that the file could not be read or written.
var (
	ErrNotFound = errors.New("not in the store")
	ErrClosed   = errors.New("store is closed")
	ErrNewer    = fault.WithHint(errors.New("store was written by a newer version"), "run the newer version, or restore the backup made before it")
	// ErrFull says that nothing more can be kept; what was acknowledged before is safe.
	ErrFull = fault.WithHint(errors.New("store cannot grow"), "make room on the disk of the data folder; the service goes on by itself")
	// ErrUnreachable says that the database does not answer.
	ErrUnreachable = fault.WithHint(errors.New("database cannot be reached"),
		"does it run, and may this service connect to it? What was acknowledged is safe, and the service goes on by itself")
	// ErrDamaged says that the file is not a store, or not a whole one.
	ErrDamaged = fault.WithHint(errors.New("store is damaged"),
		"restore the file from a backup; to start anew, move it away: every node has to enrol again")
)

// Options of a store; the zero value is right for production.
type Options struct {
	// Flush is how long Hot records may wait for their commit; 0: 200 ms.
	Flush time.Duration
}

// A DB is an open store. It is safe for concurrent use.
type DB struct {
	o       Options
	dialect *dialect
	write   *sql.DB
	conn    *sql.Conn // the only one of write; nil: it was lost
	read    *sql.DB
	writer  string          // who this is among the services on the database
	config  *pgx.ConnConfig // to listen with; nil: nobody else can write

	packer *packer

	ops     chan *op
	closing chan struct{}
	done    chan struct{}
	once    sync.Once

	mu    sync.Mutex
	hot   map[string]Hot
	stats Stats
	path  string               // of the file; "": it is a database
	stmts map[string]*sql.Stmt // of the writer goroutine alone
	leads bool                 // the session of conn has the lock of the leader; of the writer goroutine alone
	term  int64                // how often it has got it; of the writer goroutine alone

	moving moving // of the writer goroutine alone
}

// Open opens the SQLite file at path, makes it if there is none, and brings its schema up to date. Close it.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	d := newDB(o, sqliteDialect())
	d.path = path
	if err := d.openFile(ctx, path); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, errors.Join(d.dialect.explain(err), d.closeFiles()))
	}
	go d.run()
	return d, nil
}

func newDB(o Options, l *dialect) *DB {
	if o.Flush <= 0 {
		o.Flush = 200 * time.Millisecond
	}
	return &DB{
		o: o, dialect: l, ops: make(chan *op, 1024), closing: make(chan struct{}), done: make(chan struct{}),
		writer: rand.Text(), packer: newPacker(), hot: map[string]Hot{}, stmts: map[string]*sql.Stmt{},
		moving: moving{since: time.Now()},
	}
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
	d.giveLead()
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
	if err := d.queryRow(ctx, "SELECT count(*) FROM (SELECT 1 FROM note LIMIT 1) AS one").Scan(&n); err != nil {
		return d.dialect.explain(err)
	}
	return d.Stats().Failing
}

// Size is how many bytes the database takes on disk, without what SQLite has not moved from its log into it yet.
func (d *DB) Size(ctx context.Context) (n int64, err error) {
	err = d.dialect.explain(d.queryRow(ctx, d.dialect.size).Scan(&n))
	return n, err
}

// Room is how many bytes the disk of the file has for this user; false for a database, of whose disk nothing is known.
func (d *DB) Room() (bytes int64, ok bool) {
	if d.path == "" {
		return 0, false
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(d.path), &fs); err != nil {
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true
}

// Stats is what a store has done since it was opened.
type Stats struct {
	Commits  int64
	Failures int64         // groups that could not be written
	Failing  error         // why the last group could not be written; nil: it could
	Since    time.Time     // since when no group could be written, while Failing
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
