package reporting

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// TestRestored: a service that goes on from an older state does not take a request twice that it has forgotten, calls nobody
// stale for the time it has forgotten, and asks for what it lacks.
func TestRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	say := func(seq int64, facets map[string]string) report.Answer {
		t.Helper()
		must(t, r.Accept("web-1", seq))
		return r.checkIn(t, report.CheckIn{Node: "web-1", Seq: seq, Agent: "1", Channel: "stable", Facets: facets})
	}
	say(1, nil)
	must(t, r.markAlive(t.Context()))
	backup := filepath.Join(t.TempDir(), "backup.db")
	must(t, sqlstore.SnapshotFile(t.Context(), r.path, backup))
	r.pass(half)
	say(2, map[string]string{"os": older})
	replayed := identity.Stamp{KeyID: "web-1", Counter: 2, Created: r.Now()}
	r.join(t, "web-2")
	must(t, r.DB.Close())

	r.pass(time.Hour)
	db, err := sqlstore.Open(t.Context(), backup, sqlstore.Options{})
	must(t, err)
	_, err = db.MarkRestored(t.Context(), sqlstore.Restored{At: r.Now(), Taken: noon}, nil)
	must(t, errors.Join(err, db.Close()))
	r.path = backup
	r.start(t)

	if err := identity.FreshRelayed(replayed, r.Service, replayed.Created, r.Now(), false); !errors.Is(err, identity.ErrReplay) {
		t.Errorf("a request that was answered after the backup: %v", err)
	}
	must(t, identity.Fresh(identity.Stamp{KeyID: "web-1", Counter: 3, Created: r.Now()}, r.Service, r.Now()))
	if _, err := r.NodeKey("web-2"); !errors.Is(err, api.ErrUnknownNode) {
		t.Errorf("who enrolled after the backup: %v", err)
	}
	if at := r.node(t, "web-1").Presence; at == report.Stale || at == report.Missing {
		t.Errorf("nobody listened for an hour, and web-1 is %s", at)
	}
	if answer := say(4, map[string]string{"os": older}); len(answer.Need) != 1 {
		t.Errorf("it asks for %q", answer.Need)
	}
}
