package converge_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// watcher is a guard that writes down what it is told.
type watcher struct {
	w       *world
	waiting map[string]bool
	refuses string
}

func (g *watcher) Refused(resource.Item) string { return g.refuses }
func (g *watcher) Watch(it resource.Item, h *host.Host) *host.Host {
	if g.refuses == "" && g.w.values[it.ID.Name] != it.Digest { // it is about to be changed
		g.waiting[it.Name()] = true
	}
	return h
}
func (g *watcher) Waiting(name string) bool { return g.waiting[name] }
func (g *watcher) Settle()                  { g.w.events = append(g.w.events, "settle") }

func guardedRun(t *testing.T, g *watcher, dry bool, items ...resource.Item) report.Run {
	t.Helper()
	for i := range items {
		if items[i].ID.Name == "guarded" {
			items[i].Meta.Guard = 5 * time.Minute
		}
	}
	return converge.Run(t.Context(), &resource.Catalog{Items: items}, &host.Host{}, converge.Options{
		DryRun: dry, Journal: newMemory(g.w), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(0, 0) }, Guard: g,
	})
}

// A guarded change has taken effect when what it notifies had its turn; the run goes on, and what requires it comes in it.
func TestAGuardedChangeSettlesWithWhatItNotifies(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := &watcher{w: w, waiting: map[string]bool{}}
	run := guardedRun(t, g, false,
		item(&thing{w: w, name: "guarded", want: "1"}, nil, []int{2}),
		item(&thing{w: w, name: "between", want: "1"}, nil, nil),
		item(&thing{w: w, name: "notified", want: ""}, []int{0}, nil),
		item(&thing{w: w, name: "dependent", want: "1"}, []int{0}, nil))
	want(t, w.events, "notify [m/thing:notified]", "apply guarded", "apply between", "refresh notified", "settle", "apply dependent", "settle")
	want(t, outcomes(run), "m/thing:guarded changed", "m/thing:between changed", "m/thing:notified ok refresh=done", "m/thing:dependent changed")
	if got := run.Results[0].Guard; got != "reverts unless a check-in succeeds within 5m" {
		t.Errorf("the result says %q", got)
	}
	if run.Results[1].Guard != "" {
		t.Error("what is not guarded is said to be")
	}
}

// A change of a run that died has not taken effect before what it owed is done, whatever else waits.
func TestAGuardedChangeOfARunThatDied(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.values["first"], w.values["guarded"] = "1", "1"
	g := &watcher{w: w, waiting: map[string]bool{"m/thing:first": true, "m/thing:guarded": true}}
	first := item(&thing{w: w, name: "first", want: "1"}, nil, nil)
	first.Meta.Guard = time.Minute
	guardedRun(t, g, false, first,
		item(&thing{w: w, name: "guarded", want: "1"}, nil, []int{2}),
		item(&thing{w: w, name: "notified", want: "1"}, []int{1}, nil),
		item(&thing{w: w, name: "last", want: "1"}, nil, nil))
	want(t, w.events, "apply notified", "settle", "apply last", "settle")
}

// As long as it waits, later runs say so, though there is nothing to do.
func TestAGuardThatWaitsIsReported(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.values["guarded"] = "1"
	g := &watcher{w: w, waiting: map[string]bool{"m/thing:guarded": true}}
	run := guardedRun(t, g, false, item(&thing{w: w, name: "guarded", want: "1"}, nil, nil))
	if len(run.Results) != 1 || run.Results[0].Outcome != report.OK || run.Results[0].Guard == "" {
		t.Errorf("%+v", run.Results)
	}
}

// What was taken back fails without a change, and what requires it is skipped; where the host is as declared there is nothing to refuse.
func TestARefusedDeclarationIsNotTried(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := &watcher{w: w, waiting: map[string]bool{}, refuses: "reverted: no check-in within 5m"}
	a := item(&thing{w: w, name: "guarded", want: "1"}, nil, nil)
	b := item(&thing{w: w, name: "b", want: "1"}, []int{0}, nil)
	want(t, outcomes(guardedRun(t, g, false, a, b)), "m/thing:guarded failed: reverted: no check-in within 5m",
		"m/thing:b skipped: requires m/thing:guarded, which failed")
	want(t, w.events, "settle")
	w.values["guarded"] = "1"
	want(t, outcomes(guardedRun(t, g, false, a, b)), "m/thing:b changed")
}

// A dry run and an audit change nothing, so the guard is not asked; the dry run says what would become of the change.
func TestADryRunAndAnAuditAskNoGuard(t *testing.T) {
	t.Parallel()
	for _, dry := range []bool{true, false} {
		w := newWorld()
		g := &watcher{w: w, waiting: map[string]bool{}, refuses: "never"}
		a := item(&thing{w: w, name: "guarded", want: "1"}, nil, nil)
		a.Meta.Audit = !dry
		run := guardedRun(t, g, dry, a)
		want(t, outcomes(run), "m/thing:guarded drift")
		if (run.Results[0].Guard != "") != dry || len(g.waiting) > 0 {
			t.Errorf("dry %v: the guard is %q, waiting %v", dry, run.Results[0].Guard, g.waiting)
		}
	}
}

func TestDurationsAsInAPolicy(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{5 * time.Minute: "5m", 90 * time.Second: "1m30s", 10 * time.Second: "10s", time.Hour: "1h",
		24 * time.Hour: "24h", time.Hour + 10*time.Second: "1h0m10s"} {
		if got := converge.Brief(d); got != want {
			t.Error(fmt.Sprint(d), "is written", got, "want", want)
		}
	}
}
