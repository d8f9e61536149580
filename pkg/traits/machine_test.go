package traits_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// A port that this test listens at is found with the program of the test.
func TestListenerIsFound(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := openMachine(t)
	got := traits.NewScheduler(traits.All(), time.Now).Gather(t.Context(), m.Host(), traits.Agent{})
	want := map[string]any{
		"process": "traits.test", "executable": self, "replaced": false, "public": false, "addresses": []any{"127.0.0.1"},
	}
	all, _ := got.Set["listeners"].(map[string]any)
	if diff := cmp.Diff(want, all[fmt.Sprintf("tcp/%d", l.Addr().(*net.TCPAddr).Port)]); diff != "" {
		t.Error(diff)
	}
}

// What the kernel says of this process is what Go says.
func TestThisProcessIsCounted(t *testing.T) {
	t.Parallel()
	m := openMachine(t)
	got := traits.NewScheduler(traits.All(), time.Now).Gather(t.Context(), m.Host(), traits.Agent{})
	processes, _ := got.Set["processes"].(map[string]any)
	names, _ := processes["names"].(map[string]any)
	if n, _ := names["traits.test"].(float64); n < 1 {
		t.Errorf("this process is not among %v", names)
	}
	cpu, _ := got.Set["cpu"].(map[string]any)
	if n, _ := cpu["cores"].(float64); int(n) < runtime.NumCPU() { // a process may be confined to some
		t.Errorf("%v cores, Go sees %d", n, runtime.NumCPU())
	}
}
