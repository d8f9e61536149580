package sqlstore

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// The kinds of tokens that people and programs hold.
const (
	KindOperator = "operator" // what an operator is: there is one for each name
	KindToken    = "token"    // a further one of an operator
	KindLogin    = "login"    // of somebody an identity provider vouches for, for some hours
	KindSession  = "session"  // of a browser; its note is the ID of the token it was opened with, and it ends with that
)

// An Operator is the holder of a token for people and programs.
type Operator struct {
	ID      string
	Hash    []byte // of the secret
	Name    string
	Role    identity.Role
	Kind    string // "": KindOperator
	Note    string
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // zero: never
}

// Matches compares the secret with the kept hash in constant time.
func (o Operator) Matches(s identity.Secret) bool {
	return subtle.ConstantTimeCompare(s.Hash(), o.Hash) == 1
}

// PutOperator keeps an operator; one of the same name is replaced, so none of its old tokens works.
func (d *DB) PutOperator(ctx context.Context, o Operator, now time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		act, detail := audit.OperatorAdded, map[string]string{"role": string(o.Role), "token": o.ID}
		var before string
		switch err := t.row("SELECT role FROM operator WHERE name = ? AND kind = ?", o.Name, KindOperator).Scan(&before); {
		case err == nil:
			act, detail["before"] = audit.OperatorChanged, before
		case !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("reading operator %s: %w", o.Name, err)
		}
		if _, err := t.exec("DELETE FROM operator WHERE name = ?", o.Name); err != nil {
			return fmt.Errorf("keeping operator %s: %w", o.Name, err)
		}
		o.Kind, o.Created = KindOperator, now
		if err := t.insertOperator(o); err != nil {
			return err
		}
		if err := t.audit(audit.By(ctx, act, o.Name, detail), now); err != nil {
			return err
		}
		return t.event(report.Event{At: now, Kind: "operator.added", Text: o.Name + " as " + string(o.Role)})
	})
}

func (t *tx) insertOperator(o Operator) error {
	t.change.Operators = true
	if _, err := t.exec("INSERT INTO operator (id, hash, name, role, kind, note, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		o.ID, o.Hash, o.Name, string(o.Role), o.Kind, o.Note, nanos(o.Created), nanos(o.Expires)); err != nil {
		return fmt.Errorf("keeping operator %s: %w", o.Name, err)
	}
	return nil
}

// AddToken keeps a further token of an operator, or a login; the operator must still be there, [ErrNotFound].
func (d *DB) AddToken(ctx context.Context, o Operator) error {
	return d.commit(ctx, func(t *tx) error {
		act := audit.LoggedIn
		if o.Kind == KindToken {
			act = audit.AccessCreated
			var one int
			switch err := t.row("SELECT 1 FROM operator WHERE name = ? AND kind = ?", o.Name, KindOperator).Scan(&one); {
			case errors.Is(err, sql.ErrNoRows):
				return fmt.Errorf("operator %s: %w", o.Name, ErrNotFound)
			case err != nil:
				return fmt.Errorf("reading operator %s: %w", o.Name, err)
			}
		}
		if err := t.insertOperator(o); err != nil {
			return err
		}
		detail := map[string]string{"token": o.ID, "role": string(o.Role), "note": o.Note, "expires": "never"}
		if !o.Expires.IsZero() {
			detail["expires"] = o.Expires.UTC().Format(time.RFC3339)
		}
		e := audit.By(ctx, act, o.Name, detail)
		if o.Kind == KindLogin { // the provider has proved it
			e.Actor, e.Role = o.Name, string(o.Role)
		}
		return t.audit(e, o.Created)
	})
}

// RevokeAccess makes a further token or a login useless. [ErrNotFound]; also for the token an operator is made of.
func (d *DB) RevokeAccess(ctx context.Context, id string, now time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		var name, kind string
		switch err := t.row("SELECT name, kind FROM operator WHERE id = ?", id).Scan(&name, &kind); {
		case errors.Is(err, sql.ErrNoRows) || err == nil && kind == KindOperator:
			return fmt.Errorf("token %s: %w", id, ErrNotFound)
		case err != nil:
			return fmt.Errorf("reading token %s: %w", id, err)
		}
		if _, err := t.exec("DELETE FROM operator WHERE id = ?", id); err != nil {
			return fmt.Errorf("revoking token %s: %w", id, err)
		}
		t.change.Operators = true
		return t.audit(audit.By(ctx, audit.AccessRevoked, name, map[string]string{"token": id, "kind": kind}), now)
	})
}

// PutUses keeps when tokens were last used.
func (d *DB) PutUses(ctx context.Context, uses map[string]time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		t.change.Operators = true
		for id, at := range uses {
			if _, err := t.exec("UPDATE operator SET used = ? WHERE id = ?", nanos(at), id); err != nil {
				return fmt.Errorf("keeping when token %s was used: %w", id, err)
			}
		}
		return nil
	})
}

// PruneAccess forgets tokens that have expired before a time.
func (d *DB) PruneAccess(ctx context.Context, before time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		t.change.Operators = true
		_, err := t.exec("DELETE FROM operator WHERE expires > 0 AND expires < ?", nanos(before))
		return err
	})
}

// RemoveOperator makes all tokens of an operator useless. [ErrNotFound].
func (d *DB) RemoveOperator(ctx context.Context, name string, now time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		result, err := t.exec("DELETE FROM operator WHERE name = ?", name)
		if err != nil {
			return fmt.Errorf("removing operator %s: %w", name, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("operator %s: %w", name, errors.Join(ErrNotFound, err))
		}
		t.change.Operators = true
		if err := t.audit(audit.By(ctx, audit.OperatorRemoved, name, nil), now); err != nil {
			return err
		}
		return t.event(report.Event{At: now, Kind: "operator.removed", Text: name})
	})
}

// Operators returns all tokens of all operators, also logins and those that have expired.
func (d *DB) Operators(ctx context.Context) ([]Operator, error) {
	rows, err := d.query(ctx, "SELECT id, hash, name, role, kind, note, created, expires, used FROM operator")
	if err != nil {
		return nil, fmt.Errorf("reading the operators: %w", err)
	}
	defer rows.Close()
	all := []Operator{}
	for rows.Next() {
		var o Operator
		var created, expires, used int64
		if err := rows.Scan(&o.ID, &o.Hash, &o.Name, &o.Role, &o.Kind, &o.Note, &created, &expires, &used); err != nil {
			return nil, fmt.Errorf("reading the operators: %w", err)
		}
		o.Created, o.Expires, o.Used = timeOf(created), timeOf(expires), timeOf(used)
		all = append(all, o)
	}
	return all, rows.Err()
}
