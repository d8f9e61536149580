package sqlstore

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/test/postgres"
)

// TestDatabaseAway: while the database is gone, what has to be kept is refused with what to do, and what nodes say waits;
// when it is back, the store goes on by itself and nothing that was acknowledged is lost.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	server := postgres.For(t, "")
	address, err := server.Database(t.Context(), "vigo")
	must(t, err)
	d := openAt(t, address)
	for round := range 3 {
		id := fmt.Sprint("run-", round)
		must(t, d.PutRuns(t.Context(), "web-1", []report.Run{{ID: id, Node: "web-1"}}, noon))
		must(t, server.Kill())
		d.PutHot(Hot{Node: "web-1", Seen: noon, Counter: int64(10 + round), Doc: []byte("{}")})
		err := d.PutEvents(t.Context(), report.Event{At: noon, Kind: "lost"})
		if !errors.Is(err, ErrUnreachable) || len(fault.Hints(err)) == 0 {
			t.Errorf("round %d: without a database: %v", round, err)
		}
		if err := d.Ping(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("round %d: ready without a database: %v", round, err)
		}
		must(t, server.Start(t.Context()))
		eventually(t, func() error { return d.PutEvents(t.Context(), report.Event{At: noon, Kind: "back"}) })
		eventually(t, func() error { return d.Ping(t.Context()) })
	}
	runs, err := d.Runs(t.Context(), "web-1", 10, true)
	must(t, err)
	hot, err := d.LoadHot(t.Context())
	must(t, err)
	if len(runs) != 3 || hot["web-1"].Counter != 12 {
		t.Errorf("%d of 3 runs are kept, counter %d", len(runs), hot["web-1"].Counter)
	}
}

func eventually(t *testing.T, do func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // a pool finds out by itself that its connections are gone
	}
}

// TestTwoServices on one database take turns: the audit log is one chain, a token is used as often as it may be, and each
// sees what the other has kept.
func TestTwoServices(t *testing.T) {
	t.Parallel()
	address := one.Database(t)
	a, b := openAt(t, address), openAt(t, address)
	s := secretOf(t, a, identity.Grant{Uses: 10})
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for i := range 20 {
		d := []*DB{a, b}[i%2]
		wg.Go(func() {
			name := fmt.Sprint("web-", i)
			_, err := d.Enroll(t.Context(), s, Node{Name: name, Key: []byte(name), Enrolled: noon}, allow(name))
			if errors.Is(err, identity.ErrUsed) {
				mu.Lock()
				refused++
				mu.Unlock()
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	nodes, err := b.Nodes(t.Context())
	must(t, err)
	if refused != 10 || len(nodes) != 10 {
		t.Errorf("%d nodes, %d refused; the token has 10 uses", len(nodes), refused)
	}
	mark(t, b, noon)
	log := wholeLog(t, a)
	if problems := log.Verify(unsealed); len(problems) > 0 || len(log.Entries) != 11 {
		t.Errorf("%d audit entries: %v", len(log.Entries), problems)
	}
}
