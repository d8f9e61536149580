package traits_test

import (
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/traits"
)

// openMachine opens the machine the test runs on.
func openMachine(tb testing.TB) *machine.Machine {
	tb.Helper()
	m, err := machine.New(machine.Options{Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// On any Linux the traits that need nothing but a kernel are there; -v shows them all.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	m := openMachine(t)
	got := traits.NewScheduler(traits.All(), time.Now).Gather(t.Context(), m.Host(), traits.Agent{Version: "test"})
	for _, name := range []string{"agent", "boot", "cpu", "hostname", "interfaces", "kernel", "listeners", "load", "memory", "mounts", "os", "platform", "processes", "uptime", "users"} {
		if got.Set[name] == nil {
			t.Errorf("no trait %s: %s", name, got.Problems[name])
		}
	}
	if testing.Verbose() {
		text, err := yaml.Marshal(got.Set)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\nproblems: %v", text, got.Problems)
	}
}

// The cost of all traits on this machine: at the start, and in a run in which nothing has changed.
func BenchmarkGather(b *testing.B) {
	m := openMachine(b)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			traits.NewScheduler(traits.All(), time.Now).Gather(b.Context(), m.Host(), traits.Agent{})
		}
	})
	b.Run("again", func(b *testing.B) {
		s := traits.NewScheduler(traits.All(), time.Now)
		s.Gather(b.Context(), m.Host(), traits.Agent{})
		for b.Loop() {
			s.Gather(b.Context(), m.Host(), traits.Agent{})
		}
	})
}

// What each trait costs on this machine.
func BenchmarkCollect(b *testing.B) {
	m := openMachine(b)
	for _, c := range traits.All() {
		b.Run(c.Kind().Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				traits.NewScheduler([]traits.Collector{c}, time.Now).Gather(b.Context(), m.Host(), traits.Agent{})
			}
		})
	}
}
