package sqlstore

import (
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/report"
)

// Hot is what changes with every check-in of a node.
type Hot struct {
	Node    string
	Seen    time.Time     // receipt of the last check-in
	Told    time.Duration // interval the node was told
	Counter int64         // highest accepted counter
	// Doc is what the service keeps beside; nil leaves what is kept.
	Doc []byte
	// Facets is all trait names and digests of the node; nil leaves what is kept.
	Facets map[string]string
	// Events happened with the check-in: they are on disk exactly when it is.
	Events []report.Event
}

// maxEvents bounds the events of one node that wait for a store that cannot be written; the oldest go first.
const maxEvents = 1000

// merge returns newer with what it leaves as it was. Requests overtake each other, so the counter only rises.
func (h Hot) merge(newer Hot) Hot {
	newer.Counter = max(newer.Counter, h.Counter)
	if newer.Doc == nil {
		newer.Doc = h.Doc
	}
	if newer.Facets == nil {
		newer.Facets = h.Facets
	}
	if len(h.Events) > 0 {
		newer.Events = slices.Concat(h.Events, newer.Events)
		newer.Events = newer.Events[max(0, len(newer.Events)-maxEvents):]
	}
	return newer
}

// PutHot takes a record; it is on disk within the flush interval. It does not wait.
func (d *DB) PutHot(h Hot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hot[h.Node] = d.hot[h.Node].merge(h)
}

// dropHot forgets what waits of a node.
func (d *DB) dropHot(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.hot, node)
}

// putHots keeps the records of a group.
func (t *tx) putHots(all map[string]Hot) error {
	for _, h := range all {
		for _, e := range h.Events {
			if err := t.event(e); err != nil {
				return err
			}
		}
	}
	t.change.changedHot(all)
	if err := t.noteFacetChanges(all); err != nil {
		return err
	}
	return t.d.dialect.putHots(t, all)
}

// putSaid keeps what a record says beside that the node was heard of.
func (t *tx) putSaid(h Hot) error {
	if h.Doc != nil {
		if _, err := t.exec("INSERT INTO account (node, doc) VALUES (?, ?) ON CONFLICT (node) DO UPDATE SET doc = excluded.doc", h.Node, h.Doc); err != nil {
			return fmt.Errorf("keeping what %s said: %w", h.Node, err)
		}
	}
	if h.Facets == nil {
		return nil
	}
	if _, err := t.exec("DELETE FROM node_facet WHERE node = ? AND name NOT IN {items ?}", h.Node, string(jsonOf(keysOf(h.Facets)))); err != nil {
		return fmt.Errorf("keeping the traits of %s: %w", h.Node, err)
	}
	for name, digest := range h.Facets {
		if _, err := t.exec(`INSERT INTO node_facet (node, name, digest, since) VALUES (?, ?, ?, ?)
			ON CONFLICT (node, name) DO UPDATE SET digest = excluded.digest, since = excluded.since WHERE node_facet.digest <> excluded.digest`,
			h.Node, name, digest, nanos(h.Seen)); err != nil {
			return fmt.Errorf("keeping the traits of %s: %w", h.Node, err)
		}
	}
	return nil
}
