package traits_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
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

// The cost of all traits on this machine: at the start of the agent, in a run in which nothing has changed, and in one
// five minutes after the last, with the processor time that it takes.
func BenchmarkGather(b *testing.B) {
	m := openMachine(b)
	gather := func(b *testing.B, s *traits.Scheduler) int {
		got := s.Gather(b.Context(), m.Host(), traits.Agent{})
		packages, _ := got.Set["packages"].(map[string]any)
		return len(packages)
	}
	b.Run("first", func(b *testing.B) {
		started := processorTime(b)
		for b.Loop() {
			b.ReportMetric(float64(gather(b, traits.NewScheduler(traits.All(), clock))), "packages")
		}
		reportProcessor(b, started)
	})
	for name, pace := range map[string]time.Duration{"next": 30 * time.Second, "5min": 5 * time.Minute} {
		b.Run(name, func(b *testing.B) {
			now := clock()
			s := traits.NewScheduler(traits.All(), func() time.Time { return now })
			gather(b, s)
			started := processorTime(b)
			for b.Loop() {
				now = now.Add(pace)
				gather(b, s)
			}
			reportProcessor(b, started)
		})
	}
}

// processorTime is what this process has used until now.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func reportProcessor(b *testing.B, started time.Duration) {
	b.Helper()
	b.ReportMetric(float64((processorTime(b)-started).Microseconds())/1000/float64(b.N), "cpu-ms/op")
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
