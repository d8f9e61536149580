package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Change says what was kept, by names: who wants the content reads it.
type Change struct {
	Hot       []string `json:"hot,omitempty"`       // nodes that were heard of
	Described []string `json:"described,omitempty"` // those of them that said which traits they have
	Nodes     []string `json:"nodes,omitempty"`     // nodes that enrolled, renewed or were retired
	Notes     []string `json:"notes,omitempty"`     // keys
	Facets    []Named  `json:"facets,omitempty"`    // documents that were received
	Gone      []string `json:"gone,omitempty"`      // digests of documents that were forgotten
	Operators bool     `json:"operators,omitempty"` // any token, login or certificate
	// Lost says that more happened than is told: everything is to be read anew.
	Lost bool `json:"-"`
}

// Named is a document by its names.
type Named struct {
	Trait  string `json:"trait"`
	Digest string `json:"digest"`
}

// empty reports whether nothing is told.
func (c *Change) empty() bool {
	return len(c.Hot)+len(c.Nodes)+len(c.Notes)+len(c.Facets)+len(c.Gone) == 0 && !c.Operators
}

// add takes a later change in; of the own ones only what a service reads back although it made it.
func (c *Change) add(later Change, own bool) {
	if !own {
		c.Hot, c.Described = append(c.Hot, later.Hot...), append(c.Described, later.Described...)
		c.Facets, c.Gone = append(c.Facets, later.Facets...), append(c.Gone, later.Gone...)
	}
	c.Nodes, c.Notes = append(c.Nodes, later.Nodes...), append(c.Notes, later.Notes...)
	c.Operators = c.Operators || later.Operators
}

const (
	// channel is where a group says that it was committed.
	channel = "vigo"
	// feedKeep is how long changes can be read: a service that was away for longer reads everything anew.
	feedKeep = 10 * time.Minute
	// feedPage bounds the groups that are read at once.
	feedPage = 200
	// feedPoll is how long nobody is believed who says nothing: a lost notification delays by that.
	feedPoll = time.Second
	// feedTimeout bounds one look at the feed.
	feedTimeout = 5 * time.Second
)

// tell writes what a group has changed where other services see it. Groups take turns, so the numbers have no gaps and are in
// the order of the commits.
func (t *tx) tell() error {
	if !t.d.dialect.feeds || t.change.empty() {
		return nil
	}
	_, err := t.exec(`WITH told AS (INSERT INTO feed (version, writer, at, doc) SELECT coalesce(max(version), 0) + 1, ?1, ?2, ?3 FROM feed RETURNING version)
		SELECT pg_notify('`+channel+`', version::text) FROM told`, t.d.writer, nanos(time.Now()), jsonOf(t.change))
	if err != nil {
		return fmt.Errorf("telling the other services: %w", err)
	}
	return nil
}

// A Feed is what the services on one database keep, from a moment on. Read and Done belong to one goroutine at a time, Wait to
// one.
type Feed struct {
	d      *DB
	last   place
	next   place
	listen *pgx.Conn // nil: not connected
}

// place is one in the feed; that of another database with the same number has another writer.
type place struct {
	version int64
	writer  string
}

// Feed begins to follow, from now on; nil when nobody else can write to the store. Close it.
func (d *DB) Feed(ctx context.Context) (*Feed, error) {
	if !d.dialect.feeds {
		return nil, nil
	}
	f := &Feed{d: d}
	newest, err := f.newest(ctx)
	f.last = newest
	return f, err
}

// newest is the end of the feed.
func (f *Feed) newest(ctx context.Context) (m place, err error) {
	err = f.d.queryRow(ctx, "SELECT coalesce(max(version), 0), coalesce((SELECT writer FROM feed ORDER BY version DESC LIMIT 1), '') FROM feed").Scan(&m.version, &m.writer)
	if err != nil {
		return m, fmt.Errorf("looking for the end of the feed: %w", f.d.dialect.explain(err))
	}
	return m, nil
}

// Read returns what was kept since the last Done. It returns the same, and more, until Done is called. more says that there
// is more to read behind it.
func (f *Feed) Read(ctx context.Context) (c Change, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	defer cancel()
	rows, err := f.d.query(ctx, "SELECT version, writer, doc FROM feed WHERE version >= ? ORDER BY version LIMIT ?", f.last.version, feedPage)
	if err != nil {
		return c, false, fmt.Errorf("reading the feed: %w", f.d.dialect.explain(err))
	}
	defer rows.Close()
	n, at, lost := 0, f.last, false
	for known := at.version == 0; rows.Next(); n++ {
		var m place
		var doc []byte
		if err := rows.Scan(&m.version, &m.writer, &doc); err != nil {
			return c, false, fmt.Errorf("reading the feed: %w", err)
		}
		if !known && m == f.last {
			known = true
			continue
		}
		if lost = !known || m.version != at.version+1; lost {
			break
		}
		var change Change
		if err := json.Unmarshal(doc, &change); err != nil {
			return c, false, fmt.Errorf("reading change %d: %w", m.version, err)
		}
		c.add(change, m.writer == f.d.writer)
		at = m
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return c, false, fmt.Errorf("reading the feed: %w", f.d.dialect.explain(err))
	}
	if lost = lost || n == 0 && at.version > 0; lost { // too long away, or another database: one that was restored, or a standby that had not got all
		if f.next, err = f.newest(ctx); err != nil {
			return c, false, err
		}
		return Change{Lost: true}, false, nil
	}
	f.next = at
	return c, n == feedPage, nil
}

// Done says that what was read last has been taken over.
func (f *Feed) Done() { f.last = f.next }

// Wait returns when there may be something to read, at the latest after a second.
func (f *Feed) Wait(ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, feedPoll)
	defer cancel()
	if f.listen == nil && !f.connect(ctx) {
		<-wait.Done() // it is polled until it can be listened to
		return
	}
	_, err := f.listen.WaitForNotification(wait)
	if err != nil && wait.Err() == nil || f.listen.IsClosed() {
		f.Close()
	}
}

func (f *Feed) connect(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, f.d.config.Copy())
	if err != nil {
		return false
	}
	f.listen = conn
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		f.Close()
		return false
	}
	return true
}

// Close gives up the connection of Wait, which makes another one when it is called again.
func (f *Feed) Close() {
	if f.listen == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.listen.Close(ctx) // it was only listened to
	f.listen = nil
}

// PruneFeed forgets changes that every service has read, or that it is too late for. The newest stays.
func (d *DB) PruneFeed(ctx context.Context, now time.Time) error {
	if !d.dialect.feeds {
		return nil
	}
	return d.commit(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM feed WHERE at < ? AND version < (SELECT max(version) FROM feed)", nanos(now.Add(-feedKeep)))
		return err
	})
}

// changedHot adds the records of a group to what it tells.
func (c *Change) changedHot(all map[string]Hot) {
	for name, h := range all {
		c.Hot = append(c.Hot, name)
		if h.Facets != nil {
			c.Described = append(c.Described, name)
		}
	}
	slices.Sort(c.Hot)
	slices.Sort(c.Described)
}
