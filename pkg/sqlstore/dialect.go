package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"
)

// A dialect is what the databases differ in. Statements are written once, in words that both know, with ? for their
// arguments (?1, where one is used twice) and these names for what they have no common word for:
//
//	{items ?}   the strings of a JSON array, as a table with one column
//	{globs ?}   compares with a pattern, after a column
//	{doc holds ?}   that the column doc contains bytes
type dialect struct {
	// words is what stands for the names above, without their braces.
	words map[string]string
	// numbered says that an argument is called $1.
	numbered bool
	// begin opens a group. Only one writes at a time, also of several services on one database.
	begin []string
	// opened is done on each connection to write on.
	opened []string
	// timeout bounds a group; 0: it ends by itself.
	timeout time.Duration
	// explain adds to an error what it means for people.
	explain func(error) error
	// pattern makes of a glob what the database compares with.
	pattern func(glob string) string
	// feeds says that several services can be on one store, which tell each other what they have kept.
	feeds bool
	// putHots keeps the last check-ins of many nodes, without their events.
	putHots func(t *tx, all map[string]Hot) error
	// hots reads them, with what is kept beside; nodes that are nil are all.
	hots func(d *DB, ctx context.Context, nodes []string) (map[string]Hot, error)
	// logs says that they are in a log first, and moved from there.
	logs bool
	// putAlerts keeps the documents of many alerts; those that are nil are removed.
	putAlerts func(t *tx, docs map[string][]byte) error
	// size asks how many bytes the database takes on disk.
	size string
}

// sql is a statement in the words of the database.
func (d *dialect) sql(query string) string {
	for name, word := range d.words {
		query = strings.ReplaceAll(query, "{"+name+" ?}", word)
	}
	if !d.numbered {
		return query
	}
	var b strings.Builder
	for n := 0; ; {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		if after == "" || after[0] < '1' || after[0] > '9' {
			n++
			b.WriteString(strconv.Itoa(n))
		}
		query = after
	}
}

// query reads rows.
func (d *DB) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.read.QueryContext(ctx, d.dialect.sql(query), args...)
}

// column reads rows of one column, unless there is the error they came with.
func column(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// queryRow reads one row.
func (d *DB) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return d.read.QueryRowContext(ctx, d.dialect.sql(query), args...)
}
