package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/report"
)

// A FacetChange says that a node has another document of a trait; what differs has not been looked into yet.
type FacetChange struct {
	ID          int64
	At          time.Time
	Node, Trait string
	Was, Became string // digests; "": none
}

// noteFacetChanges notes which traits of the nodes of a group are others than those that are kept. The first ones of a node are
// no change.
func (t *tx) noteFacetChanges(all map[string]Hot) error {
	var described []string
	for name, h := range all {
		if h.Facets != nil {
			described = append(described, name)
		}
	}
	if len(described) == 0 {
		return nil
	}
	slices.Sort(described)
	kept, err := t.facetsOf(described)
	if err != nil {
		return err
	}
	for _, name := range described {
		if len(kept[name]) == 0 {
			continue
		}
		h := all[name]
		for _, c := range changesBetween(kept[name], h.Facets) {
			if _, err := t.exec("INSERT INTO facet_change (at, node, trait, was, became) VALUES (?, ?, ?, ?, ?)", nanos(h.Seen), name, c.Trait, c.Was, c.Became); err != nil {
				return fmt.Errorf("noting that trait %s of %s has changed: %w", c.Trait, name, err)
			}
		}
	}
	return nil
}

// facetsOf reads the traits that are kept of some nodes.
func (t *tx) facetsOf(nodes []string) (map[string]map[string]string, error) {
	rows, err := t.rows("SELECT node, name, digest FROM node_facet"+among, string(jsonOf(nodes)))
	if err != nil {
		return nil, fmt.Errorf("reading the trait digests: %w", err)
	}
	defer rows.Close()
	of := map[string]map[string]string{}
	for rows.Next() {
		var node, name, digest string
		if err := rows.Scan(&node, &name, &digest); err != nil {
			return nil, fmt.Errorf("reading the trait digests: %w", err)
		}
		if of[node] == nil {
			of[node] = map[string]string{}
		}
		of[node][name] = digest
	}
	return of, rows.Err()
}

// changesBetween compares the traits of a node, sorted by name.
func changesBetween(was, became map[string]string) []FacetChange {
	var list []FacetChange
	names := maps.Clone(was)
	maps.Copy(names, became)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if was[name] != became[name] {
			list = append(list, FacetChange{Trait: name, Was: was[name], Became: became[name]})
		}
	}
	return list
}

// FacetChanges returns changes that have not been looked into, oldest first, behind the one with the number after.
func (d *DB) FacetChanges(ctx context.Context, after int64, limit int) ([]FacetChange, error) {
	rows, err := d.query(ctx, "SELECT id, at, node, trait, was, became FROM facet_change WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading which traits have changed: %w", err)
	}
	defer rows.Close()
	var list []FacetChange
	for rows.Next() {
		var c FacetChange
		var at int64
		if err := rows.Scan(&c.ID, &at, &c.Node, &c.Trait, &c.Was, &c.Became); err != nil {
			return nil, fmt.Errorf("reading which traits have changed: %w", err)
		}
		c.At = timeOf(at)
		list = append(list, c)
	}
	return list, rows.Err()
}

// FacetChangesWaiting is how many changes have not been looked into.
func (d *DB) FacetChangesWaiting(ctx context.Context) (n int, err error) {
	if err := d.queryRow(ctx, "SELECT count(*) FROM facet_change").Scan(&n); err != nil {
		return 0, fmt.Errorf("counting which traits have changed: %w", err)
	}
	return n, nil
}

// traitDoc is what is kept of a change of a trait.
type traitDoc struct {
	Changes []fieldMove `json:"c,omitempty"`
	More    int         `json:"more,omitempty"`
	Reason  string      `json:"why,omitempty"` // why there are no changes to tell
}

// fieldMove is a change of a field in few bytes: there are millions.
type fieldMove struct {
	Field string `json:"f"`
	From  string `json:"a"`
	To    string `json:"b"`
}

// PutTraitHistory puts what changes consist of in the place of the notes that there are some; entries are by the numbers of the
// notes, and those that lead to nothing are nil. What another service has done already is left as it is.
func (d *DB) PutTraitHistory(ctx context.Context, entries map[int64]*report.HistoryEntry) error {
	return d.commit(ctx, func(t *tx) error {
		for _, id := range slices.Sorted(maps.Keys(entries)) {
			done, err := t.exec("DELETE FROM facet_change WHERE id = ?", id)
			if err != nil {
				return fmt.Errorf("keeping what changed of a trait: %w", err)
			}
			n, err := done.RowsAffected()
			if err != nil {
				return fmt.Errorf("keeping what changed of a trait: %w", err)
			}
			e := entries[id]
			if n == 0 || e == nil {
				continue
			}
			doc := traitDoc{More: e.More, Reason: e.Reason}
			for _, c := range e.Changes {
				doc.Changes = append(doc.Changes, fieldMove{textOf(c.Field), textOf(c.From), textOf(c.To)})
			}
			if _, err := t.exec("INSERT INTO trait_history (at, node, trait, outcome, doc) VALUES (?, ?, ?, ?, ?)",
				nanos(e.At), e.Node, textOf(e.Subject), string(e.Outcome), t.d.packer.pack(jsonOf(doc))); err != nil {
				return fmt.Errorf("keeping what changed of trait %s of %s: %w", e.Subject, e.Node, err)
			}
		}
		return nil
	})
}
