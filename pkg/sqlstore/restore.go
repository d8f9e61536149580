package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// RestoredKey is the note of a store that was restored from a backup: a [Restored].
const RestoredKey = "restored"

// Restored is when a store was restored, and from what.
type Restored struct {
	At    time.Time `json:"at"`
	Taken time.Time `json:"taken"` // when the backup was
}

// Withdrawn is what a store says of who is not trusted any more: what an older one does not know.
type Withdrawn struct {
	retired   []retiredKey
	operators map[string]bool // IDs of the tokens and certificates that are left
}

type retiredKey struct {
	key  []byte
	node string
	at   int64
}

// WithdrawnIn reads the store in a file, of any version, and does not change it.
func WithdrawnIn(ctx context.Context, path string) (*Withdrawn, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("reading who is not trusted any more: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "ro", "busy_timeout(10000)", "query_only(1)"))
	if err != nil {
		return nil, err
	}
	w, err := readWithdrawn(ctx, db)
	return w, errors.Join(explainSQLite(err), db.Close())
}

// WithdrawnAt is [WithdrawnIn] of a PostgreSQL database; nil when there is no store in it.
func WithdrawnAt(ctx context.Context, address string) (*Withdrawn, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("reading the address of the database: %w", err)
	}
	db := stdlib.OpenDB(*c)
	var there bool
	err = db.QueryRowContext(ctx, "SELECT to_regclass('retired_key') IS NOT NULL").Scan(&there)
	if err != nil || !there {
		return nil, errors.Join(explainPostgres(err), db.Close())
	}
	w, err := readWithdrawn(ctx, db)
	return w, errors.Join(explainPostgres(err), db.Close())
}

func readWithdrawn(ctx context.Context, db *sql.DB) (*Withdrawn, error) {
	w := &Withdrawn{operators: map[string]bool{}}
	ids, err := column(db.QueryContext(ctx, "SELECT id FROM operator"))
	if err != nil {
		return nil, fmt.Errorf("reading the operators: %w", err)
	}
	for _, id := range ids {
		w.operators[id] = true
	}
	rows, err := db.QueryContext(ctx, "SELECT key, node, at FROM retired_key")
	if err != nil {
		return nil, fmt.Errorf("reading the retired keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k retiredKey
		if err := rows.Scan(&k.key, &k.node, &k.at); err != nil {
			return nil, fmt.Errorf("reading the retired keys: %w", err)
		}
		w.retired = append(w.retired, k)
	}
	return w, rows.Err()
}

// Taken is who a restored store does not let in although the backup would.
type Taken struct {
	Tokens    int      `json:"tokens"`              // enrolment tokens: how often each was used since, and whether it was revoked, is not known
	Logins    int      `json:"logins"`              // logins and sessions of browsers
	Operators []string `json:"operators,omitempty"` // names of those whose token or certificate the replaced store does not have
	Retired   []string `json:"retired,omitempty"`   // nodes that the replaced store has as retired
}

// MarkRestored keeps that this store was restored, and takes away what may have been taken away since the backup. Without
// the store that is replaced, since is nil: then who was retired or removed since is let in again.
func (d *DB) MarkRestored(ctx context.Context, r Restored, since *Withdrawn) (taken Taken, err error) {
	err = d.commit(ctx, func(t *tx) error {
		taken = Taken{}
		err := errors.Join(t.revokeTokens(&taken), t.endLogins(&taken))
		if err == nil && since != nil {
			err = errors.Join(t.removeOperators(since, &taken), t.retireAgain(since, &taken))
		}
		if err != nil {
			return err
		}
		if _, err := t.exec("INSERT INTO note (key, doc) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET doc = ?2", RestoredKey, jsonOf(r)); err != nil {
			return fmt.Errorf("keeping that the store was restored: %w", err)
		}
		detail := map[string]string{"backup": r.Taken.UTC().Format(time.RFC3339), "tokens revoked": fmt.Sprint(taken.Tokens), "logins ended": fmt.Sprint(taken.Logins),
			"operators removed": fmt.Sprint(len(taken.Operators)), "nodes retired": fmt.Sprint(len(taken.Retired))}
		e := audit.By(ctx, audit.Restored, "store", detail)
		if err := t.audit(e, r.At); err != nil {
			return err
		}
		return t.event(report.Event{At: r.At, Kind: "store.restored", Text: "from the backup of " + detail["backup"]})
	})
	return taken, err
}

func (t *tx) revokeTokens(taken *Taken) error {
	docs, err := column(t.rows("SELECT doc FROM token"))
	if err != nil {
		return fmt.Errorf("reading the tokens: %w", err)
	}
	for _, doc := range docs {
		g, err := parseGrant([]byte(doc))
		if err != nil {
			return err
		}
		if g.Revoked {
			continue
		}
		g.Revoked = true
		if _, err := t.exec("UPDATE token SET doc = ? WHERE id = ?", jsonOf(g), g.ID); err != nil {
			return fmt.Errorf("revoking token %s: %w", g.ID, err)
		}
		taken.Tokens++
	}
	return nil
}

func (t *tx) endLogins(taken *Taken) error {
	result, err := t.exec("DELETE FROM operator WHERE kind IN (?, ?)", KindLogin, KindSession)
	if err != nil {
		return fmt.Errorf("ending logins: %w", err)
	}
	n, err := result.RowsAffected()
	taken.Logins = int(n)
	return err
}

func (t *tx) removeOperators(since *Withdrawn, taken *Taken) error {
	ids, err := column(t.rows("SELECT id FROM operator ORDER BY name, id"))
	if err != nil {
		return fmt.Errorf("reading the operators: %w", err)
	}
	for _, id := range ids {
		if since.operators[id] {
			continue
		}
		var name string
		if err := t.row("DELETE FROM operator WHERE id = ? RETURNING name", id).Scan(&name); err != nil {
			return fmt.Errorf("removing the token %s: %w", id, err)
		}
		taken.Operators = append(taken.Operators, name)
	}
	return nil
}

func (t *tx) retireAgain(since *Withdrawn, taken *Taken) error {
	for _, k := range since.retired {
		if _, err := t.exec("INSERT INTO retired_key (key, node, at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING", k.key, k.node, k.at); err != nil {
			return fmt.Errorf("retiring %s: %w", k.node, err)
		}
		result, err := t.exec("UPDATE node SET retired = ? WHERE key = ? AND retired = 0", k.at, k.key)
		if err != nil {
			return fmt.Errorf("retiring %s: %w", k.node, err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n > 0 {
			taken.Retired = append(taken.Retired, k.node)
		}
	}
	return nil
}
