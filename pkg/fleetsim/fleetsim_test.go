package fleetsim

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout/sim"
	"vigo.dev/pkg/trait"
)

// Quantiles are true within a step of 2 %, and the largest is exact.
func TestHistogram(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.latency(); got != (Latency{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{.5: 500 * time.Millisecond, .99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.at(q); got < want || got > want*102/100 {
			t.Errorf("%.2f: %s, want %s", q, got, want)
		}
	}
	h.add(100 * time.Hour)
	h.add(0)
	if h.at(1) != 100*time.Hour || h.at(0) > time.Microsecond {
		t.Errorf("at the ends: %s and %s", h.at(0), h.at(1))
	}
}

// What was enrolled is there again, also when the process was killed while it wrote, and one folder is for one process.
func TestState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openState(dir, "bench")
	must(t, err)
	for _, e := range []enrolled{{Name: "bench-1", Key: "one"}, {Name: "bench-2", Key: "two"}, {Name: "bench-hub-0", Hub: true}, {Name: "bench-2", Retired: true}} {
		must(t, s.put(e))
	}
	if _, err := openState(dir, "bench"); !errors.Is(err, errInUse) {
		t.Errorf("opened twice: %v", err)
	}
	must(t, s.close())
	path := filepath.Join(dir, "bench.jsonl")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(`{"name":"bench-3","ke`)
	must(t, errors.Join(err, f.Close()))
	s, err = openState(dir, "bench")
	must(t, err)
	if len(s.nodes) != 1 || s.nodes["bench-1"].Key != "one" || len(s.hubs) != 1 {
		t.Errorf("read back: %v, %v", s.nodes, s.hubs)
	}
	must(t, s.put(enrolled{Name: "bench-4"}))
	must(t, s.close())
	s, err = openState(dir, "bench")
	must(t, err)
	if len(s.nodes) != 2 {
		t.Errorf("after what was cut: %v", s.nodes)
	}
	for _, e := range []enrolled{{Name: "bench-1"}, {Name: "bench-4"}, {Name: "bench-hub-0", Hub: true}} {
		e.Retired = true
		must(t, s.put(e))
	}
	must(t, s.close())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a fleet that is gone this is left: %v", err)
	}
}

// A node says the names of its traits until they are known, and again after a change; only its packages change then.
func TestNode(t *testing.T) {
	t.Parallel()
	var docs documents
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := &node{name: "bench-000007", index: 7, channel: "stable", note: report.ChannelNote{Pointer: "1.2", Digest: "sha256:00", Issued: now.Add(-time.Minute)}}
	must(t, n.describe(&docs))
	says := sim.Says{Bundle: "sha256:00"}
	first, err := n.compose(&docs, says, 0, 30*time.Second, "test", now)
	must(t, err)
	c := first.checkIn
	if trait.Root(c.Facets) != c.Traits || len(c.Facets) != 10 || c.Pointer != "1.2" || c.Age != time.Minute || c.Run.Counts.OK != resources || first.run != nil {
		t.Errorf("the first: %+v", c)
	}
	n.acked = c.Traits
	quiet, err := n.compose(&docs, says, 0, 30*time.Second, "test", now.Add(30*time.Second))
	must(t, err)
	if quiet.checkIn.Facets != nil || quiet.checkIn.Traits != c.Traits || quiet.checkIn.Run.ID == c.Run.ID {
		t.Errorf("one of every day: %+v", quiet.checkIn)
	}
	must(t, n.change(&docs))
	changed, err := n.compose(&docs, says, 1, 30*time.Second, "test", now)
	must(t, err)
	for name, digest := range changed.checkIn.Facets {
		if (digest != c.Facets[name]) != (name == "packages") {
			t.Errorf("after a change %s is %s, was %s", name, digest, c.Facets[name])
		}
	}
	if len(changed.checkIn.Facets) != 10 || changed.run == nil || changed.run.ID != changed.checkIn.Run.ID || changed.run.Compliance() != report.ComplianceFailed {
		t.Errorf("a run that fails: %+v, %+v", changed.checkIn, changed.run)
	}
}

// Nodes of one image share their packages, also after changes, unless one is odd.
func TestSharedPackages(t *testing.T) {
	t.Parallel()
	var docs documents
	digest := func(index, changes int, odd bool) string {
		all, err := docs.digests(&node{name: "n", index: index, packages: changes, odd: odd})
		must(t, err)
		return all["packages"]
	}
	if digest(3, 2, false) != digest(3+images, 2, false) {
		t.Error("two nodes of one image differ")
	}
	all := map[string]bool{digest(3, 2, false): true, digest(4, 2, false): true, digest(3, 3, false): true, digest(3, 2, true): true,
		digest(3+images, 2, true): true, digest(3, 2+installed, false): true}
	if len(all) != 6 {
		t.Errorf("%d are different, want 6", len(all))
	}
}

// An outage begins with the first bad second, and ends when it is as before for two: not when the first answers come.
func TestOutages(t *testing.T) {
	t.Parallel()
	var o outages
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for _, p := range []struct{ done, lost int }{
		{0, 0}, {98, 0}, {102, 0}, {100, 5}, // normal: nobody was there to answer, then a few are lost
		{60, 40}, {0, 100}, {20, 60}, {95, 0}, {80, 0}, {99, 0}, {100, 1}, // down from the fifth second on
		{100, 0}, {0, 0}, {0, 0}, // and once more, to the end: nobody answers
	} {
		at = at.Add(time.Second)
		o.take(pulse{at: at, done: p.done, lost: p.lost}, 100)
	}
	second := func(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, n-1, 0, time.UTC) }
	want := []Outage{{From: second(5), Normal: second(10), Lost: 201}, {From: second(13)}}
	if !slices.Equal(o.list, want) {
		t.Errorf("got %+v, want %+v", o.list, want)
	}
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	got := parseMetrics([]byte("# HELP a b\n# TYPE a counter\na 12\nb{c=\"d\"} 3\n\nprocess_resident_memory_bytes 1.5e+08\nodd\nworse x\n"))
	if len(got) != 2 || got["a"] != 12 || got["process_resident_memory_bytes"] != 1.5e8 {
		t.Errorf("%v", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
