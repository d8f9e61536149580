package converge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// member is a thing that is changed with others in one transaction.
type member struct {
	thing
	fails func(names []string) error // of the transaction
	skips bool                       // the transaction leaves it out
}

func (m *member) Join(_ context.Context, _ *host.Host, all []resource.Resource) error {
	var names []string
	for _, res := range all {
		names = append(names, res.(*member).name)
	}
	m.w.events = append(m.w.events, "join "+strings.Join(names, " "))
	if m.fails != nil {
		if err := m.fails(names); err != nil {
			return err
		}
	}
	for _, res := range all {
		if other := res.(*member); !other.skips {
			m.w.values[other.name] = other.want
		}
	}
	return nil
}

func members(w *world, names ...string) []resource.Item {
	items := make([]resource.Item, len(names))
	for i, name := range names {
		m := &member{thing: thing{w: w, name: name, want: "1"}}
		items[i] = item(&m.thing, nil, nil)
		items[i].Resource = m
	}
	return items
}

func of(it resource.Item) *member { return it.Resource.(*member) }

func TestNeighboursAreChangedInOneTransactionAndReportedEach(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.values["c"] = "1"
	items := append(members(w, "a", "b", "c", "d"), item(&thing{w: w, name: "s", want: "1"}, nil, nil))
	items[1].Notifies = []int{4}
	j := newMemory(w)
	rep := run(t, j, false, items...)
	want(t, w.events, "notify [m/thing:s]", "join a b d", "notify [m/thing:s]", "apply s", "refresh s")
	want(t, outcomes(rep), "m/thing:a changed", "m/thing:b changed", "m/thing:d changed", "m/thing:s changed refresh=done")
	if got := rep.Results[0].Changes; !slices.Equal(got, []change.Change{change.Of("value", "", "1")}) {
		t.Errorf("a: %v", got)
	}
	w.events = nil
	if rep := run(t, j, false, items...); len(w.events) > 0 || !rep.Quiet() {
		t.Errorf("a second run: %v, %v", w.events, rep)
	}
	delete(w.values, "a")
	delete(w.values, "d")
	want(t, outcomes(run(t, j, false, items...)), "m/thing:a corrected", "m/thing:d corrected")
	want(t, w.events, "join a d")
}

func TestTransactionThatFailsIsMadeOneByOne(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items := append(members(w, "a", "b", "c"), item(&thing{w: w, name: "s", want: ""}, nil, nil))
	items[1].Notifies = []int{3}
	of(items[0]).fails = func([]string) error { return errors.New("no such package b") }
	of(items[1]).applyErr = errors.New("no such package b")
	j := newMemory(w)
	rep := run(t, j, false, items...)
	want(t, outcomes(rep), "m/thing:a changed", "m/thing:b failed: no such package b", "m/thing:c changed")
	if len(j.pending) > 0 {
		t.Errorf("nothing was changed that notifies, and yet these are owed: %v", j.pending)
	}
	want(t, w.events, "notify [m/thing:s]", "join a b c", "apply a", "notify [m/thing:s]", "apply b", "apply c")
}

// A transaction may fail when it has done its work, or a part of it: that is reported all the same.
func TestWhatATransactionThatFailsDidIsReported(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items := members(w, "a", "b", "c")
	of(items[0]).fails = func([]string) error {
		w.values["a"], w.values["c"] = "1", "half"
		return errors.New("a script failed")
	}
	want(t, outcomes(run(t, newMemory(w), false, items...)), "m/thing:a changed", "m/thing:b changed", "m/thing:c changed")
	want(t, w.events, "join a b c", "apply b", "apply c")
}

func TestWhatATransactionLeavesIsDoneByItself(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items := members(w, "a", "b")
	of(items[1]).skips = true
	want(t, outcomes(run(t, newMemory(w), false, items...)), "m/thing:a changed", "m/thing:b changed")
	want(t, w.events, "join a b", "apply b")
}

func TestOrderTypeAndAuditKeepThingsApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(items []resource.Item) []resource.Item
		want    []string
	}{
		"alone":                {func(i []resource.Item) []resource.Item { return i[:1] }, []string{"apply a"}},
		"one differs":          {func(i []resource.Item) []resource.Item { of(i[0]).w.values["b"] = "1"; return i[:2] }, []string{"apply a"}},
		"one requires another": {func(i []resource.Item) []resource.Item { i[1].Requires = []int{0}; return i[:2] }, []string{"apply a", "apply b"}},
		"audit": {
			func(i []resource.Item) []resource.Item { i[1].Meta.Audit = true; return i }, []string{"join a c"},
		},
		"another type between": {
			func(i []resource.Item) []resource.Item {
				i[1].Resource = &of(i[1]).thing
				return i
			}, []string{"apply a", "apply b", "apply c"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			run(t, newMemory(w), false, c.prepare(members(w, "a", "b", "c"))...)
			want(t, w.events, c.want...)
		})
	}
	w := newWorld()
	rep := run(t, newMemory(w), true, members(w, "a", "b")...)
	want(t, w.events)
	want(t, outcomes(rep), "m/thing:a drift", "m/thing:b drift")
}

func TestPanicInATransactionIsAFailureOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorld()
	items := members(w, "a", "b")
	of(items[0]).fails = func([]string) error { panic("boom") }
	want(t, outcomes(run(t, newMemory(w), false, items...)), "m/thing:a changed", "m/thing:b changed")
}

// learner knows only once it is done what it changed.
type learner struct{ done bool }

func (l *learner) Plan(context.Context, *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if !l.done {
		p.Learn(func(context.Context) ([]change.Change, error) {
			l.done = true
			return []change.Change{change.Of("curl", "1", "2")}, nil
		}, change.Change{Field: "upgrades", To: change.Unknown})
	}
	return p, nil
}

func TestWhatAStepLearntIsReported(t *testing.T) {
	t.Parallel()
	l := &learner{}
	items := []resource.Item{{ID: resource.ID{Type: "learner", Name: "l"}, Module: "m", Resource: l, Digest: "1"}}
	w := newWorld()
	if rep := run(t, newMemory(w), true, items...); rep.Results[0].Changes[0].To != change.Unknown {
		t.Errorf("dry run: %v", rep.Results)
	}
	if rep := run(t, newMemory(w), false, items...); rep.Results[0].Outcome != report.Changed || rep.Results[0].Changes[0] != change.Of("curl", "1", "2") {
		t.Errorf("run: %v", rep.Results)
	}
}
