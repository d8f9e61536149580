package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vigo.dev/test/postgres"
)

// An opener opens a store of its own; again closes it and opens it anew.
type opener func(t *testing.T) (d *DB, again func() *DB)

// everyDatabase runs a test over each database that a store can be in.
func everyDatabase(t *testing.T, test func(t *testing.T, fresh opener)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, freshFile)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, freshDatabase)
	})
}

func freshFile(t *testing.T) (d *DB, again func() *DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.db")
	return reopened(t, func() *DB { return open(t, path) })
}

func freshDatabase(t *testing.T) (d *DB, again func() *DB) {
	t.Helper()
	address := database(t)
	return reopened(t, func() *DB { return openAt(t, address) })
}

func reopened(t *testing.T, open func() *DB) (d *DB, again func() *DB) {
	t.Helper()
	d = open()
	return d, func() *DB {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		return open()
	}
}

func openAt(t *testing.T, address string) *DB {
	t.Helper()
	d, err := OpenPostgres(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// database makes an empty database on the server of these tests. Without PostgreSQL the test is skipped, unless VIGO_POSTGRES=1
// says that it is to be there.
func database(t *testing.T) string {
	t.Helper()
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.server == nil && one.err == nil {
		one.server, one.err = postgres.New(context.Background(), os.TempDir())
	}
	if errors.Is(one.err, postgres.ErrNone) && os.Getenv("VIGO_POSTGRES") == "" {
		t.Skip(one.err)
	}
	must(t, one.err)
	one.made++
	address, err := one.server.Database(t.Context(), fmt.Sprintf("test%d", one.made))
	must(t, err)
	return address
}

// one is the server of all tests; TestMain ends it.
var one struct {
	mu     sync.Mutex
	server *postgres.Server
	err    error
	made   int
}

func TestMain(m *testing.M) {
	code := m.Run()
	if one.server != nil {
		if err := one.server.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// TestAddress: what is wrong with the address of a database is said without its password.
func TestAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://vigo:hunter2@127.0.0.1:1/vigo?connect_timeout=1", "postgres://vigo:hunter2@[::1/vigo"} {
		_, err := OpenPostgres(t.Context(), address, Options{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	_, err := OpenPostgres(t.Context(), "postgres://vigo@127.0.0.1:1/vigo?connect_timeout=1", Options{})
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody listens there: %v", err)
	}
}
