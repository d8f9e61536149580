package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

// moveOnce moves some of what was heard, as the writer does when it is time.
func moveOnce(t *testing.T, d *DB) {
	t.Helper()
	must(t, d.commit(t.Context(), (*tx).moveHeard))
}

// TestHeard: whatever is put, forgotten, moved and closed in whatever order, a file says the same as a list in memory: the last time and
// the highest number of each node, and nothing of a machine that had its name before.
func TestHeard(t *testing.T) {
	t.Parallel()
	const nodes = 2*moveAtOnce + 500 // moved in three groups
	path := filepath.Join(t.TempDir(), "report.db")
	d := open(t, path)
	again := func() *DB {
		must(t, d.Close())
		return open(t, path)
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	want := map[string]Hot{}
	put := func(n, i int) {
		h := Hot{Node: fmt.Sprintf("web-%05d", i), Seen: noon.Add(time.Duration(n) * time.Second), Told: time.Duration(rnd.IntN(60)) * time.Second, Counter: int64(rnd.IntN(1000))}
		d.PutHot(h)
		h.Counter = max(h.Counter, want[h.Node].Counter)
		want[h.Node] = h
	}
	for i := range nodes {
		put(0, i)
	}
	settle(t, d)
	for n := 1; n < 300; n++ {
		switch rnd.IntN(8) {
		case 0:
			name := fmt.Sprintf("web-%05d", rnd.IntN(nodes))
			must(t, d.commit(t.Context(), func(t *tx) error { return t.forgetHot([]string{name}) }))
			delete(want, name)
		case 1, 2:
			moveOnce(t, d)
		case 4:
			if rnd.IntN(8) == 0 {
				d = again()
			}
		default:
			put(n, rnd.IntN(nodes))
			put(n, rnd.IntN(20)) // some of the same
		}
		if rnd.IntN(3) == 0 {
			settle(t, d)
		}
	}
	settle(t, d)
	sameHots(t, "before all is moved", d, want)
	must(t, d.moveAll(t.Context()))
	if left, _, err := readHeard(t.Context(), d.read); err != nil || len(left) != 0 {
		t.Errorf("in the log are %d, %v", len(left), err)
	}
	sameHots(t, "after all was moved", again(), want)
}

func sameHots(t *testing.T, when string, d *DB, want map[string]Hot) {
	t.Helper()
	got, err := d.LoadHot(t.Context())
	must(t, err)
	if len(got) != len(want) {
		t.Errorf("%s: %d nodes, want %d", when, len(got), len(want))
	}
	for name, w := range want {
		if g := got[name]; !g.Seen.Equal(w.Seen) || g.Told != w.Told || g.Counter != w.Counter {
			t.Errorf("%s: %s is %+v, want %+v", when, name, g, w)
		}
	}
}

// TestHeardWhenMovingFails: what could not be committed is moved again.
func TestHeardWhenMovingFails(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "report.db"))
	for i := range moveAtOnce + 1 {
		d.PutHot(Hot{Node: fmt.Sprint("web-", i), Seen: noon, Counter: 5})
	}
	settle(t, d)
	moveOnce(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.commit(t.Context(), func(one *tx) error {
		broken := *one
		broken.ctx = ctx
		return broken.moveHeard()
	}); err == nil {
		t.Fatal("nothing failed")
	}
	must(t, d.moveAll(t.Context()))
	var n int
	must(t, d.queryRow(t.Context(), "SELECT count(*) FROM hot WHERE counter = 5").Scan(&n))
	if n != moveAtOnce+1 {
		t.Errorf("%d nodes were moved", n)
	}
}

// FuzzHeard reads back what is written, and refuses the rest without a crash.
func FuzzHeard(f *testing.F) {
	for _, h := range []heard{{node: "web-1", seen: 1_795_904_860_072_000_000, told: int64(30 * time.Second), counter: 7}, {node: "x", anew: true, silent: true}, {node: "", seen: -1, told: -1, counter: -1}} {
		f.Add(appendHeard(nil, h, 1_795_904_860_000_000_000), int64(1_795_904_860_000_000_000))
	}
	f.Fuzz(func(t *testing.T, doc []byte, at int64) {
		var again []byte
		if err := eachHeard(doc, at, func(h heard) { again = appendHeard(again, h, at) }); err != nil {
			return
		}
		var twice []byte
		must(t, eachHeard(again, at, func(h heard) { twice = appendHeard(twice, h, at) }))
		if !bytes.Equal(again, twice) {
			t.Errorf("%x is read back as %x", again, twice)
		}
	})
}
