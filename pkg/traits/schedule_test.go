package traits_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
)

type counted struct {
	N int64 `json:"n"`
}

// counter makes a collector that counts how often it was asked.
func counter(name string, class trait.Class, n *atomic.Int64) traits.Collector {
	return traits.CollectorOf(name, class, func(context.Context, *host.Host) (counted, error) {
		return counted{n.Add(1)}, nil
	})
}

func TestClassesHavePaces(t *testing.T) {
	t.Parallel()
	var volatile, stable, hourly, own atomic.Int64
	now := clock()
	s := traits.NewScheduler([]traits.Collector{
		counter("v", trait.Volatile, &volatile), counter("s", trait.Stable, &stable), counter("h", trait.Hourly, &hourly),
		counter("o", trait.Volatile, &own).Every(time.Minute),
	}, func() time.Time { return now })
	m, err := hosttest.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * 60 * 2 { // two hours in runs of 30 seconds
		s.Gather(t.Context(), m.Host(), traits.Agent{})
		now = now.Add(30 * time.Second)
	}
	for name, c := range map[string]struct{ got, want int64 }{
		"volatile": {volatile.Load(), 240}, "stable": {stable.Load(), 24}, "hourly": {hourly.Load(), 2}, "own": {own.Load(), 120},
	} {
		if c.got != c.want {
			t.Errorf("%s: collected %d times in two hours, want %d", name, c.got, c.want)
		}
	}
}

// A trait that watches files is collected at once when they change, and not before.
func TestWatching(t *testing.T) {
	t.Parallel()
	var file, folder atomic.Int64
	s := traits.NewScheduler([]traits.Collector{
		counter("file", trait.Hourly, &file).Watching("/etc/a"), counter("folder", trait.Hourly, &folder).Watching("/etc/d"),
	}, clock)
	m, err := hosttest.Parse([]byte("file /etc/a \"1\"\ndir /etc/d\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	gather := func(wantFile, wantFolder int64) {
		t.Helper()
		got := s.Gather(t.Context(), h, traits.Agent{})
		if file.Load() != wantFile || folder.Load() != wantFolder {
			t.Errorf("collected %d and %d times, want %d and %d", file.Load(), folder.Load(), wantFile, wantFolder)
		}
		if n := got.Set["file"].(map[string]any)["n"]; n != float64(wantFile) {
			t.Errorf("the set has %v, want %d", n, wantFile)
		}
	}
	write := func(path string) {
		t.Helper()
		if err := h.FS.Write(t.Context(), path, strings.NewReader("longer"), host.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	gather(1, 1)
	gather(1, 1)
	write("/etc/a")
	gather(2, 1)
	write("/etc/d/new")
	gather(2, 2)
	gather(2, 2)
}

// A collector that fails, hangs, panics or lacks a part costs its own trait only; after a failure the last value stays.
func TestFailuresAreShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		now := clock()
		hung := make(chan struct{})
		var started atomic.Int64
		s := traits.NewScheduler([]traits.Collector{
			traits.CollectorOf("sometimes", trait.Volatile, func(context.Context, *host.Host) (counted, error) {
				if fails.Load() {
					return counted{}, errors.New("the disk is gone")
				}
				return counted{7}, nil
			}),
			traits.CollectorOf("none", trait.Volatile, func(context.Context, *host.Host) (counted, error) {
				return counted{}, trait.ErrNone
			}),
			traits.CollectorOf("panics", trait.Volatile, func(context.Context, *host.Host) (counted, error) {
				panic("a bug")
			}),
			traits.CollectorOf("hangs", trait.Volatile, func(context.Context, *host.Host) (counted, error) {
				started.Add(1)
				<-hung
				return counted{}, nil
			}).Within(time.Second),
		}, func() time.Time { return now })
		m, err := hosttest.Parse(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, failing := range []bool{false, true} {
			fails.Store(failing)
			got := s.Gather(t.Context(), m.Host(), traits.Agent{})
			if v, ok := got.Set["sometimes"].(map[string]any); !ok || v["n"] != 7.0 {
				t.Errorf("sometimes: %v", got.Set["sometimes"])
			}
			want := map[string]string{"panics": "the collector panicked", "hangs": "it did not answer within 1s"}
			if failing {
				want["sometimes"] = "the disk is gone"
				want["hangs"] = "it has not come back from an earlier time"
			}
			for name, text := range want {
				if !strings.Contains(got.Problems[name], text) {
					t.Errorf("%s: problem %q, want %q", name, got.Problems[name], text)
				}
			}
			if len(got.Problems) != len(want) {
				t.Errorf("problems: %v", got.Problems)
			}
			for _, name := range []string{"none", "panics", "hangs"} {
				if v, ok := got.Set[name]; ok {
					t.Errorf("%s: %v", name, v)
				}
			}
		}
		if n := started.Load(); n != 1 {
			t.Errorf("what hangs was started %d times", n)
		}
		close(hung)
		synctest.Wait()
		got := s.Gather(t.Context(), m.Host(), traits.Agent{})
		if _, ok := got.Set["hangs"]; !ok || started.Load() != 2 {
			t.Errorf("what came back was started %d times: %v", started.Load(), got.Problems["hangs"])
		}
	})
}

// A run in which nothing changes starts no program, writes nothing, and says the same of what is not volatile.
func TestSecondGatherIsQuiet(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte(`
hostname web-1
package curl 1.0 arch=amd64
file /etc/vigo/traits.d/rack.sh mode=0755 "#!/bin/sh\n"
command ["/etc/vigo/traits.d/rack.sh"] stdout="{}"
`))
	if err != nil {
		t.Fatal(err)
	}
	s := traits.NewScheduler(traits.All(), clock)
	first := s.Gather(t.Context(), m.Host(), traits.Agent{})
	if n := m.Writes(); n != 1 {
		t.Fatalf("the first time the site's own program is run; done: %v", m.Log())
	}
	second := s.Gather(t.Context(), m.Host(), traits.Agent{})
	if m.Writes() != 1 {
		t.Errorf("done the second time: %v", m.Log()[1:])
	}
	if trait.Root(first.Digests) != trait.Root(second.Digests) {
		t.Errorf("digests changed from %v to %v", first.Digests, second.Digests)
	}
}

// A run that stands alone collects what its policy uses and nothing else.
func TestUsed(t *testing.T) {
	t.Parallel()
	var left []string
	for _, c := range traits.Used(traits.All(), func(name string) bool { return name == "updates" || name == "os" }) {
		left = append(left, c.Kind().Name)
	}
	if !slices.Equal(left, []string{"os", "updates"}) {
		t.Errorf("collected: %v", left)
	}
}
