package converge_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// finisher leaves something for the end of the run.
type finisher struct {
	thing
	err error
}

func (f *finisher) Finish(context.Context, *host.Host) error {
	f.w.events = append(f.w.events, "finish "+f.name)
	return f.err
}

func finishing(f *finisher) resource.Item {
	it := item(&f.thing, nil, nil)
	it.Resource = f
	return it
}

func TestWhatIsLeftIsDoneAfterEverythingElse(t *testing.T) {
	t.Parallel()
	w := &world{values: map[string]string{}}
	got := run(t, newMemory(w), false, finishing(&finisher{thing: thing{w: w, name: "a", want: "1"}}), item(&thing{w: w, name: "b", want: "1"}, nil, nil))
	if diff := cmp.Diff([]string{"apply a", "apply b", "finish a"}, w.events); diff != "" {
		t.Error(diff)
	}
	if got.Counts != (report.Counts{Changed: 2}) {
		t.Errorf("counts: %+v", got.Counts)
	}
}

func TestNothingIsDoneAtTheEndOfADryRunOrForWhatFailed(t *testing.T) {
	t.Parallel()
	w := &world{values: map[string]string{}}
	broken := &finisher{thing: thing{w: w, name: "a", want: "1", planErr: errors.New("no")}}
	run(t, newMemory(w), false, finishing(broken))
	run(t, newMemory(w), true, finishing(&finisher{thing: thing{w: w, name: "b", want: "1"}}))
	if len(w.events) > 0 {
		t.Error(w.events)
	}
}

// A failure at the end is one of the resource, whether or not it had changed anything; and it was not brought into line.
func TestAFailureAtTheEndIsReported(t *testing.T) {
	t.Parallel()
	w := &world{values: map[string]string{"b": "1"}}
	j := newMemory(w)
	got := run(t, j, false, finishing(&finisher{thing{w: w, name: "a", want: "1"}, errors.New("no reload")}),
		finishing(&finisher{thing{w: w, name: "b", want: "1"}, errors.New("no reload")}))
	want := []string{"thing:a failed : at the end of the run: no reload", "thing:b failed : at the end of the run: no reload"}
	var said []string
	for _, r := range got.Results {
		said = append(said, r.ID[2:]+" "+string(r.Outcome)+" "+r.Refresh+": "+r.Reason)
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if got.Counts != (report.Counts{Failed: 2}) || j.enforced["m/thing:a"] != "" {
		t.Errorf("counts: %+v, enforced: %v", got.Counts, j.enforced)
	}
}

// restless owes a refresh, and has something left for the end.
type restless struct{ finisher }

func (r *restless) Refresh(context.Context, *host.Host) error {
	r.w.events = append(r.w.events, "refresh "+r.name)
	return nil
}

// What has to wait at the end is no failure. What it was refreshed for is owed again, or the next run would know of nothing to do.
func TestWhatWaitsAtTheEndIsOwedAgain(t *testing.T) {
	t.Parallel()
	w := &world{values: map[string]string{"a": "0", "b": "1"}}
	j := newMemory(w)
	waits := &restless{finisher{thing{w: w, name: "b", want: "1"}, &host.Wait{Reason: "1 of 1 place taken"}}}
	items := func() []resource.Item {
		a, b := item(&thing{w: w, name: "a", want: "1"}, nil, nil), finishing(&waits.finisher)
		b.Resource = waits
		a.Notifies = []int{1}
		return []resource.Item{a, b}
	}
	for range 2 {
		got := run(t, j, false, items()...)
		last := got.Results[len(got.Results)-1]
		if last.Outcome != report.Skipped || last.Reason != "1 of 1 place taken" || last.Refresh != "pending" || got.Counts.Failed != 0 {
			t.Errorf("%+v %+v", last, got.Counts)
		}
	}
	waits.err = nil
	run(t, j, false, items()...)
	if got := run(t, j, false, items()...); len(got.Results) != 0 {
		t.Errorf("there is something left to do: %+v", got.Results)
	}
	want := []string{"notify [m/thing:b]", "apply a", "refresh b", "finish b", "notify [m/thing:b]", "refresh b", "finish b", "notify [m/thing:b]",
		"refresh b", "finish b", "finish b"}
	if diff := cmp.Diff(want, w.events); diff != "" {
		t.Error(diff)
	}
}
