package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
)

func newSpool(t *testing.T) *spool {
	t.Helper()
	s, err := openSpool(filepath.Join(t.TempDir(), "spool"), false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runAt is the nth run, a minute after the one before; it changed one resource.
func runAt(n int) report.Run {
	started := time.Date(2026, 11, 25, 12, n, 0, 0, time.UTC)
	return report.Run{ID: fmt.Sprintf("run-%d", n), Node: "web-1", Started: started, Took: time.Second, Counts: report.Counts{OK: 9, Changed: 1},
		Results: []report.Result{{ID: fmt.Sprint("m/file:/f", n), Outcome: report.Changed, Changes: []change.Change{change.Of("content", "a", "b")}}}}
}

func put(t *testing.T, s *spool, runs ...report.Run) {
	t.Helper()
	for _, r := range runs {
		if err := s.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// drained are the runs that a spool gives to a service which takes all.
func drained(t *testing.T, s *spool) []report.Run {
	t.Helper()
	to := &recorder{}
	if err := s.Drain(t.Context(), "web-1", to); err != nil {
		t.Fatal(err)
	}
	if s.Len() != 0 {
		t.Errorf("%d runs are left", s.Len())
	}
	return to.runs
}

func TestTheSpoolGivesEachRunOnceAndInOrder(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	put(t, s, runAt(2), runAt(1), runAt(3), runAt(2))
	again, err := openSpool(s.dir, false) // after a crash
	if err != nil {
		t.Fatal(err)
	}
	got := drained(t, again)
	if len(got) != 3 || got[0].ID != "run-1" || got[1].ID != "run-2" || got[2].ID != "run-3" {
		t.Errorf("delivered: %v", got)
	}
	if more := drained(t, again); len(more) != 0 {
		t.Errorf("delivered twice: %v", more)
	}
}

func TestTheSpoolStopsAtTheFirstThatIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	put(t, s, runAt(1), runAt(2), runAt(3))
	to := &recorder{onPut: func(r report.Run) error {
		if r.ID == "run-2" {
			return api.ErrUnreachable
		}
		return nil
	}}
	if err := s.Drain(t.Context(), "web-1", to); !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if got := drained(t, s); len(got) != 2 || got[0].ID != "run-2" {
		t.Errorf("left: %v", got)
	}
}

func TestALongTimeOfflineCostsDetailAndNoChange(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const all = spoolLimit + 40
	for n := range all {
		put(t, s, runAt(n))
	}
	if n := s.Len(); n != spoolLimit {
		t.Errorf("%d runs on disk, at most %d", n, spoolLimit)
	}
	got := drained(t, s)
	changed, results := 0, map[string]bool{}
	for _, r := range got {
		changed += r.Counts.Changed
		for _, res := range r.Results {
			results[res.ID] = true
		}
	}
	if changed != all || len(results) != all {
		t.Errorf("%d changes counted and %d kept, want %d", changed, len(results), all)
	}
	oldest := got[0]
	if !oldest.Started.Equal(runAt(0).Started) || oldest.Took != 40*time.Minute+time.Second || oldest.Counts.Changed != 41 {
		t.Errorf("the oldest: from %s, %s long, %+v", oldest.Started, oldest.Took, oldest.Counts)
	}
	if got[1].ID != "run-41" {
		t.Errorf("the second oldest is %s", got[1].ID)
	}
}

func TestARunThatIsRefusedForGoodDoesNotHoldUpTheRest(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	put(t, s, runAt(1), runAt(2))
	to := &recorder{onPut: func(r report.Run) error {
		if r.ID == "run-1" {
			return api.ErrBadRequest
		}
		return nil
	}}
	if err := s.Drain(t.Context(), "web-1", to); !errors.Is(err, api.ErrBadRequest) {
		t.Errorf("nobody was told: %v", err)
	}
	if got := drained(t, s); len(got) != 1 || got[0].ID != "run-2" {
		t.Errorf("delivered after it: %v", got)
	}
}

func TestRunsOfAnEarlierNameAreDeliveredUnderTheNewOne(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	put(t, s, runAt(1))
	to := &recorder{}
	if err := s.Drain(t.Context(), "web-2", to); err != nil || to.runs[0].Node != "web-2" {
		t.Errorf("%v, %v", to.runs, err)
	}
}

func TestARunThatIsTooLargeLosesResultsAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	big := runAt(1)
	big.Results = nil
	for n := range 300 {
		big.Results = append(big.Results, report.Result{ID: fmt.Sprint("m/file:/", n), Outcome: report.Changed, Reason: strings.Repeat("x", 64<<10)})
	}
	many := runAt(2)
	many.Results = make([]report.Result, api.MaxResults+10)
	put(t, s, big, many)
	for _, r := range drained(t, s) {
		last := r.Results[len(r.Results)-1]
		if len(r.Results) > api.MaxResults || last.Outcome != report.Skipped || !strings.Contains(last.Reason, "are left out") {
			t.Errorf("%s: %d results, the last is %.200v", r.ID, len(r.Results), last)
		}
		if r.Counts != runAt(1).Counts || r.Error != "" {
			t.Errorf("%s: %+v %s", r.ID, r.Counts, r.Error)
		}
	}
}

func TestWhatWaitsInMemoryIsDeliveredFromThere(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	if err := errors.Join(os.Remove(s.dir), os.WriteFile(s.dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if s.Put(t.Context(), runAt(1)) == nil {
		t.Fatal("it said that the run is on disk")
	}
	to := &recorder{}
	if err := s.Drain(t.Context(), "web-1", to); err == nil {
		t.Error("nobody was told that the spool cannot be read")
	}
	if len(to.runs) != 1 || s.Len() != 0 {
		t.Errorf("delivered: %v", to.runs)
	}
}

// TestPutDoesNotWaitForTheService: a service that does not answer holds up reports, never a cycle.
func TestPutDoesNotWaitForTheService(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	put(t, s, runAt(1))
	asked, answer := make(chan struct{}), make(chan struct{})
	slow := sinkFunc(func(context.Context, report.Run) error {
		close(asked)
		<-answer
		return nil
	})
	done := make(chan error)
	go func() { done <- s.Drain(t.Context(), "web-1", slow) }()
	<-asked
	put(t, s, runAt(2))
	if n := s.Len(); n != 2 {
		t.Errorf("%d runs are not delivered, want 2", n)
	}
	close(answer)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := drained(t, s); len(got) != 1 || got[0].ID != "run-2" {
		t.Errorf("left: %v", got)
	}
}

// TestARunThatIsBeingDeliveredIsNotMerged: it would be counted in two runs.
func TestARunThatIsBeingDeliveredIsNotMerged(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for n := range spoolLimit {
		put(t, s, runAt(n))
	}
	changed := 0
	first := true
	err := s.Drain(t.Context(), "web-1", sinkFunc(func(_ context.Context, r report.Run) error {
		if first {
			first = false
			put(t, s, runAt(spoolLimit), runAt(spoolLimit+1))
		}
		changed += r.Counts.Changed
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range drained(t, s) {
		changed += r.Counts.Changed
	}
	if changed != spoolLimit+2 {
		t.Errorf("%d changes, want %d", changed, spoolLimit+2)
	}
}

type sinkFunc func(context.Context, report.Run) error

func (f sinkFunc) Put(ctx context.Context, r report.Run) error { return f(ctx, r) }
