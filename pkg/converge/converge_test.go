package converge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// world is a host of named values; a thing declares one of them.
type world struct {
	values    map[string]string
	refreshed []string
	events    []string // in order: notify, apply, refresh
}

type thing struct {
	w          *world
	name, want string
	planErr    error
	applyErr   error
	half       bool // apply changes the host and fails all the same
	noEffect   bool
	refreshErr error
}

func (t *thing) Plan(context.Context, *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if t.planErr != nil {
		return p, t.planErr
	}
	if have := t.w.values[t.name]; have != t.want {
		p.Do(func(context.Context) error {
			t.w.events = append(t.w.events, "apply "+t.name)
			if t.applyErr == nil || t.half {
				if !t.noEffect {
					t.w.values[t.name] = t.want
				}
			}
			return t.applyErr
		}, change.Of("value", have, t.want))
	}
	return p, nil
}

func (t *thing) Refresh(context.Context, *host.Host) error {
	t.w.events = append(t.w.events, "refresh "+t.name)
	if t.refreshErr == nil {
		t.w.refreshed = append(t.w.refreshed, t.name)
	}
	return t.refreshErr
}

// memory is a journal that can die before a given event.
type memory struct {
	w        *world
	pending  map[string]bool
	enforced map[string]string
}

func newMemory(w *world) *memory {
	return &memory{w: w, pending: map[string]bool{}, enforced: map[string]string{}}
}

func (m *memory) Pending(name string) bool { return m.pending[name] }
func (m *memory) Notify(by string, targets []string) error {
	m.w.events = append(m.w.events, fmt.Sprintf("notify %v", targets))
	for _, t := range targets {
		m.pending[t] = true
	}
	return nil
}
func (m *memory) Settle(targets []string) error {
	for _, t := range targets {
		delete(m.pending, t)
	}
	return nil
}
func (m *memory) Enforced(name string) string { return m.enforced[name] }
func (m *memory) Finish(enforced map[string]string) error {
	m.enforced = maps.Clone(enforced)
	return nil
}

func item(t *thing, requires, notifies []int) resource.Item {
	return resource.Item{ID: resource.ID{Type: "thing", Name: t.name}, Module: "m", Resource: t, Requires: requires, Notifies: notifies, Digest: t.want}
}

func run(t *testing.T, j converge.Journal, dry bool, items ...resource.Item) report.Run {
	t.Helper()
	return converge.Run(t.Context(), &resource.Catalog{Items: items}, &host.Host{}, converge.Options{
		DryRun: dry, Journal: j, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(0, 0) },
	})
}

// outcomes renders results as "name outcome refresh: reason".
func outcomes(r report.Run) []string {
	var all []string
	for _, res := range r.Results {
		line := res.ID + " " + string(res.Outcome)
		if res.Refresh != "" {
			line += " refresh=" + res.Refresh
		}
		if res.Reason != "" {
			line += ": " + res.Reason
		}
		all = append(all, line)
	}
	return all
}

func newWorld() *world { return &world{values: map[string]string{}} }

func TestSecondRunChangesNothingAndDriftIsCorrected(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := newMemory(w)
	a := item(&thing{w: w, name: "a", want: "1"}, nil, nil)
	want(t, outcomes(run(t, j, false, a)), "m/thing:a changed")
	want(t, outcomes(run(t, j, false, a)))
	w.values["a"] = "by hand"
	want(t, outcomes(run(t, j, false, a)), "m/thing:a corrected")
	b := item(&thing{w: w, name: "a", want: "2"}, nil, nil)
	want(t, outcomes(run(t, j, false, b)), "m/thing:a changed")
}

func TestNotificationIsDurableBeforeTheChange(t *testing.T) {
	t.Parallel()
	w := newWorld()
	run(t, newMemory(w), false,
		item(&thing{w: w, name: "conf", want: "x"}, nil, []int{1}),
		item(&thing{w: w, name: "svc"}, []int{0}, nil))
	if diff := cmp.Diff([]string{"notify [m/thing:svc]", "apply conf", "refresh svc"}, w.events); diff != "" {
		t.Error(diff)
	}
}

func TestRefreshOwedFromAnEarlierRunIsCarriedOut(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := newMemory(w)
	w.values["conf"] = "x" // written by a run that died before the restart
	j.pending["m/thing:svc"] = true
	items := []resource.Item{item(&thing{w: w, name: "conf", want: "x"}, nil, []int{1}), item(&thing{w: w, name: "svc"}, []int{0}, nil)}
	want(t, outcomes(run(t, j, false, items...)), "m/thing:svc ok refresh=done")
	want(t, outcomes(run(t, j, false, items...)))
}

func TestRefreshRunsOnceForManyNotifiers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	run(t, newMemory(w), false,
		item(&thing{w: w, name: "a", want: "1"}, nil, []int{2}),
		item(&thing{w: w, name: "b", want: "1"}, nil, []int{2}),
		item(&thing{w: w, name: "svc"}, []int{0, 1}, nil))
	if diff := cmp.Diff([]string{"svc"}, w.refreshed); diff != "" {
		t.Error(diff)
	}
}

func TestFailureSkipsDependentsWithTheRootCauseAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := newMemory(w)
	got := run(t, j, false,
		item(&thing{w: w, name: "a", want: "1", applyErr: errors.New("no space left"), half: true}, nil, []int{2}),
		item(&thing{w: w, name: "b", want: "1"}, []int{0}, nil),
		item(&thing{w: w, name: "c", want: "1"}, []int{1}, nil),
		item(&thing{w: w, name: "d", want: "1"}, nil, nil))
	want(t, outcomes(got),
		"m/thing:a failed: no space left",
		"m/thing:b skipped: requires m/thing:a, which failed",
		"m/thing:c skipped refresh=pending: requires m/thing:b, which was skipped because of m/thing:a",
		"m/thing:d changed")
	if !j.pending["m/thing:c"] {
		t.Error("the refresh of c is forgotten, though a changed something before it failed")
	}
}

func TestApplyThatChangedNothingOwesNoRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := newMemory(w)
	run(t, j, false,
		item(&thing{w: w, name: "conf", want: "bad", applyErr: errors.New("it does not validate")}, nil, []int{1}),
		item(&thing{w: w, name: "svc"}, []int{0}, nil))
	if len(j.pending) != 0 {
		t.Errorf("pending: %v", j.pending)
	}
}

func TestWithdrawKeepsWhatAnEarlierRunOwes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := newMemory(w)
	j.pending["m/thing:svc"] = true
	run(t, j, false,
		item(&thing{w: w, name: "conf", want: "bad", applyErr: errors.New("it does not validate")}, nil, []int{1}),
		item(&thing{w: w, name: "svc"}, []int{0}, nil))
	if !j.pending["m/thing:svc"] {
		t.Error("a refresh owed by an earlier run was forgotten")
	}
}

func TestFailedRefreshStaysOwed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := newMemory(w)
	svc := &thing{w: w, name: "svc", refreshErr: errors.New("unit failed")}
	items := []resource.Item{item(&thing{w: w, name: "conf", want: "x"}, nil, []int{1}), item(svc, []int{0}, nil)}
	want(t, outcomes(run(t, j, false, items...)), "m/thing:conf changed", "m/thing:svc failed refresh=failed: refreshing: unit failed")
	svc.refreshErr = nil
	want(t, outcomes(run(t, j, false, items...)), "m/thing:svc ok refresh=done")
}

func TestWhatDoesNotHoldAfterApplyIsFailed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	got := run(t, newMemory(w), false, item(&thing{w: w, name: "a", want: "1", noEffect: true}, nil, nil))
	want(t, outcomes(got), "m/thing:a failed: after the change it still differs: value:  -> 1")
}

func TestDryRunChangesNothingAndPredictsRefreshes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := newMemory(w)
	got := run(t, j, true,
		item(&thing{w: w, name: "conf", want: "x"}, nil, []int{1}),
		item(&thing{w: w, name: "svc"}, []int{0}, nil),
		item(&thing{w: w, name: "unit", planErr: host.ErrNotFound}, []int{0}, nil))
	want(t, outcomes(got), "m/thing:conf drift", "m/thing:svc drift refresh=pending", "m/thing:unit drift")
	if got.Results[2].Changes[0].To != change.Unknown {
		t.Errorf("what depends on a pending change shows %v", got.Results[2].Changes)
	}
	if len(w.events) != 0 || len(j.enforced) != 0 {
		t.Errorf("a dry run did: %v", w.events)
	}
}

func TestSensitiveResultsShowNoValue(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := item(&thing{w: w, name: "a", want: "hunter2"}, nil, nil)
	a.Meta.Sensitive = true
	got := run(t, newMemory(w), false, a)
	if c := got.Results[0].Changes[0]; c != change.Secret("value") {
		t.Errorf("the change shows %v", c)
	}
}

func TestEndedContextSkipsTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the run took too long"))
	got := converge.Run(ctx, &resource.Catalog{Items: []resource.Item{item(&thing{w: w, name: "a", want: "1"}, nil, nil)}}, &host.Host{},
		converge.Options{Journal: newMemory(w), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	want(t, outcomes(got), "m/thing:a skipped: the run ended before its turn: the run took too long")
	if got.Error == "" {
		t.Error("the run does not say that it is incomplete")
	}
}

func TestPanicFailsOneResource(t *testing.T) {
	t.Parallel()
	w := newWorld()
	broken := resource.Item{ID: resource.ID{Type: "thing", Name: "p"}, Module: "m", Resource: panicking{}}
	got := run(t, newMemory(w), false, broken, item(&thing{w: w, name: "a", want: "1"}, nil, nil))
	if got.Counts.Failed != 1 || got.Counts.Changed != 1 {
		t.Errorf("counts: %+v", got.Counts)
	}
}

type panicking struct{}

func (panicking) Plan(context.Context, *host.Host) (resource.Plan, error) { panic("boom") }

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("results:\n got %q\nwant %q", got, want)
	}
}
