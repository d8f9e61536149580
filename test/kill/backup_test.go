package kill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/test/programs"
)

// TestKillBackup kills a backup at random moments: its file is the old one, or the new one whole, and what it left beside it
// is gone after the next.
func TestKillBackup(t *testing.T) {
	t.Parallel()
	random, data := programs.Chance(t), serviceData(t, 400)
	dir := t.TempDir()
	file := filepath.Join(dir, "safe")
	backup := []string{"report", "backup", "--data", data, "--force", file}
	run(t, nil, "vigo", backup...) // also builds the program
	began := time.Now()
	run(t, nil, "vigo", backup...)
	whole, kills := time.Since(began), 0
	for range programs.Rounds(t) {
		if start(t, nil, "vigo", backup...).killed(time.Duration(random.Int64N(int64(whole) * 11 / 10))) {
			kills++
		}
		run(t, nil, "vigo", "report", "restore", "--verify", file)
	}
	t.Logf("a backup takes %s; %d of %d were killed before their end", whole, kills, programs.Rounds(t))
	run(t, nil, "vigo", backup...)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v: %v", entries, err)
	}
}

// TestKillRestore kills a restore at random moments: the store is the old one or that of the backup, whole, unless the data
// folder says that the restore has to be done again; then no service starts with it, and doing it again mends it.
func TestKillRestore(t *testing.T) {
	t.Parallel()
	random, data := programs.Chance(t), serviceData(t, 400)
	file := filepath.Join(t.TempDir(), "safe")
	run(t, nil, "vigo", "report", "backup", "--data", data, file)
	restore := []string{"report", "restore", "--data", data, "--force", file}
	addNodes(t, data, 400, 500)
	began := time.Now()
	run(t, nil, "vigo", restore...)
	whole, kills, half := time.Since(began), 0, 0
	for round := range programs.Rounds(t) {
		addNodes(t, data, 500, 510)
		p := start(t, nil, "vigo", restore...)
		if ready := filepath.Join(data, "restoring", "ready"); round%2 == 1 && p.killedOnce(ready, time.Duration(random.Int64N(int64(10*time.Millisecond)))) ||
			round%2 == 0 && p.killed(time.Duration(random.Int64N(int64(whole)*11/10))) {
			kills++
		}
		if _, err := os.Lstat(filepath.Join(data, "restoring", "ready")); err == nil {
			half++
			wantNoService(t, data)
			run(t, nil, "vigo", restore...)
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if n := nodesIn(t, data); n != 400 && n != 410 {
			t.Errorf("round %d: %d nodes", round, n)
		}
		run(t, nil, "vigo", restore...)
		if n := nodesIn(t, data); n != 400 {
			t.Errorf("round %d: %d nodes after it was done again", round, n)
		}
		removeReplaced(t, data)
	}
	t.Logf("a restore takes %s; %d of %d were killed before their end, %d of them half way", whole, kills, programs.Rounds(t), half)
}

// killedOnce kills a program a while after a file is there, and says whether it did so before its end.
func (p *process) killedOnce(file string, after time.Duration) bool {
	ended := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := os.Lstat(file); err == nil {
				time.AfterFunc(after, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
				return
			}
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	}()
	defer close(ended)
	return p.killed(patience)
}

// serviceData makes the data folder of a service that knows some nodes.
func serviceData(t *testing.T, nodes int) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if _, err := identity.OpenCA(filepath.Join(data, "ca"), "acme", time.Now()); err != nil {
		t.Fatal(err)
	}
	addNodes(t, data, 0, nodes)
	return data
}

func addNodes(t *testing.T, data string, from, to int) {
	t.Helper()
	withStore(t, data, func(ctx context.Context, d *sqlstore.DB) error {
		s, err := identity.NewSecret(strings.Repeat("0", 64), false)
		if err != nil {
			return err
		}
		now := time.Now()
		err = d.CreateToken(ctx, s, identity.Grant{ID: s.ID, Created: now})
		for i := from; i < to && err == nil; i++ {
			name := fmt.Sprint("node-", i)
			_, err = d.Enroll(ctx, s, sqlstore.Node{Name: name, Key: []byte(name + now.String()), Enrolled: now}, func(identity.Grant) error { return nil })
			if err == nil && i < 100 {
				err = d.PutRuns(ctx, name, []report.Run{{ID: "1", Error: strings.Repeat("x", 10_000)}}, now)
			}
		}
		return err
	})
}

func nodesIn(t *testing.T, data string) (n int) {
	t.Helper()
	withStore(t, data, func(ctx context.Context, d *sqlstore.DB) error {
		nodes, err := d.Nodes(ctx)
		n = len(nodes)
		return err
	})
	if _, err := sqlstore.Inspect(t.Context(), filepath.Join(data, "report.db")); err != nil {
		t.Error(err)
	}
	return n
}

func withStore(t *testing.T, data string, do func(context.Context, *sqlstore.DB) error) {
	t.Helper()
	d, err := sqlstore.Open(t.Context(), filepath.Join(data, "report.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(t.Context(), d), d.Close()); err != nil {
		t.Fatal(err)
	}
}

// wantNoService has a service start, which must refuse.
func wantNoService(t *testing.T, data string) {
	t.Helper()
	p := start(t, nil, "vigo", "up", "--data", data, "--git", t.TempDir(), "--listen", "127.0.0.1:0")
	_, err := p.wait(t)
	if err == nil || !strings.Contains(p.stderr.String(), "a restore from a backup was interrupted") {
		t.Errorf("a service on a folder that is partly from a backup: %v: %s", err, p.stderr)
	}
}

// removeReplaced makes room for the next round.
func removeReplaced(t *testing.T, data string) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(data, "report.db.replaced-*"))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		t.Fatal(err)
	}
}
