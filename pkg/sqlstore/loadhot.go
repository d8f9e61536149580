package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// LastHeard returns the records of all nodes, with Doc.
func (d *DB) LastHeard(ctx context.Context) (map[string]Hot, error) {
	return d.dialect.hots(d, ctx, nil)
}

// LoadHot returns the records of all nodes, with Doc and Facets.
func (d *DB) LoadHot(ctx context.Context) (map[string]Hot, error) {
	all, err := d.LastHeard(ctx)
	if err != nil {
		return nil, err
	}
	for name, h := range all {
		h.Facets = map[string]string{}
		all[name] = h
	}
	return all, d.loadFacets(ctx, all, "")
}

// among is the condition that a statement is of some nodes.
const among = " WHERE node IN {items ?}"

// amongst is a statement that is of some nodes, with its arguments; nil: of all.
func (d *DB) amongst(query string, nodes []string) (string, []any) {
	if nodes == nil {
		return query, nil
	}
	return d.dialect.sql(query + among), []any{string(jsonOf(nodes))}
}

// HotOf returns the records of some nodes with Doc, and of those that are described with Facets.
func (d *DB) HotOf(ctx context.Context, nodes, described []string) (map[string]Hot, error) {
	if len(nodes) == 0 {
		return map[string]Hot{}, nil
	}
	some, err := d.dialect.hots(d, ctx, nodes)
	if err != nil || len(described) == 0 {
		return some, err
	}
	for _, name := range described {
		if h, ok := some[name]; ok {
			h.Facets = map[string]string{}
			some[name] = h
		}
	}
	return some, d.loadFacets(ctx, some, among, string(jsonOf(described)))
}

// hotsInTable is what a database says of the last check-ins of nodes; nil: of all of them.
func (d *DB) hotsInTable(ctx context.Context, nodes []string) (map[string]Hot, error) {
	all, err := d.hots(ctx, d.read, nodes)
	if err != nil {
		return nil, err
	}
	return all, d.addAccounts(ctx, d.read, all, nodes)
}

func (d *DB) hots(ctx context.Context, from querier, nodes []string) (map[string]Hot, error) {
	query, args := d.amongst("SELECT node, seen, told, counter FROM hot", nodes)
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the last check-ins: %w", err)
	}
	defer rows.Close()
	all := map[string]Hot{}
	for rows.Next() {
		var h Hot
		var seen, told int64
		if err := rows.Scan(&h.Node, &seen, &told, &h.Counter); err != nil {
			return nil, fmt.Errorf("reading the last check-ins: %w", err)
		}
		h.Seen, h.Told = timeOf(seen), time.Duration(told)
		all[h.Node] = h
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the last check-ins: %w", err)
	}
	return all, nil
}

// addAccounts adds what the service keeps beside.
func (d *DB) addAccounts(ctx context.Context, from querier, to map[string]Hot, nodes []string) error {
	query, args := d.amongst("SELECT node, doc FROM account", nodes)
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("reading what nodes said: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var node string
		var doc []byte
		if err := rows.Scan(&node, &doc); err != nil {
			return fmt.Errorf("reading what nodes said: %w", err)
		}
		if h, ok := to[node]; ok {
			h.Doc = doc
			to[node] = h
		}
	}
	return rows.Err()
}

// EachFacets calls take with each node that has traits, by name, and with their names and digests. It ends when take fails.
func (d *DB) EachFacets(ctx context.Context, take func(node string, facets map[string]string) error) error {
	rows, err := d.query(ctx, "SELECT node, name, digest FROM node_facet ORDER BY node")
	if err != nil {
		return fmt.Errorf("reading the trait digests: %w", err)
	}
	defer rows.Close()
	same, of, facets := texts{}, "", map[string]string(nil)
	for rows.Next() {
		var node, name, digest sql.RawBytes
		if err := rows.Scan(&node, &name, &digest); err != nil {
			return fmt.Errorf("reading the trait digests: %w", err)
		}
		if string(node) != of {
			if facets != nil {
				if err := take(of, facets); err != nil {
					return err
				}
			}
			of, facets = string(node), make(map[string]string, len(facets))
		}
		facets[same.of(name)] = same.of(digest)
	}
	if err := rows.Err(); err != nil || facets == nil {
		return err
	}
	return take(of, facets)
}

func (d *DB) loadFacets(ctx context.Context, of map[string]Hot, where string, args ...any) error {
	rows, err := d.query(ctx, "SELECT node, name, digest FROM node_facet"+where, args...)
	if err != nil {
		return fmt.Errorf("reading the trait digests: %w", err)
	}
	defer rows.Close()
	same := texts{}
	for rows.Next() {
		var node, name, digest string
		if err := rows.Scan(&node, &name, &digest); err != nil {
			return fmt.Errorf("reading the trait digests: %w", err)
		}
		if h, ok := of[node]; ok && h.Facets != nil {
			h.Facets[same.of([]byte(name))] = same.of([]byte(digest))
		}
	}
	return rows.Err()
}

// texts has those that are equal take memory once: many nodes have the same traits.
type texts map[string]string

func (t texts) of(text []byte) string {
	if known, ok := t[string(text)]; ok {
		return known
	}
	s := string(text)
	t[s] = s
	return s
}
