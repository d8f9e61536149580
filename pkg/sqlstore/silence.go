package sqlstore

import (
	"context"
	"fmt"

	"vigo.dev/pkg/report"
)

// A Turn is a node that fell silent, fell silent for longer, or is heard of again.
type Turn struct {
	Node     string
	Presence report.Presence // stale or missing; any other: it is heard of
	Event    report.Event    // tells of it; without a kind nothing does
}

// silent reports whether a node is kept as one that is not heard of.
func silent(p report.Presence) bool { return p == report.Stale || p == report.Missing }

// PutTurns keeps which nodes are silent, with the events that tell of it, and returns after that is on disk. A turn that is
// kept already is left alone with its event: each is told once, also when who told of it did not live to hear that it was
// kept. [ErrFollows] when this
// service does not lead, or not any more.
func (d *DB) PutTurns(ctx context.Context, turns []Turn) error {
	return d.commit(ctx, func(t *tx) error {
		if !t.leads() {
			return ErrFollows
		}
		for _, turn := range turns {
			fresh, err := t.turn(turn)
			if err != nil {
				return fmt.Errorf("keeping whether %s is heard of: %w", turn.Node, err)
			}
			if !fresh || turn.Event.Kind == "" {
				continue
			}
			if err := t.event(turn.Event); err != nil {
				return err
			}
		}
		return nil
	})
}

// turn reports whether it was not kept yet.
func (t *tx) turn(turn Turn) (fresh bool, err error) {
	query, args := "DELETE FROM silence WHERE node = ?", []any{turn.Node}
	if silent(turn.Presence) {
		query = "INSERT INTO silence (node, presence) VALUES (?, ?) ON CONFLICT (node) DO UPDATE SET presence = excluded.presence WHERE silence.presence <> excluded.presence"
		args = append(args, string(turn.Presence))
	}
	result, err := t.exec(query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Silences returns the nodes that are silent, as far as it was told.
func (d *DB) Silences(ctx context.Context) (map[string]report.Presence, error) {
	rows, err := d.query(ctx, "SELECT node, presence FROM silence")
	if err != nil {
		return nil, fmt.Errorf("reading which nodes are silent: %w", err)
	}
	defer rows.Close()
	all := map[string]report.Presence{}
	for rows.Next() {
		var node, presence string
		if err := rows.Scan(&node, &presence); err != nil {
			return nil, fmt.Errorf("reading which nodes are silent: %w", err)
		}
		all[node] = report.Presence(presence)
	}
	return all, rows.Err()
}

// silencesFromEvents is what the events of a store from before say.
const silencesFromEvents = `INSERT INTO silence (node, presence)
	SELECT node, CASE kind WHEN 'node.missing' THEN 'missing' ELSE 'stale' END FROM event e
	WHERE kind IN ('node.stale', 'node.missing', 'hub.dark') AND id = (SELECT max(id) FROM event WHERE node = e.node
	AND kind IN ('node.stale', 'node.missing', 'hub.dark', 'node.back', 'hub.back', 'node.enrolled', 'node.retired'));
`
