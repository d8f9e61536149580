package sqlstore

import "fmt"

// columns are the records of a group as arrays, which PostgreSQL takes at once: a statement for each would wait for the
// network as often.
type columns struct {
	nodes       []string
	seen, told  []int64
	counters    []int64
	saying      []string
	docs        [][]byte
	describing  []string
	facetNode   []string
	facetName   []string
	facetDigest []string
	facetSince  []int64
}

const (
	hotUpsert = `INSERT INTO hot (node, seen, told, counter)
		SELECT * FROM unnest(?1::text[], ?2::bigint[], ?3::bigint[], ?4::bigint[])
		ON CONFLICT (node) DO UPDATE SET seen = greatest(hot.seen, excluded.seen), told = excluded.told, counter = greatest(hot.counter, excluded.counter)`
	accountUpsert = `INSERT INTO account (node, doc) SELECT * FROM unnest(?1::text[], ?2::bytea[])
		ON CONFLICT (node) DO UPDATE SET doc = excluded.doc`
	facetDelete = `DELETE FROM node_facet WHERE node = ANY(?1::text[]) AND NOT EXISTS (
		SELECT 1 FROM unnest(?2::text[], ?3::text[]) AS kept (node, name) WHERE kept.node = node_facet.node AND kept.name = node_facet.name)`
	facetUpsert = `INSERT INTO node_facet (node, name, digest, since)
		SELECT * FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::bigint[])
		ON CONFLICT (node, name) DO UPDATE SET digest = excluded.digest, since = excluded.since WHERE node_facet.digest <> excluded.digest`
)

// putHotsAtOnce keeps all records of a group in at most four statements.
func putHotsAtOnce(t *tx, all map[string]Hot) error {
	if len(all) == 0 {
		return nil
	}
	var c columns
	for _, h := range all {
		c.add(h)
	}
	if _, err := t.exec(hotUpsert, c.nodes, c.seen, c.told, c.counters); err != nil {
		return fmt.Errorf("keeping what %d nodes said: %w", len(all), err)
	}
	if len(c.saying) > 0 {
		if _, err := t.exec(accountUpsert, c.saying, c.docs); err != nil {
			return fmt.Errorf("keeping what %d nodes said: %w", len(c.saying), err)
		}
	}
	if len(c.describing) == 0 {
		return nil
	}
	if _, err := t.exec(facetDelete, c.describing, c.facetNode, c.facetName); err != nil {
		return fmt.Errorf("keeping the traits of %d nodes: %w", len(c.describing), err)
	}
	if _, err := t.exec(facetUpsert, c.facetNode, c.facetName, c.facetDigest, c.facetSince); err != nil {
		return fmt.Errorf("keeping the traits of %d nodes: %w", len(c.describing), err)
	}
	return nil
}

func (c *columns) add(h Hot) {
	c.nodes, c.seen, c.told = append(c.nodes, h.Node), append(c.seen, nanos(h.Seen)), append(c.told, int64(h.Told))
	c.counters = append(c.counters, h.Counter)
	if h.Doc != nil {
		c.saying, c.docs = append(c.saying, h.Node), append(c.docs, h.Doc)
	}
	if h.Facets == nil {
		return
	}
	c.describing = append(c.describing, h.Node)
	for name, digest := range h.Facets {
		c.facetNode, c.facetName = append(c.facetNode, h.Node), append(c.facetName, name)
		c.facetDigest, c.facetSince = append(c.facetDigest, digest), append(c.facetSince, nanos(h.Seen))
	}
}
