package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// sqliteMigrations brings a file from version i to i+1; the version is PRAGMA user_version. They are never changed, only added
// to. Times are nanoseconds since 1970; doc columns are JSON.
func sqliteMigrations() []string {
	return []string{`
CREATE TABLE node (
	name TEXT PRIMARY KEY, key BLOB NOT NULL, retired INTEGER NOT NULL DEFAULT 0, doc BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE retired_key (key BLOB PRIMARY KEY, node TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE hot (
	node TEXT PRIMARY KEY, seen INTEGER NOT NULL, told INTEGER NOT NULL, counter INTEGER NOT NULL, doc BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE token (id TEXT PRIMARY KEY, hash BLOB NOT NULL, created INTEGER NOT NULL, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE operator (id TEXT PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
	node TEXT NOT NULL, id TEXT NOT NULL, received INTEGER NOT NULL, quiet INTEGER NOT NULL, compliance TEXT NOT NULL, doc BLOB NOT NULL,
	PRIMARY KEY (node, id)
) WITHOUT ROWID;
CREATE INDEX run_received ON run (node, received);
CREATE TABLE facet (digest TEXT PRIMARY KEY, at INTEGER NOT NULL, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE node_facet (
	node TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (node, name)
) WITHOUT ROWID;
CREATE INDEX node_facet_digest ON node_facet (digest);
CREATE TABLE event (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX event_node ON event (node, id);
CREATE INDEX event_at ON event (at);
CREATE TABLE note (key TEXT PRIMARY KEY, doc BLOB NOT NULL) WITHOUT ROWID;
`, `
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL, act TEXT NOT NULL, object TEXT NOT NULL,
	detail BLOB, address TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE TABLE audit_checkpoint (
	seq INTEGER NOT NULL, at INTEGER NOT NULL, start INTEGER NOT NULL, doc BLOB NOT NULL, PRIMARY KEY (seq, start)
) WITHOUT ROWID;
`, `
ALTER TABLE operator ADD COLUMN kind TEXT NOT NULL DEFAULT 'operator';
ALTER TABLE operator ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE operator ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operator ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operator ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
CREATE INDEX operator_name ON operator (name);
`, `
CREATE TABLE silence (node TEXT PRIMARY KEY, presence TEXT NOT NULL) WITHOUT ROWID;
` + silencesFromEvents, `
CREATE TABLE alert (key TEXT PRIMARY KEY, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
	receiver TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL, died INTEGER NOT NULL,
	error TEXT NOT NULL, doc BLOB NOT NULL, PRIMARY KEY (receiver, id)
) WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (receiver, died, at);
`, `
CREATE TABLE account (node TEXT PRIMARY KEY, doc BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO account (node, doc) SELECT node, doc FROM hot WHERE length(doc) > 0;
ALTER TABLE hot DROP COLUMN doc;
`, `
CREATE TABLE history (
	id INTEGER PRIMARY KEY, at INTEGER NOT NULL, node TEXT NOT NULL, module TEXT NOT NULL, subject TEXT NOT NULL, outcome TEXT NOT NULL, run TEXT NOT NULL
);
CREATE INDEX history_node ON history (node, at);
CREATE INDEX history_subject ON history (subject, at);
CREATE INDEX history_at ON history (at);
CREATE TABLE trait_history (
	id INTEGER PRIMARY KEY, at INTEGER NOT NULL, node TEXT NOT NULL, trait TEXT NOT NULL, outcome TEXT NOT NULL, doc BLOB NOT NULL
);
CREATE INDEX trait_history_node ON trait_history (node, at);
CREATE INDEX trait_history_at ON trait_history (at);
CREATE TABLE facet_change (
	id INTEGER PRIMARY KEY, at INTEGER NOT NULL, node TEXT NOT NULL, trait TEXT NOT NULL, was TEXT NOT NULL, became TEXT NOT NULL
);
CREATE INDEX run_at ON run (quiet, received);
CREATE INDEX facet_at ON facet (at);
`, `
CREATE TABLE rollout (channel TEXT NOT NULL, key TEXT NOT NULL, doc BLOB NOT NULL, PRIMARY KEY (channel, key)) WITHOUT ROWID;
`, `
CREATE TABLE heard (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, doc BLOB NOT NULL);
`, `
CREATE TABLE lease (node TEXT PRIMARY KEY, grp TEXT NOT NULL, held INTEGER NOT NULL, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX lease_group ON lease (grp, held);
`}
}

func migrateSQLite(ctx context.Context, conn *sql.Conn) error {
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	migrations := sqliteMigrations()
	if err := known(version, len(migrations)); err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE;%s;PRAGMA user_version = %d;COMMIT", migrations[version], version+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			return fmt.Errorf("bringing the schema to version %d: %w", version+1, err)
		}
	}
	return nil
}

// known refuses a schema that this program is too old for.
func known(version, mine int) error {
	if version > mine {
		return fmt.Errorf("schema %d, this program knows %d: %w", version, mine, ErrNewer)
	}
	return nil
}
