package sqlstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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
	address := one.Database(t)
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

// one is the server of all tests; TestMain ends it.
var one postgres.Shared

func TestMain(m *testing.M) { os.Exit(one.Main(m)) }

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
