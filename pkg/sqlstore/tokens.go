package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// CreateToken keeps a grant with the hash of its secret.
func (d *DB) CreateToken(ctx context.Context, s identity.Secret, g identity.Grant) error {
	return d.commit(ctx, func(t *tx) error {
		if _, err := t.exec("INSERT INTO token (id, hash, created, doc) VALUES (?, ?, ?, ?)", g.ID, s.Hash(), nanos(g.Created), jsonOf(g)); err != nil {
			return fmt.Errorf("keeping token %s: %w", g.ID, err)
		}
		if err := t.audit(audit.By(ctx, audit.TokenCreated, g.ID, grantDetail(g)), g.Created); err != nil {
			return err
		}
		return t.event(report.Event{At: g.Created, Kind: "token.created", Text: g.ID})
	})
}

// grantDetail is what the audit log tells of a grant.
func grantDetail(g identity.Grant) map[string]string {
	detail := map[string]string{"names": g.Names, "channel": g.Channel, "uses": strconv.Itoa(g.Uses), "note": g.Note, "expires": "never"}
	if !g.Expires.IsZero() {
		detail["expires"] = g.Expires.UTC().Format(time.RFC3339)
	}
	for name, value := range g.Labels {
		detail["label "+name] = value
	}
	return detail
}

// grant finds the grant of a secret; identity.ErrToken whether the ID or the secret is wrong.
func (t *tx) grant(s identity.Secret) (identity.Grant, error) {
	var hash, doc []byte
	switch err := t.row("SELECT hash, doc FROM token WHERE id = ?", s.ID).Scan(&hash, &doc); {
	case errors.Is(err, sql.ErrNoRows):
		return identity.Grant{}, identity.ErrToken
	case err != nil:
		return identity.Grant{}, fmt.Errorf("reading token %s: %w", s.ID, err)
	}
	if !s.Matches(hash) {
		return identity.Grant{}, identity.ErrToken
	}
	return parseGrant(doc)
}

func parseGrant(doc []byte) (identity.Grant, error) {
	var g identity.Grant
	if err := json.Unmarshal(doc, &g); err != nil {
		return g, fmt.Errorf("reading a token: %w", err)
	}
	return g, nil
}

// Tokens lists the grants, newest first.
func (d *DB) Tokens(ctx context.Context) ([]identity.Grant, error) {
	rows, err := d.query(ctx, "SELECT doc FROM token ORDER BY created DESC, id")
	if err != nil {
		return nil, fmt.Errorf("reading the tokens: %w", err)
	}
	defer rows.Close()
	grants := []identity.Grant{}
	for rows.Next() {
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("reading the tokens: %w", err)
		}
		g, err := parseGrant(doc)
		if err != nil {
			return nil, err
		}
		grants = append(grants, g)
	}
	return grants, rows.Err()
}

// RevokeToken makes a token useless. [ErrNotFound].
func (d *DB) RevokeToken(ctx context.Context, id string, now time.Time) error {
	return d.commit(ctx, func(t *tx) error {
		var doc []byte
		switch err := t.row("SELECT doc FROM token WHERE id = ?", id).Scan(&doc); {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("token %s: %w", id, ErrNotFound)
		case err != nil:
			return fmt.Errorf("reading token %s: %w", id, err)
		}
		g, err := parseGrant(doc)
		if err != nil {
			return err
		}
		g.Revoked = true
		if _, err := t.exec("UPDATE token SET doc = ? WHERE id = ?", jsonOf(g), id); err != nil {
			return fmt.Errorf("revoking token %s: %w", id, err)
		}
		if err := t.audit(audit.By(ctx, audit.TokenRevoked, id, nil), now); err != nil {
			return err
		}
		return t.event(report.Event{At: now, Kind: "token.revoked", Text: id})
	})
}
