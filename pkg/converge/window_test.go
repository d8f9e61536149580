package converge_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/window"
)

// nights is open from 22:00 to 06:00 UTC of each night.
func nights() window.Window {
	return window.Window{Name: "nights", Spans: []window.Span{{Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, From: 22 * 60, To: 6 * 60, Zone: "UTC"}}}
}

func runAt(t *testing.T, j converge.Journal, now time.Time, dry bool, only func(resource.Item) bool, items ...resource.Item) report.Run {
	t.Helper()
	return converge.Run(t.Context(), &resource.Catalog{Items: items}, &host.Host{}, converge.Options{
		DryRun: dry, Journal: j, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Only: only,
	})
}

var noon, night = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), time.Date(2026, 3, 2, 23, 0, 0, 0, time.UTC)

// Outside of its window a resource is planned and not changed; what depends on it waits, what does not goes on, and nothing
// has failed. In the window all of it is done.
func TestAWindowHoldsChangesBack(t *testing.T) {
	t.Parallel()
	for _, dry := range []bool{false, true} {
		w := &world{values: map[string]string{}}
		j := newMemory(w)
		kept := item(&thing{w: w, name: "kept", want: "1"}, nil, nil)
		kept.Meta.Window = nights()
		items := []resource.Item{kept, item(&thing{w: w, name: "after", want: "1"}, []int{0}, nil), item(&thing{w: w, name: "other", want: "1"}, nil, nil)}
		got := runAt(t, j, noon, dry, nil, items...)
		want := []string{
			"m/thing:kept skipped: outside of the window nights, which opens Mon 2 Mar 22:00 UTC",
			"m/thing:after skipped: requires m/thing:kept, which waits",
			"m/thing:other changed",
		}
		if dry {
			want[2] = "m/thing:other drift"
		}
		if diff := cmp.Diff(want, outcomes(got)); diff != "" {
			t.Errorf("dry %v: (-want +got)\n%s", dry, diff)
		}
		if len(got.Results[0].Changes) == 0 {
			t.Error("what would change is not shown")
		}
		if got.Counts.Waiting != 2 || !got.Results[0].Waits || !got.Results[1].Waits {
			t.Errorf("dry %v: %d wait with what is new: %+v", dry, got.Counts.Waiting, got.Results)
		}
		if got.Compliance() == report.ComplianceFailed || dry == false && got.Compliance() != report.ComplianceDrift {
			t.Errorf("compliance %s", got.Compliance())
		}
		if w.values["kept"] != "" || w.values["after"] != "" {
			t.Errorf("changed outside of the window: %v", w.values)
		}
		if dry {
			continue
		}
		runAt(t, j, night, false, nil, items...)
		if w.values["kept"] != "1" || w.values["after"] != "1" {
			t.Errorf("not changed in the window: %v", w.values)
		}
		w.values["kept"] = "by hand"
		if got := runAt(t, j, noon, false, nil, items...); got.Counts.Skipped != 2 || got.Counts.Waiting != 0 {
			t.Errorf("what was done before and only has to be repaired: %+v", got.Counts)
		}
	}
}

// A refresh is a change: it waits for the window of who is to be refreshed, over as many runs as it takes.
func TestARefreshWaitsForTheWindow(t *testing.T) {
	t.Parallel()
	w := &world{values: map[string]string{"service": "1"}}
	j := newMemory(w)
	service := item(&thing{w: w, name: "service", want: "1"}, []int{0}, nil)
	service.Meta.Window = nights()
	items := []resource.Item{item(&thing{w: w, name: "file", want: "1"}, nil, []int{1}), service}
	want := []string{"m/thing:file changed", "m/thing:service skipped refresh=pending: outside of the window nights, which opens Mon 2 Mar 22:00 UTC"}
	if diff := cmp.Diff(want, outcomes(runAt(t, j, noon, false, nil, items...))); diff != "" {
		t.Error(diff)
	}
	again := runAt(t, j, noon.Add(time.Hour), false, nil, items...)
	if diff := cmp.Diff(want[1:], outcomes(again)); diff != "" || again.Counts.Waiting != 1 {
		t.Errorf("%d wait: %s", again.Counts.Waiting, diff)
	}
	runAt(t, j, night, false, nil, items...)
	if !slices.Equal(w.refreshed, []string{"service"}) || len(j.pending) > 0 {
		t.Errorf("refreshed %v, pending %v", w.refreshed, j.pending)
	}
}

// Audit changes nothing, in no window and in no other way; it says drift, which a window does not hide.
func TestAuditNeverWrites(t *testing.T) {
	t.Parallel()
	w := &world{values: map[string]string{}}
	j := newMemory(w)
	j.pending["m/thing:b"] = true
	a, b := item(&thing{w: w, name: "a", want: "1"}, nil, []int{1}), item(&thing{w: w, name: "b", want: "1"}, []int{0}, nil)
	a.Meta.Audit, b.Meta.Audit, a.Meta.Window = true, true, nights()
	for _, now := range []time.Time{noon, night} {
		got := runAt(t, j, now, false, nil, a, b)
		if diff := cmp.Diff([]string{"m/thing:a drift", "m/thing:b drift refresh=pending"}, outcomes(got)); diff != "" {
			t.Error(diff)
		}
	}
	if len(w.values) > 0 || len(w.events) > 0 {
		t.Errorf("an audit did something: %v %v", w.values, w.events)
	}
}

// A narrowed run does what was asked for and what that requires, and forgets nothing about the rest.
func TestOnlySomeResources(t *testing.T) {
	t.Parallel()
	w := &world{values: map[string]string{}}
	j := newMemory(w)
	items := []resource.Item{
		item(&thing{w: w, name: "base", want: "1"}, nil, nil),
		item(&thing{w: w, name: "left", want: "1"}, nil, []int{2}),
		item(&thing{w: w, name: "asked", want: "1"}, []int{0}, nil),
	}
	j.enforced["m/thing:left"] = "0"
	j.pending["m/thing:left"] = true
	got := runAt(t, j, noon, false, func(it resource.Item) bool { return it.ID.Name == "asked" }, items...)
	if diff := cmp.Diff([]string{"m/thing:base changed", "m/thing:asked changed"}, outcomes(got)); diff != "" {
		t.Error(diff)
	}
	if got.Counts.Total() != 2 || w.values["left"] != "" || j.enforced["m/thing:left"] != "0" || !j.pending["m/thing:left"] {
		t.Errorf("%+v, values %v, journal %v %v", got.Counts, w.values, j.enforced, j.pending)
	}
}

// What cannot be planned yet, and says so, is skipped and not failed, whatever was in force before: nobody knows whether it still is. What
// requires it waits, the rest is done, and a later run does it.
func TestWhatHasToWaitIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, dry := range []bool{false, true} {
		w := &world{values: map[string]string{}}
		j := newMemory(w)
		j.enforced["m/thing:secret"] = "1"
		early := &thing{w: w, name: "secret", want: "1", planErr: fmt.Errorf("looking: %w", &host.Wait{Reason: "its secret is not sealed yet"})}
		items := []resource.Item{item(early, nil, []int{1}), item(&thing{w: w, name: "after", want: "1"}, []int{0}, nil), item(&thing{w: w, name: "other", want: "1"}, nil, nil)}
		got := run(t, j, dry, items...)
		want := []string{
			"m/thing:secret skipped: its secret is not sealed yet",
			"m/thing:after skipped: requires m/thing:secret, which waits",
			"m/thing:other changed",
		}
		if dry {
			want[2] = "m/thing:other drift"
		}
		if diff := cmp.Diff(want, outcomes(got)); diff != "" {
			t.Errorf("dry %v: (-want +got)\n%s", dry, diff)
		}
		if got.Counts.Failed != 0 || got.Counts.Waiting != 2 || got.Compliance() != report.ComplianceDrift {
			t.Errorf("dry %v: compliance %s, %+v", dry, got.Compliance(), got.Counts)
		}
		if dry {
			continue
		}
		early.planErr = nil
		if got := run(t, j, false, items...); got.Compliance() != report.ComplianceChanged || w.values["secret"]+w.values["after"] != "11" {
			t.Errorf("later: %+v, %v", got, w.values)
		}
	}
}
