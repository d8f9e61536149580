package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// The reasons why an enrolment is refused.
var (
	ErrTaken      = errors.New("a node of this name is enrolled with another key")
	ErrKeyRetired = errors.New("the key belongs to a retired node")
)

// A Node is an enrolled machine: what does not change with check-ins.
type Node struct {
	Name        string            `json:"-"`
	Key         []byte            `json:"-"` // Ed25519 public key
	Retired     time.Time         `json:"-"` // zero: active
	Channel     string            `json:"channel"`
	Labels      map[string]string `json:"labels,omitempty"`
	Token       string            `json:"token"` // ID of the token
	Enrolled    time.Time         `json:"enrolled"`
	CertExpires time.Time         `json:"certExpires"`
	Hub         bool              `json:"hub,omitempty"` // it relays for others
	// RetireAfter is how long it may not be heard of before it is retired, as its token said; 0: that says nothing of it.
	RetireAfter time.Duration `json:"retireAfter,omitempty"`
}

// MayEnroll says whether [DB.Enroll] would keep a node now, and what its token allows. It changes nothing.
func (d *DB) MayEnroll(ctx context.Context, s identity.Secret, n Node, allow func(identity.Grant) error) (grant identity.Grant, err error) {
	err = d.commit(ctx, func(t *tx) error {
		if grant, err = t.grant(s); err != nil {
			return err
		}
		old, err := t.enrolledBefore(n)
		if err != nil {
			return err
		}
		asked := grant
		if old.Token == grant.ID {
			asked.Used--
		}
		return allow(asked)
	})
	return grant, err
}

// Enroll uses a token once to keep a node. allow is asked with the grant as it is in this very moment; what
// the grant says of the node is taken from it. A node that is there already with the same key and token is answered
// again without using the token up: its first answer was lost. [identity.ErrToken], [ErrTaken], [ErrKeyRetired], or what
// allow returns.
func (d *DB) Enroll(ctx context.Context, s identity.Secret, n Node, allow func(identity.Grant) error) (Node, error) {
	err := d.commit(ctx, func(t *tx) error {
		grant, err := t.grant(s)
		if err != nil {
			return err
		}
		n.Channel, n.Labels, n.Token, n.RetireAfter = grant.Channel, grant.Labels, grant.ID, grant.RetireAfter
		old, err := t.enrolledBefore(n)
		if err != nil {
			return err
		}
		if old.Token == n.Token {
			grant.Used--
		}
		if err := allow(grant); err != nil {
			return err
		}
		grant.Used++
		if _, err := t.exec("UPDATE token SET doc = ? WHERE id = ?", jsonOf(grant), grant.ID); err != nil {
			return fmt.Errorf("using token %s: %w", grant.ID, err)
		}
		if old.Key == nil { // what a retired machine of this name said, and how far it counted, is not of this one
			if err := t.forgetHot([]string{n.Name}); err != nil {
				return fmt.Errorf("forgetting the old %s: %w", n.Name, err)
			}
		}
		if _, err := t.exec("INSERT INTO node (name, key, retired, doc) VALUES (?1, ?2, 0, ?3) ON CONFLICT (name) DO UPDATE SET key = ?2, retired = 0, doc = ?3", n.Name, n.Key, jsonOf(n)); err != nil {
			return fmt.Errorf("keeping node %s: %w", n.Name, err)
		}
		if err := t.audit(enrolment(ctx, n, old.Key != nil), n.Enrolled); err != nil {
			return err
		}
		t.change.Nodes = append(t.change.Nodes, n.Name)
		return t.event(report.Event{At: n.Enrolled, Node: n.Name, Kind: "node.enrolled", Text: "with token " + grant.ID})
	})
	return n, err
}

// certified is what the audit log tells of a certificate that a node is given.
func certified(ctx context.Context, act string, n Node) audit.Entry {
	e := audit.By(ctx, act, n.Name, map[string]string{"key": identity.KeyID(n.Key), "certificate until": n.CertExpires.UTC().Format(time.RFC3339)})
	e.Actor, e.Role = n.Name, string(identity.RoleNode) // token or signature have proved it
	return e
}

func enrolment(ctx context.Context, n Node, again bool) audit.Entry {
	e := certified(ctx, audit.NodeEnrolled, n)
	e.Detail["token"], e.Detail["channel"] = n.Token, n.Channel
	if again {
		e.Detail["again"] = "the first answer was lost"
	}
	return e
}

// forgetHot forgets what nodes said last.
func (t *tx) forgetHot(names []string) error {
	for _, name := range names {
		t.d.dropHot(name)
	}
	for _, table := range []string{"hot", "account", "node_facet", "silence"} {
		if _, err := t.exec("DELETE FROM "+table+" WHERE node IN {items ?}", string(jsonOf(names))); err != nil {
			return err
		}
	}
	if t.d.dialect.logs {
		return t.forgetHeard(names)
	}
	return nil
}

// enrolledBefore returns the active node of this name and key; the zero Node when there is none.
func (t *tx) enrolledBefore(n Node) (Node, error) {
	var one int
	switch err := t.row("SELECT 1 FROM retired_key WHERE key = ?", n.Key).Scan(&one); {
	case err == nil:
		return Node{}, ErrKeyRetired
	case !errors.Is(err, sql.ErrNoRows):
		return Node{}, fmt.Errorf("looking for a retired key: %w", err)
	}
	old, err := scanNode(t.row("SELECT name, key, retired, doc FROM node WHERE name = ?", n.Name))
	switch {
	case errors.Is(err, ErrNotFound):
		return Node{}, nil
	case err != nil:
		return Node{}, err
	case !old.Retired.IsZero():
		return Node{}, nil
	case !bytes.Equal(old.Key, n.Key):
		return Node{}, ErrTaken
	}
	return old, nil
}

// PutNode replaces what is kept of a node beside its key. A key that enrolled since under the name is left alone.
func (d *DB) PutNode(ctx context.Context, n Node, e report.Event) error {
	return d.commit(ctx, func(t *tx) error {
		if _, err := t.exec("UPDATE node SET doc = ? WHERE name = ? AND key = ?", jsonOf(n), n.Name, n.Key); err != nil {
			return fmt.Errorf("keeping node %s: %w", n.Name, err)
		}
		if e.Kind == audit.NodeRenewed {
			if err := t.audit(certified(ctx, audit.NodeRenewed, n), e.At); err != nil {
				return err
			}
		}
		t.change.Nodes = append(t.change.Nodes, n.Name)
		return t.event(e)
	})
}

// Retire ends a node: its key never enrols again, its name may with another key. why is for people; "": they know. [ErrNotFound].
func (d *DB) Retire(ctx context.Context, name, why string, now time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		n, err := scanNode(t.row("SELECT name, key, retired, doc FROM node WHERE name = ?", name))
		if err != nil {
			return err
		}
		if _, err := t.exec("UPDATE node SET retired = ? WHERE name = ?", nanos(now), name); err != nil {
			return fmt.Errorf("retiring %s: %w", name, err)
		}
		if _, err := t.exec("DELETE FROM silence WHERE node = ?", name); err != nil {
			return fmt.Errorf("retiring %s: %w", name, err)
		}
		if _, err := t.exec("INSERT INTO retired_key (key, node, at) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET node = ?2, at = ?3", n.Key, name, nanos(now)); err != nil {
			return fmt.Errorf("retiring %s: %w", name, err)
		}
		detail := map[string]string{"key": identity.KeyID(n.Key)}
		if why != "" {
			detail["why"] = why
		}
		if err := t.audit(audit.By(ctx, audit.NodeRetired, name, detail), now); err != nil {
			return err
		}
		t.change.Nodes = append(t.change.Nodes, name)
		return t.event(report.Event{At: now, Node: name, Kind: "node.retired", Text: why})
	})
}

// Nodes returns all nodes, retired ones too.
func (d *DB) Nodes(ctx context.Context) ([]Node, error) { return d.nodes(ctx, "") }

// NodesNamed returns the nodes with these names, retired ones too; those that are not there are left out.
func (d *DB) NodesNamed(ctx context.Context, names []string) ([]Node, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return d.nodes(ctx, " WHERE name IN {items ?}", string(jsonOf(names)))
}

func (d *DB) nodes(ctx context.Context, where string, args ...any) ([]Node, error) {
	rows, err := d.query(ctx, "SELECT name, key, retired, doc FROM node"+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the nodes: %w", err)
	}
	defer rows.Close()
	var nodes []Node
	for rows.Next() {
		n, err := scanNode(rows)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, rows.Err()
}

func scanNode(row interface{ Scan(...any) error }) (Node, error) {
	var n Node
	var name string
	var key, doc []byte
	var retired int64
	switch err := row.Scan(&name, &key, &retired, &doc); {
	case errors.Is(err, sql.ErrNoRows):
		return n, fmt.Errorf("node: %w", ErrNotFound)
	case err != nil:
		return n, fmt.Errorf("reading a node: %w", err)
	}
	if err := json.Unmarshal(doc, &n); err != nil {
		return n, fmt.Errorf("reading node %s: %w", name, err)
	}
	n.Name, n.Key, n.Retired = name, key, timeOf(retired)
	return n, nil
}
