package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// KindCertificate is a client certificate of an operator. Its Hash is that of the public key.
const KindCertificate = "certificate"

// AddCertificate keeps a certificate of an operator, who must be there, [ErrNotFound]; with enlist, who must not be there,
// [ErrTaken], and is made. A key has one certificate, [ErrTaken].
func (d *DB) AddCertificate(ctx context.Context, o Operator, enlist *Operator) error {
	return d.commit(ctx, func(t *tx) error {
		there, err := t.found("SELECT 1 FROM operator WHERE name = ? AND kind = ?", o.Name, KindOperator)
		if err != nil {
			return fmt.Errorf("reading operator %s: %w", o.Name, err)
		}
		switch {
		case enlist == nil && !there:
			return fmt.Errorf("operator %s: %w", o.Name, ErrNotFound)
		case enlist != nil && there:
			return fmt.Errorf("operator %s: %w", o.Name, ErrTaken)
		}
		if taken, err := t.found("SELECT 1 FROM operator WHERE hash = ? AND kind = ?", o.Hash, KindCertificate); err != nil || taken {
			return fmt.Errorf("the key of a certificate of %s: %w", o.Name, errors.Join(err, ErrTaken))
		}
		if enlist != nil {
			if err := t.enlist(ctx, *enlist); err != nil {
				return err
			}
		}
		if err := t.insertOperator(o); err != nil {
			return err
		}
		return t.audit(audit.By(ctx, audit.AccessCreated, o.Name, certificateDetail(o)), o.Created)
	})
}

// enlist makes an operator whose token nobody has.
func (t *tx) enlist(ctx context.Context, o Operator) error {
	if err := t.insertOperator(o); err != nil {
		return err
	}
	if err := t.audit(audit.By(ctx, audit.OperatorAdded, o.Name, map[string]string{"role": string(o.Role)}), o.Created); err != nil {
		return err
	}
	return t.event(report.Event{At: o.Created, Kind: "operator.added", Text: o.Name + " as " + string(o.Role)})
}

// RenewCertificate keeps that a certificate was issued anew for its key. [ErrNotFound] when it was revoked meanwhile.
func (d *DB) RenewCertificate(ctx context.Context, o Operator) error {
	return d.commit(ctx, func(t *tx) error {
		result, err := t.exec("UPDATE operator SET created = ?, expires = ? WHERE id = ? AND kind = ?", nanos(o.Created), nanos(o.Expires), o.ID, KindCertificate)
		if err != nil {
			return fmt.Errorf("renewing certificate %s: %w", o.ID, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("certificate %s: %w", o.ID, errors.Join(ErrNotFound, err))
		}
		t.change.Operators = true
		return t.audit(audit.By(ctx, audit.AccessRenewed, o.Name, certificateDetail(o)), o.Created)
	})
}

func certificateDetail(o Operator) map[string]string {
	return map[string]string{"certificate": o.ID, "role": string(o.Role), "note": o.Note, "expires": o.Expires.UTC().Format(time.RFC3339)}
}

// found reports whether a query has a row.
func (t *tx) found(query string, args ...any) (bool, error) {
	var one int
	err := t.row(query, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
