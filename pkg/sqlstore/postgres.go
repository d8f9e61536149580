package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// turn is the advisory lock of who writes, over all services of a database: the letters "vigo".
	turn = 0x7669676f
	// connectTimeout bounds a connection attempt when the address says nothing of it.
	connectTimeout = 5 * time.Second
	// groupTimeout bounds a group: a database that hangs is one that cannot be reached.
	groupTimeout = 30 * time.Second
	// sessionIdle is how long a service that writes may be silent, between groups and in one: a machine that is gone without a
	// word does not keep the turn, or the lead, until the database notices that its connections are dead.
	sessionIdle = 15 * time.Second
)

// OpenPostgres opens a database by its address, a URL or the key=value form of libpq, with what it leaves out taken from
// the environment (PGHOST, PGPASSFILE and so on), and brings its schema up to date. Several services may do so at once.
// See https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING. Close it.
func OpenPostgres(ctx context.Context, address string, o Options) (*DB, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("reading the address of the database: %w", err) // pgx leaves the password out
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "vigo"
	}
	d := newDB(o, postgresDialect())
	d.config = c
	d.write, d.read = stdlib.OpenDB(*c), stdlib.OpenDB(*c)
	d.write.SetMaxOpenConns(1)
	d.read.SetMaxOpenConns(4)
	if err := d.openDatabase(ctx); err != nil {
		return nil, fmt.Errorf("opening database %s at %s: %w", c.Database, c.Host, errors.Join(d.dialect.explain(err), d.closeFiles()))
	}
	go d.run()
	return d, nil
}

func (d *DB) openDatabase(ctx context.Context) error {
	if err := d.reconnect(ctx); err != nil {
		return err
	}
	if err := migratePostgres(ctx, d.conn); err != nil {
		return err
	}
	return d.read.PingContext(ctx)
}

func postgresDialect() *dialect {
	return &dialect{
		words:    map[string]string{"items": "(SELECT json_array_elements_text(?::json))", "globs": "~ ?", "doc holds": "position(?::bytea IN doc) > 0"},
		numbered: true,
		begin:    []string{"BEGIN", fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", turn)},
		opened: []string{fmt.Sprintf("SET idle_session_timeout = %d", sessionIdle.Milliseconds()),
			fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", sessionIdle.Milliseconds())},
		timeout:   groupTimeout,
		explain:   explainPostgres,
		feeds:     true,
		pattern:   patternOf,
		putHots:   putHotsAtOnce,
		hots:      (*DB).hotsInTable,
		putAlerts: putAlertsAtOnce,
		size:      "SELECT pg_database_size(current_database())",
	}
}

// explainPostgres adds to an error of PostgreSQL what it means for people. See
// https://www.postgresql.org/docs/15/errcodes-appendix.html.
func explainPostgres(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		switch {
		case said.Code == "53100": // disk_full
			return fmt.Errorf("%w: %w", ErrFull, err)
		case strings.HasPrefix(said.Code, "XX"): // data_corrupted, index_corrupted
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		case strings.HasPrefix(said.Code, "57P"), strings.HasPrefix(said.Code, "08"), said.Code == "53300": // shut down, lost, too many
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		return err
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || pgconn.Timeout(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || isClosed(err) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// isClosed reports whether an error is that of a connection which was lost before; pgx has only words for it.
func isClosed(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF"))
}

// patternOf is a glob of SQLite, without character classes, as a regular expression.
func patternOf(glob string) string {
	var b strings.Builder
	b.WriteByte('^')
	for _, r := range glob {
		switch {
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteByte('.')
		case strings.ContainsRune(`\.+()|[]{}^$`, r):
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('$')
	return b.String()
}
