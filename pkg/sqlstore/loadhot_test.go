package sqlstore

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// What was kept of nodes in one table with their check-ins is found in its own.
func TestAccountsOfAnOlderStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.db")
	raw, err := sql.Open("sqlite", dsn(path, "rwc"))
	must(t, err)
	_, err = raw.ExecContext(t.Context(), sqliteMigrations()[0]+`PRAGMA user_version = 1;
		INSERT INTO hot VALUES ('web-1', 5, 7, 9, x'7b7d'), ('web-2', 6, 7, 2, x'')`)
	must(t, errors.Join(err, raw.Close()))
	hot, err := open(t, path).LoadHot(t.Context())
	must(t, err)
	if h := hot["web-1"]; len(hot) != 2 || string(h.Doc) != "{}" || h.Counter != 9 || h.Seen.UnixNano() != 5 || h.Told != 7 || hot["web-2"].Doc != nil {
		t.Errorf("%+v", hot)
	}
}

// A check-in without a document leaves the one that is kept, in the same group and in a later one.
func TestHotWithoutDocument(t *testing.T) { everyDatabase(t, testHotWithoutDocument) }

func testHotWithoutDocument(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	at := time.Unix(100, 0)
	d.PutHot(Hot{Node: "web-1", Seen: at, Counter: 1, Doc: []byte("one")})
	d.PutHot(Hot{Node: "web-1", Seen: at.Add(time.Second), Counter: 2})
	d.PutHot(Hot{Node: "web-2", Seen: at, Counter: 1})
	settle(t, d)
	d.PutHot(Hot{Node: "web-1", Seen: at.Add(2 * time.Second), Counter: 3})
	settle(t, d)
	hot, err := d.LoadHot(t.Context())
	must(t, err)
	if h := hot["web-1"]; string(h.Doc) != "one" || h.Counter != 3 || !h.Seen.Equal(at.Add(2*time.Second)) || len(hot["web-2"].Doc) != 0 || hot["web-2"].Counter != 1 {
		t.Errorf("%+v", hot)
	}
}
