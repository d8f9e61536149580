package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/report"
)

// LeaseChange is what becomes of the lease of a node.
type LeaseChange struct {
	Put    *lease.Lease // is kept; nil: nothing is
	Drop   bool         // is forgotten
	Events []report.Event
	Acts   []audit.Entry
}

// Leases reads the leases of all nodes, by node.
func (d *DB) Leases(ctx context.Context) ([]lease.Lease, error) {
	rows, err := d.query(ctx, "SELECT doc FROM lease ORDER BY node")
	if err != nil {
		return nil, fmt.Errorf("reading the leases: %w", d.dialect.explain(err))
	}
	return leasesIn(rows)
}

// ChangeLease decides about the lease of a node by what is kept of it, nil if nothing is, and by the leases of a group that take a
// place. Nobody else changes a lease meanwhile, in this service or another; when it returns nil, what was decided is on disk.
func (d *DB) ChangeLease(ctx context.Context, node, group string, now time.Time, decide func(own *lease.Lease, held []lease.Lease) LeaseChange) error {
	return d.commit(ctx, func(t *tx) error {
		rows, err := t.rows("SELECT doc FROM lease WHERE node = ?1 OR (grp = ?2 AND held <> 0) ORDER BY node", node, group)
		if err != nil {
			return fmt.Errorf("reading the leases of %s: %w", group, err)
		}
		known, err := leasesIn(rows)
		if err != nil {
			return err
		}
		var own *lease.Lease
		var held []lease.Lease
		for i, l := range known {
			if l.Node == node {
				own = &known[i]
			}
			if l.Held() && l.Group == group {
				held = append(held, l)
			}
		}
		return t.changeLease(node, decide(own, held), now)
	})
}

func (t *tx) changeLease(node string, c LeaseChange, now time.Time) error {
	switch {
	case c.Drop:
		if _, err := t.exec("DELETE FROM lease WHERE node = ?", node); err != nil {
			return fmt.Errorf("forgetting the lease of %s: %w", node, err)
		}
	case c.Put != nil:
		doc, err := json.Marshal(c.Put)
		if err != nil {
			return fmt.Errorf("keeping the lease of %s: %w", node, err)
		}
		held := 0
		if c.Put.Held() {
			held = 1
		}
		if _, err := t.exec("INSERT INTO lease (node, grp, held, doc) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (node) DO UPDATE SET grp = ?2, held = ?3, doc = ?4",
			node, c.Put.Group, held, doc); err != nil {
			return fmt.Errorf("keeping the lease of %s: %w", node, err)
		}
	}
	for _, e := range c.Events {
		if err := t.event(e); err != nil {
			return err
		}
	}
	for _, a := range c.Acts {
		if err := t.audit(a, now); err != nil {
			return err
		}
	}
	return nil
}

func leasesIn(rows *sql.Rows) ([]lease.Lease, error) {
	defer rows.Close()
	var list []lease.Lease
	for rows.Next() {
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("reading the leases: %w", err)
		}
		var l lease.Lease
		if err := json.Unmarshal(doc, &l); err != nil {
			return nil, fmt.Errorf("reading the leases: %w", err)
		}
		list = append(list, l)
	}
	return list, rows.Err()
}
