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
