package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// PutRuns keeps the runs of a node, and returns after they are on disk. One whose ID is known is left as it was.
func (d *DB) PutRuns(ctx context.Context, node string, runs []report.Run, received time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		for _, r := range runs {
			if err := t.putRun(node, r, received); err != nil {
				return fmt.Errorf("keeping run %s of %s: %w", r.ID, node, err)
			}
		}
		return nil
	})
}

// putRun keeps a run, and what it adds to the history.
func (t *tx) putRun(node string, r report.Run, received time.Time) error {
	before, err := t.runsBefore(node, r)
	if err != nil {
		return err
	}
	done, err := t.exec("INSERT INTO run (node, id, received, quiet, compliance, doc) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		node, r.ID, nanos(received), r.Quiet(), string(r.Compliance()), t.d.packer.pack(jsonOf(r)))
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return err
	}
	for _, e := range report.HistoryOf(before, r) {
		if _, err := t.exec("INSERT INTO history (at, node, module, subject, outcome, run) VALUES (?, ?, ?, ?, ?, ?)",
			nanos(received), node, textOf(e.Module), textOf(e.Subject), string(e.Outcome), r.ID); err != nil {
			return fmt.Errorf("keeping history: %w", err)
		}
	}
	return nil
}

// maxBefore is how many runs are looked back to one that was done.
const maxBefore = 5

// runsBefore returns the runs of a node that are kept and began before one, newest first, up to one that was done.
func (t *tx) runsBefore(node string, r report.Run) ([]report.Run, error) {
	rows, err := t.rows("SELECT doc FROM run WHERE node = ? AND id <> ? ORDER BY received DESC, id DESC LIMIT ?", node, r.ID, maxBefore)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var before []report.Run
	for rows.Next() {
		var doc []byte
		var old report.Run
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		if err := t.d.packer.read(doc, &old); err != nil {
			return nil, err
		}
		if old.Started.After(r.Started) { // this one comes late: what it found is not what is found now
			continue
		}
		if before = append(before, old); old.Error == "" {
			break
		}
	}
	return before, rows.Err()
}

// Runs returns runs of a node, newest received first; quiet ones only when asked for.
func (d *DB) Runs(ctx context.Context, node string, limit int, quiet bool) ([]report.Run, error) {
	rows, err := d.query(ctx, "SELECT doc FROM run WHERE node = ? AND (? OR NOT quiet) ORDER BY received DESC, id DESC LIMIT ?", node, quiet, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the runs of %s: %w", node, err)
	}
	defer rows.Close()
	runs := []report.Run{}
	for rows.Next() {
		var doc []byte
		var r report.Run
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("reading the runs of %s: %w", node, err)
		}
		if err := d.packer.read(doc, &r); err != nil {
			return nil, fmt.Errorf("reading the runs of %s: %w", node, err)
		}
		runs = append(runs, r)
	}
	return runs, rows.Err()
}

// PutFacets keeps trait documents under their digests, and returns after they are on disk. One that is kept already
// counts as received anew.
func (d *DB) PutFacets(ctx context.Context, facets []trait.Facet, received time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		for _, f := range facets {
			if _, err := t.exec("INSERT INTO facet (digest, at, doc) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO UPDATE SET at = ?2", f.Digest, nanos(received), t.d.packer.pack(f.Doc)); err != nil {
				return fmt.Errorf("keeping trait %s: %w", f.Name, err)
			}
			t.change.Facets = append(t.change.Facets, Named{f.Name, f.Digest})
		}
		return nil
	})
}

// FacetDigests returns the digests of all documents that are kept.
func (d *DB) FacetDigests(ctx context.Context) (map[string]bool, error) {
	digests, err := column(d.query(ctx, "SELECT digest FROM facet"))
	if err != nil {
		return nil, fmt.Errorf("reading the trait digests: %w", err)
	}
	known := make(map[string]bool, len(digests))
	for _, digest := range digests {
		known[digest] = true
	}
	return known, nil
}

// Facets returns the documents with these digests; those that are not kept are left out.
func (d *DB) Facets(ctx context.Context, digests []string) (map[string]json.RawMessage, error) {
	rows, err := d.query(ctx, "SELECT digest, doc FROM facet WHERE digest IN {items ?}", string(jsonOf(digests)))
	if err != nil {
		return nil, fmt.Errorf("reading traits: %w", err)
	}
	defer rows.Close()
	docs := map[string]json.RawMessage{}
	for rows.Next() {
		var digest string
		var doc []byte
		if err := rows.Scan(&digest, &doc); err != nil {
			return nil, fmt.Errorf("reading traits: %w", err)
		}
		if docs[digest], err = d.packer.unpack(doc); err != nil {
			return nil, fmt.Errorf("reading trait document %s: %w", digest, err)
		}
	}
	return docs, rows.Err()
}
