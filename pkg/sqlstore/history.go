package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
)

// A Before is the place in a history behind which a page begins: entries of its time with a lower number, and older ones. The
// zero value is the end.
type Before struct {
	At  time.Time
	Seq int64
}

func (b Before) args() []any {
	if b.At.IsZero() {
		return []any{int64(math.MaxInt64), int64(math.MaxInt64)}
	}
	return []any{nanos(b.At), b.Seq}
}

// ResourceHistory returns what changed of resources, newest first, with what the runs say of it that are still kept.
func (d *DB) ResourceHistory(ctx context.Context, q report.HistoryQuery, before Before, limit int) ([]report.HistoryEntry, error) {
	where, args := []string{"(at, id) < (?, ?)", "at >= ?"}, append(before.args(), nanos(q.Since))
	if q.Node != "" {
		where, args = append(where, "node = ?"), append(args, q.Node)
	}
	if q.Resource != "" {
		module, subject := report.SplitID(q.Resource)
		if module != "" {
			where, args = append(where, "module = ?"), append(args, module)
		}
		if strings.ContainsAny(subject, "*?") {
			where, args = append(where, "subject {globs ?}"), append(args, d.dialect.pattern(subject))
		} else {
			where, args = append(where, "subject = ?"), append(args, subject)
		}
	}
	rows, err := d.query(ctx, "SELECT id, at, node, module, subject, outcome, run FROM history WHERE "+strings.Join(where, " AND ")+
		" ORDER BY at DESC, id DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	list, err := scanHistory(rows)
	if err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	return list, d.addResults(ctx, list)
}

func scanHistory(rows *sql.Rows) ([]report.HistoryEntry, error) {
	defer rows.Close()
	list := []report.HistoryEntry{}
	for rows.Next() {
		e := report.HistoryEntry{Kind: report.HistoryResource}
		var at int64
		if err := rows.Scan(&e.Seq, &at, &e.Node, &e.Module, &e.Subject, &e.Outcome, &e.Run); err != nil {
			return nil, err
		}
		if e.At = timeOf(at); e.Subject == "" {
			e.Kind = report.HistoryRun
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// addResults adds to entries what their runs say of them.
func (d *DB) addResults(ctx context.Context, list []report.HistoryEntry) error {
	runs := map[[2]string]map[string]report.Result{}
	about := map[[2]string]report.Run{}
	for i := range list {
		e := &list[i]
		key := [2]string{e.Node, e.Run}
		if runs[key] == nil {
			r, results, err := d.resultsOf(ctx, e.Node, e.Run)
			if err != nil {
				return err
			}
			runs[key], about[key] = results, r
		}
		e.Commit = about[key].Commit
		if e.Kind == report.HistoryRun {
			e.Reason = about[key].Error
			continue
		}
		res := runs[key][strings.TrimPrefix(e.Module+"/"+e.Subject, "/")]
		e.Reason, e.Changes = res.Reason, res.Changes
	}
	return nil
}

// resultsOf reads a run; of one that is not kept any more, nothing is known.
func (d *DB) resultsOf(ctx context.Context, node, id string) (r report.Run, of map[string]report.Result, err error) {
	of = map[string]report.Result{}
	var doc []byte
	switch err := d.queryRow(ctx, "SELECT doc FROM run WHERE node = ? AND id = ?", node, id).Scan(&doc); {
	case errors.Is(err, sql.ErrNoRows):
		return r, of, nil
	case err != nil:
		return r, nil, fmt.Errorf("reading run %s of %s: %w", id, node, err)
	}
	if err := d.packer.read(doc, &r); err != nil {
		return r, nil, fmt.Errorf("reading run %s of %s: %w", id, node, err)
	}
	for _, res := range r.Results {
		of[res.ID] = res
	}
	return r, of, nil
}

// TraitHistory returns what changed of traits, newest first; of one node unless it is "", and of one trait unless that is.
func (d *DB) TraitHistory(ctx context.Context, node, trait string, since time.Time, before Before, limit int) ([]report.HistoryEntry, error) {
	where, args := []string{"(at, id) < (?, ?)", "at >= ?"}, append(before.args(), nanos(since))
	for column, value := range map[string]string{"node": node, "trait": trait} {
		if value != "" {
			where, args = append(where, column+" = ?"), append(args, value)
		}
	}
	rows, err := d.query(ctx, "SELECT id, at, node, trait, outcome, doc FROM trait_history WHERE "+strings.Join(where, " AND ")+
		" ORDER BY at DESC, id DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("reading the history of traits: %w", err)
	}
	defer rows.Close()
	list := []report.HistoryEntry{}
	for rows.Next() {
		e := report.HistoryEntry{Kind: report.HistoryTrait}
		var at int64
		var data []byte
		if err := rows.Scan(&e.Seq, &at, &e.Node, &e.Subject, &e.Outcome, &data); err != nil {
			return nil, fmt.Errorf("reading the history of traits: %w", err)
		}
		if err := d.packer.readTrait(data, &e); err != nil {
			return nil, fmt.Errorf("reading the history of trait %s of %s: %w", e.Subject, e.Node, err)
		}
		e.At = timeOf(at)
		list = append(list, e)
	}
	return list, rows.Err()
}

// readTrait reads what is kept of a change of a trait.
func (p *packer) readTrait(data []byte, e *report.HistoryEntry) error {
	var doc traitDoc
	if err := p.read(data, &doc); err != nil {
		return err
	}
	e.More, e.Reason = doc.More, doc.Reason
	for _, c := range doc.Changes {
		e.Changes = append(e.Changes, change.Change{Field: c.Field, From: c.From, To: c.To})
	}
	return nil
}
