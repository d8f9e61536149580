package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// TestFailureIsAlone: an operation that fails takes nothing else of its group with it, and nothing of itself stays.
func TestFailureIsAlone(t *testing.T) { everyDatabase(t, testFailureIsAlone) }

func testFailureIsAlone(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	mine := errors.New("mine")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			err := d.commit(t.Context(), func(t *tx) error {
				if err := t.event(report.Event{At: noon, Kind: fmt.Sprint("kind-", i%2)}); err != nil {
					return err
				}
				if i%2 == 1 {
					return mine
				}
				return nil
			})
			if (i%2 == 1) != errors.Is(err, mine) || i%2 == 0 && err != nil {
				t.Errorf("operation %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	events, err := d.Events(t.Context(), "", 100)
	must(t, err)
	if len(events) != 20 || slices.ContainsFunc(events, func(e report.Event) bool { return e.Kind == "kind-1" }) {
		t.Errorf("kept %d events", len(events))
	}
}

// TestClosed refuses work, and says so.
func TestClosed(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "report.db"))
	must(t, d.Close())
	must(t, d.Close())
	if err := d.PutEvents(t.Context(), report.Event{Kind: "x"}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, filepath.Join(t.TempDir(), "b.db")).PutEvents(ctx, report.Event{Kind: "x"}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestNewer does not touch a file of a newer schema.
func TestNewer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.db")
	must(t, open(t, path).Close())
	raw, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = raw.Exec("PRAGMA user_version = 999")
	must(t, errors.Join(err, raw.Close()))
	_, err = Open(t.Context(), path, Options{})
	if !errors.Is(err, ErrNewer) || len(fault.Hints(err)) == 0 {
		t.Errorf("got %v, hints %q", err, fault.Hints(err))
	}
}

// TestDamaged says that the file is damaged, and what to do.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"not a store": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("hello\n", 2000)), 0o600) },
		"cut":         func(path string) error { return os.Truncate(path, 5000) },
		"zeros within": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 4096*4), 100)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "report.db")
			must(t, open(t, path).Close())
			must(t, damage(path))
			_, err := Open(t.Context(), path, Options{})
			if !errors.Is(err, ErrDamaged) || len(fault.Hints(err)) == 0 {
				t.Errorf("got %v, hints %q", err, fault.Hints(err))
			}
		})
	}
}

// TestFull says that the store cannot grow, keeps all it has acknowledged, and goes on when there is room again. The
// limit on pages is SQLite's own, and fails in the same places as a disk without room.
func TestFull(t *testing.T) {
	t.Parallel()
	d, again := freshFile(t)
	must(t, d.limitPages(t.Context(), 60))
	acknowledged := 0
	var err error
	for i := range 1000 {
		run := report.Run{ID: fmt.Sprintf("%04d", i), Node: "web-1", Error: strings.Repeat("x", 4000)}
		if err = d.PutRuns(t.Context(), "web-1", []report.Run{run}, noon); err != nil {
			break
		}
		acknowledged++
	}
	if !errors.Is(err, ErrFull) || len(fault.Hints(err)) == 0 || acknowledged == 0 {
		t.Fatalf("after %d runs: %v, hints %q", acknowledged, err, fault.Hints(err))
	}
	if err := d.Ping(t.Context()); !errors.Is(err, ErrFull) {
		t.Errorf("ready although nothing can be kept: %v", err)
	}
	d.PutHot(Hot{Node: "web-1", Seen: noon, Counter: 5, Doc: []byte(strings.Repeat("y", 20000))}) // waits for better times
	must(t, d.limitPages(t.Context(), 1<<20))
	settle(t, d)
	must(t, d.Ping(t.Context()))
	d = again()
	runs, err := d.Runs(t.Context(), "web-1", 1000, true)
	must(t, err)
	hot, err := d.LoadHot(t.Context())
	must(t, err)
	if len(runs) != acknowledged || hot["web-1"].Counter != 5 {
		t.Errorf("%d runs were acknowledged, %d are kept; counter %d", acknowledged, len(runs), hot["web-1"].Counter)
	}
}

// limitPages sets how many pages the file may have.
func (d *DB) limitPages(ctx context.Context, n int) error {
	var got int
	return d.conn.QueryRowContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", n)).Scan(&got)
}

// TestModes keeps the store for its owner, whatever the umask says.
func TestModes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.db")
	must(t, os.WriteFile(path, nil, 0o644))
	d := open(t, path)
	settle(t, d)
	files, err := filepath.Glob(path + "*")
	must(t, err)
	for _, file := range files {
		info, err := os.Stat(file)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", filepath.Base(file), info.Mode().Perm())
		}
	}
	if len(files) < 2 {
		t.Errorf("only %q: where is the log of the open store?", files)
	}
}
