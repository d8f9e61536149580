package reporting

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

// TestDiagnose: however many ask, one examination is made at a time; it answers for a while, and one that takes long is told of
// before it is done.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var made atomic.Int64
		takes := time.Second
		s := &Service{Config: Config{Now: time.Now, Examine: func(context.Context) report.Diagnosis {
			made.Add(1)
			time.Sleep(takes)
			return report.Diagnosis{At: time.Now(), Done: true}
		}}}
		s.examiner.wanted = make(chan struct{}, 1)
		go s.keepExamining(ctx)
		ask := func(want bool, total int64) {
			t.Helper()
			answers := make(chan report.Diagnosis)
			for range 10 {
				go func() {
					d, err := s.Diagnose(ctx)
					must(t, err)
					answers <- d
				}()
			}
			for range 10 {
				if d := <-answers; d.Done != want {
					t.Errorf("done %v, want %v", d.Done, want)
				}
			}
			if n := made.Load(); n != total {
				t.Errorf("%d examinations, want %d", n, total)
			}
		}
		ask(true, 1)
		time.Sleep(diagnosisHolds / 2)
		ask(true, 1)
		time.Sleep(diagnosisHolds)
		takes = diagnosisWait * 3 / 2
		ask(false, 2)
		ask(true, 2)
	})
	if _, err := (&Service{}).Diagnose(t.Context()); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a service without a data folder: %v", err)
	}
}
