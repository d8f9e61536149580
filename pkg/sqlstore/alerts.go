package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// ErrMoved says that another service has changed the state of the alerts since it was read.
var ErrMoved = errors.New("the alerts were changed by another service")

// versionKey is the row of the table of alerts that counts its changes; no alert has this key.
const versionKey = ""

// AlertState is the state of the alerts: documents by key, and how often they were changed.
type AlertState struct {
	Version int64
	Docs    map[string][]byte
}

// Alerts reads the state of the alerts.
func (d *DB) Alerts(ctx context.Context) (AlertState, error) {
	s := AlertState{Docs: map[string][]byte{}}
	rows, err := d.query(ctx, "SELECT key, doc FROM alert")
	if err != nil {
		return s, fmt.Errorf("reading alerts: %w", d.dialect.explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var doc []byte
		if err := rows.Scan(&key, &doc); err != nil {
			return s, fmt.Errorf("reading alerts: %w", err)
		}
		if key != versionKey {
			s.Docs[key] = doc
		} else if s.Version, err = strconv.ParseInt(string(doc), 10, 64); err != nil {
			return s, fmt.Errorf("reading alerts: %w", err)
		}
	}
	return s, rows.Err()
}

// AlertsOf reads the documents whose keys begin with a prefix.
func (d *DB) AlertsOf(ctx context.Context, prefix string) (map[string][]byte, error) {
	docs := map[string][]byte{}
	rows, err := d.query(ctx, "SELECT key, doc FROM alert WHERE substr(key, 1, ?) = ?", len(prefix), prefix)
	if err != nil {
		return nil, fmt.Errorf("reading alerts: %w", d.dialect.explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var doc []byte
		if err := rows.Scan(&key, &doc); err != nil {
			return nil, fmt.Errorf("reading alerts: %w", err)
		}
		docs[key] = doc
	}
	return docs, rows.Err()
}

// Beside is what is kept together with a change of the alerts.
type Beside struct {
	Events []report.Event
	Acts   []audit.Entry // of what a person did
	Now    time.Time     // when they did
	Topic  string        // that other services are told of; "": of none
}

func (b Beside) put(t *tx) error {
	for _, e := range b.Events {
		if err := t.event(e); err != nil {
			return err
		}
	}
	for _, act := range b.Acts {
		if err := t.audit(act, b.Now); err != nil {
			return err
		}
	}
	if b.Topic != "" {
		t.change.Notes = append(t.change.Notes, b.Topic)
	}
	return nil
}

// PutAlerts changes the state of the alerts, if it is still of a version, and writes what is to be delivered in the same
// transaction: either both are kept or none is. A document that is nil is removed. [ErrMoved]. The new version is one more.
func (d *DB) PutAlerts(ctx context.Context, version int64, docs map[string][]byte, out []Outgoing, beside Beside) error {
	return d.commit(ctx, func(t *tx) error {
		var now []byte
		switch err := t.row("SELECT doc FROM alert WHERE key = ?", versionKey).Scan(&now); {
		case errors.Is(err, sql.ErrNoRows):
			now = []byte("0")
		case err != nil:
			return fmt.Errorf("keeping alerts: %w", err)
		}
		if string(now) != strconv.FormatInt(version, 10) {
			return ErrMoved
		}
		if err := t.putAlert(versionKey, []byte(strconv.FormatInt(version+1, 10))); err != nil {
			return err
		}
		if err := t.d.dialect.putAlerts(t, docs); err != nil {
			return err
		}
		for _, o := range out {
			if _, err := t.exec("INSERT INTO outbox (receiver, id, at, due, tries, died, error, doc) VALUES (?, ?, ?, ?, 0, 0, '', ?) ON CONFLICT (receiver, id) DO NOTHING",
				o.Receiver, o.ID, nanos(o.At), nanos(o.At), o.Doc); err != nil {
				return fmt.Errorf("keeping notice %s: %w", o.ID, err)
			}
		}
		return beside.put(t)
	})
}

// eachAlert keeps one document after the other.
func eachAlert(t *tx, docs map[string][]byte) error {
	for key, doc := range docs {
		if err := t.putAlert(key, doc); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) putAlert(key string, doc []byte) error {
	var err error
	if doc == nil {
		_, err = t.exec("DELETE FROM alert WHERE key = ?", key)
	} else {
		_, err = t.exec("INSERT INTO alert (key, doc) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET doc = ?2", key, doc)
	}
	if err != nil {
		return fmt.Errorf("keeping alert %s: %w", key, err)
	}
	return nil
}
