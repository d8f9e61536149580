package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Findings is what a store says of itself to who examines it. Nothing is changed for it, and a service may run.
type Findings struct {
	Schema, Known int              // version of the schema, and the newest this program knows
	Wrong         string           // what SQLite finds wrong with the file; "": it is whole, or it is a database
	Rows          map[string]int64 // by table
	Bytes         map[string]int64 // by table, with its indexes
	Log           int64            // bytes in the log beside a file that are not moved into it yet
	Orphans       map[string]int64 // rows by table that are of a node which is not there
	Lacking       int64            // traits of nodes whose documents are not there: the service asks for them
	Gaps          int64            // numbers that are missing in the audit log
	Newest        time.Time        // the last time that anything here tells of
	Clock         time.Time        // of the database; zero for a file
	Retired       int64            // nodes that were retired and are not forgotten yet
	Expired       int64            // certificates of nodes that are past their time
	Restored      Restored         // zero: never
	Audit         func(ctx context.Context, seq int64) (hash string, err error)
}

// examined is where findings come from.
type examined struct {
	db      *sql.DB
	dialect *dialect
	*Findings
}

// ExamineFile looks through the store in a file. An error says that it could not be looked at.
func ExamineFile(ctx context.Context, path string, now time.Time, see func(Findings) error) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("examining the store: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "ro", "busy_timeout(10000)", "query_only(1)"))
	if err != nil {
		return err
	}
	e := examined{db: db, dialect: sqliteDialect(), Findings: &Findings{Known: len(sqliteMigrations())}}
	err = func() error {
		if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&e.Schema); err != nil {
			return err
		}
		if e.Wrong, err = integrity(ctx, db); err != nil || e.Wrong != "" {
			return err
		}
		if e.Rows, err = countRows(ctx, db); err != nil {
			return err
		}
		if info, err := os.Stat(path + "-wal"); err == nil {
			e.Log = info.Size()
		}
		return e.look(ctx, now, "SELECT coalesce(i.tbl_name, s.name), sum(s.pgsize) FROM dbstat s LEFT JOIN sqlite_master i ON i.name = s.name WHERE s.aggregate = 1 GROUP BY 1")
	}()
	if err == nil {
		err = see(*e.Findings)
	}
	if err = errors.Join(explainSQLite(err), db.Close()); err != nil {
		return fmt.Errorf("examining %s: %w", path, err)
	}
	return nil
}

// ExaminePostgres is [ExamineFile] of a database.
func ExaminePostgres(ctx context.Context, address string, now time.Time, see func(Findings) error) error {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("reading the address of the database: %w", err)
	}
	db := stdlib.OpenDB(*c)
	e := examined{db: db, dialect: postgresDialect(), Findings: &Findings{Known: len(postgresMigrations()), Rows: map[string]int64{}}}
	err = func() error {
		if err := db.QueryRowContext(ctx, "SELECT now(), coalesce((SELECT max(version) FROM schema_version), 0)").Scan(&e.Clock, &e.Schema); err != nil {
			return err
		}
		for _, t := range tables() {
			var n int64
			if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+t.name).Scan(&n); err != nil {
				return err
			}
			e.Rows[t.name] = n
		}
		return e.look(ctx, now, "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables WHERE schemaname = 'public'")
	}()
	if err == nil {
		err = see(*e.Findings)
	}
	if err = errors.Join(explainPostgres(err), db.Close()); err != nil {
		return fmt.Errorf("examining the database: %w", err)
	}
	return nil
}

func (e examined) number(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = e.db.QueryRowContext(ctx, e.dialect.sql(query), args...).Scan(&n)
	return n, err
}

// look finds what is asked in the same words of both; sizes asks how many bytes each table has.
func (e examined) look(ctx context.Context, now time.Time, sizes string) (err error) {
	if e.Schema > e.Known {
		return nil // what its tables hold is not known
	}
	if e.Bytes, err = e.sizes(ctx, sizes); err != nil {
		return fmt.Errorf("measuring the tables: %w", err)
	}
	said, err := e.said(ctx)
	if err != nil {
		return err
	}
	e.Orphans = map[string]int64{}
	if e.Orphans["hot"], err = e.number(ctx, "SELECT count(*) FROM (SELECT node FROM hot UNION SELECT * FROM {items ?} AS logged) AS said WHERE node NOT IN (SELECT name FROM node)", said); err != nil {
		return fmt.Errorf("looking for nodes of hot: %w", err)
	}
	for _, table := range []string{"account", "run", "node_facet", "silence"} {
		if e.Orphans[table], err = e.number(ctx, "SELECT count(*) FROM "+table+" WHERE node NOT IN (SELECT name FROM node)"); err != nil {
			return fmt.Errorf("looking for nodes of %s: %w", table, err)
		}
	}
	for into, query := range map[*int64]string{
		&e.Lacking: "SELECT count(DISTINCT digest) FROM node_facet WHERE digest NOT IN (SELECT digest FROM facet)",
		&e.Retired: "SELECT count(*) FROM node WHERE retired > 0",
		&e.Gaps:    "SELECT coalesce(max(seq) - min(seq) + 1 - count(*), 0) FROM audit",
	} {
		if *into, err = e.number(ctx, query); err != nil {
			return fmt.Errorf("comparing the tables: %w", err)
		}
	}
	logged := ""
	if e.logs() {
		logged = " UNION ALL SELECT max(at) FROM heard"
	}
	newest, err := e.number(ctx, `SELECT coalesce(max(at), 0) FROM (SELECT max(at) AS at FROM event UNION ALL SELECT max(at) FROM audit UNION ALL SELECT max(seen) FROM hot`+logged+`) AS times`)
	if err != nil {
		return fmt.Errorf("looking for the newest time: %w", err)
	}
	e.Newest = timeOf(newest)
	e.Audit = func(ctx context.Context, seq int64) (hash string, err error) {
		err = e.db.QueryRowContext(ctx, e.dialect.sql("SELECT hash FROM audit WHERE seq = ?"), seq).Scan(&hash)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("audit entry %d: %w", seq, ErrNotFound)
		}
		return hash, err
	}
	return errors.Join(e.certificates(ctx, now, said), e.restored(ctx))
}

// logs is whether there is a log of check-ins; an older file has none.
func (e examined) logs() bool { return e.dialect.logs && e.Schema == e.Known }

// said is the names, in JSON, of the nodes that were heard of and are not in the table hot yet.
func (e examined) said(ctx context.Context) (string, error) {
	names := []string{}
	if !e.logs() {
		return string(jsonOf(names)), nil
	}
	all, _, err := readHeard(ctx, e.db)
	for name, h := range all {
		if !h.silent {
			names = append(names, name)
		}
	}
	return string(jsonOf(names)), err
}

func (e examined) sizes(ctx context.Context, query string) (map[string]int64, error) {
	rows, err := e.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		all[name] = n
	}
	return all, rows.Err()
}

// certificates counts nodes that were heard of within a week and whose certificate is past its time; said are some that were.
func (e examined) certificates(ctx context.Context, now time.Time, said string) error {
	rows, err := e.db.QueryContext(ctx, e.dialect.sql("SELECT name, key, retired, doc FROM node WHERE retired = 0 AND (name IN (SELECT node FROM hot WHERE seen > ?) OR name IN {items ?})"), nanos(now.Add(-7*24*time.Hour)), said)
	if err != nil {
		return fmt.Errorf("reading the nodes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		n, err := scanNode(rows)
		if err != nil {
			return err
		}
		if n.CertExpires.Before(now) {
			e.Expired++
		}
	}
	return rows.Err()
}

func (e examined) restored(ctx context.Context) error {
	var doc []byte
	err := e.db.QueryRowContext(ctx, e.dialect.sql("SELECT doc FROM note WHERE key = ?"), RestoredKey).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(doc, &e.Restored)
	}
	return err
}
