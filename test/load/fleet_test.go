package load

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/fleetsim"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// size is that of the fleet.
type size struct {
	nodes    int
	interval time.Duration
}

func sizeOf(t *testing.T) size {
	t.Helper()
	s := size{1000, 2 * time.Second}
	if text := os.Getenv("VIGO_LOAD_NODES"); text != "" {
		n, err := strconv.Atoi(text)
		must(t, err)
		s.nodes = n
	}
	if text := os.Getenv("VIGO_LOAD_INTERVAL"); text != "" {
		d, err := time.ParseDuration(text)
		must(t, err)
		s.interval = d
	}
	return s
}

// perSecond is how many check-ins are due.
func (s size) perSecond() float64 { return float64(s.nodes) / s.interval.Seconds() }

// failures is the share of the runs that fail, so that there are some of which is known whether they were kept.
func (s size) failures() string {
	if s.nodes >= 10_000 {
		return "0.5%"
	}
	return "5%"
}

// folder is one for the data of a test: beside those of others when VIGO_LOAD_DIR names a disk to measure.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("VIGO_LOAD_DIR"), "vigo-load-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// A fleet is simulated by another process.
type fleet struct {
	t       *testing.T
	service *service
	size
	process *programs.Process
}

// simulate starts a fleet that works for a time once all its nodes have been introduced, and returns when that begins.
func simulate(t *testing.T, s *service, z size, lasts time.Duration, more ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, service: s, size: z}
	cmd := self.Command(t, "vigo", append([]string{"bench", "fleet", "--nodes", strconv.Itoa(z.nodes), "--interval", z.interval.String(), "--duration", lasts.String(),
		"--connections", "shared", "--state", filepath.Join(s.dir, "fleet"), "-o", "json"}, more...)...)
	cmd.Env = append(cmd.Env, "VIGO_CONFIG="+s.config())
	f.process = programs.Start(t, cmd)
	f.process.Says(t, "measuring for", 30*time.Minute)
	return f
}

// figures waits for the end.
func (f *fleet) figures() (out fleetsim.Figures) {
	f.t.Helper()
	f.process.Wait()
	if err := json.Unmarshal([]byte(f.process.Said.String()), &out); err != nil || !f.process.Cmd.ProcessState.Success() {
		f.t.Fatalf("the fleet: %s, %v\n%s", f.process.Cmd.ProcessState, err, f.process.Out.String())
	}
	return out
}

// good checks what must be so whatever happened to the service.
func good(t *testing.T, f fleetsim.Figures) {
	t.Helper()
	if f.Wrong != 0 {
		t.Errorf("%d nodes or hubs went on, and were called silent", f.Wrong)
	}
	if f.Runs.Checked == 0 || f.Runs.Lost != 0 {
		t.Errorf("of %d runs that were acknowledged and asked for, %d are lost", f.Runs.Checked, f.Runs.Lost)
	}
	if len(f.Refused) != 0 {
		t.Errorf("refused: %v", f.Refused)
	}
}

// A disturbance is something that was done to the service, and when it, or what it stands on, was started again.
type disturbance struct {
	what  string
	began time.Time // of the disturbance
	start time.Time
}

// recovery is how long after a start nodes were answered as before.
const recovery = 10 * time.Second

// recovered checks that the fleet was answered as before soon after each start, and returns how long each took.
func recovered(t *testing.T, f fleetsim.Figures, all []disturbance) (took []string) {
	t.Helper()
	for i, d := range all {
		end := time.Now()
		if i+1 < len(all) {
			end = all[i+1].began
		}
		var normal time.Time // zero: nobody noticed
		for _, o := range f.Outages {
			if o.From.Before(end.Add(-time.Second)) && (o.Normal.IsZero() || o.Normal.After(d.start)) {
				if normal = o.Normal; normal.IsZero() {
					t.Errorf("%s: nodes were not answered as before again: %+v", d.what, f.Outages)
				}
				break
			}
		}
		after := max(0, normal.Sub(d.start))
		if took = append(took, fmt.Sprintf("%s %.0f s", d.what, after.Seconds())); after > recovery+time.Duration(f.Delay.P99*float64(time.Millisecond)) { // a machine that is late is also late here
			t.Errorf("%s: nodes were answered as before %s after the start, want %s at most: %+v", d.what, after, recovery, f.Outages)
		}
	}
	return took
}

// table is what was measured, for people.
type table struct{ rows []string }

func (b *table) add(t *testing.T, what, store string, f fleetsim.Figures, more ...string) {
	t.Helper()
	cpu, cores, memory := "-", "-", "-"
	if s := f.Service; s != nil {
		cpu, cores, memory = fmt.Sprintf("%.0f µs", s.CPU), fmt.Sprintf("%.2f", s.Cores), fmt.Sprintf("%d MiB", s.Memory>>20)
	}
	b.rows = append(b.rows, fmt.Sprintf("| %s | %s | %d at %s | %.0f of %.0f | %s | %s | %.0f, %.0f | %s | %d, %d, %d | %d of %d | %d | %s |", what, store, f.Nodes, f.Interval,
		f.Rate, float64(f.Nodes)/f.Interval.Seconds(), cpu, cores, f.Latency.P50, f.Latency.P99, memory,
		f.Pressure, f.Unanswered, f.Skipped, f.Runs.Lost, f.Runs.Checked, f.Wrong, strings.Join(more, "; ")))
	if path := os.Getenv("VIGO_LOAD_TABLE"); path != "" { // at once: what comes next may take long, and fail
		must(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
}

func (b *table) String() string {
	return strings.Join(append([]string{
		"| what | store | nodes | check-ins/s | CPU per check-in | cores | p50, p99 (ms) | memory | turns sent away, unanswered, skipped | runs lost | wrongly silent | |",
		"|---|---|---|---|---|---|---|---|---|---|---|---|"}, b.rows...), "\n") + "\n"
}

// silence takes the figures of a fleet of which nodes and a hub went silent.
func silence(t *testing.T, s *service, b *table, store string, f fleetsim.Figures) {
	t.Helper()
	good(t, f)
	if f.Stale == nil || f.Stale.Found < f.Stale.Silent-f.Starved || f.Stale.After.Max > 1000*late(f) {
		t.Errorf("nodes that went silent: %+v", f.Stale)
	}
	d := f.Dark
	if d == nil || f.Stale == nil {
		t.FailNow()
	}
	if d.Events != 1 || d.Told != 0 || d.Silent != d.Nodes || d.After > 1000*late(f) {
		t.Errorf("a hub that went dark: %+v", d)
	}
	programs.Await(t, "an alert for each node that is silent", time.Minute, func() bool {
		alerts, err := s.operator().Alerts(t.Context())
		must(t, err)
		dark, told := 0, 0
		for _, a := range alerts.Alerts {
			switch {
			case a.Rule == "dark" && a.Group == "bench-hub-dark":
				dark++
			case a.Rule == "stale" && a.Inhibited == "" && a.Group >= fmt.Sprintf("bench-%06d", f.Nodes-d.Nodes):
				t.Errorf("people are told of %s, which is behind a dark hub", a.Group)
			case a.Rule == "stale" && a.Inhibited == "":
				told++
			}
		}
		return dark == 1 && told >= f.Stale.Silent // more, when the fleet has ended for a while
	})
	b.add(t, "calm; then nodes and a hub go silent", store, f, fmt.Sprintf("%d called stale after p50 %.0f, p99 %.0f, max %.0f ms; hub of %d told once after %.0f ms",
		f.Stale.Found, f.Stale.After.P50, f.Stale.After.P99, f.Stale.After.Max, d.Nodes, d.After))
}

// late is by how many seconds silence may be known late: one, and as long as the machine makes a check-in wait for its CPU.
func late(f fleetsim.Figures) float64 { return 1 + max(f.Latency.P99, f.Delay.P99)/1000 }

// disturb ends the service in a way, starts it anew, and waits until nodes have checked in again for a while.
func (f *fleet) disturb(what string, end func()) disturbance {
	f.t.Helper()
	d := disturbance{what: what, began: time.Now()}
	end()
	d.start = f.service.start()
	f.service.checkIns(5 * f.perSecond())
	return d
}
