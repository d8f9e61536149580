package agent

import (
	"context"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// TestTheLoopKeepsTheHostAsDeclaredUntilItIsStopped runs the loop as the service does, with the clock of this machine.
func TestTheLoopKeepsTheHostAsDeclaredUntilItIsStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.now = time.Now()
	repaired, said := make(chan struct{}, 10), make(chan report.CheckIn, 1000)
	r.service.onPut = func(run report.Run) error {
		if run.Counts.Corrected > 0 {
			repaired <- struct{}{}
		}
		return nil
	}
	r.publish(motdPolicy("good"))
	a := r.start(func(c *Config) {
		c.Now, c.Enrolment.Interval = time.Now, 100*time.Millisecond
		c.Service = &overheard{r.service, said}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	next := func(what string, got <-chan struct{}) {
		t.Helper()
		select {
		case <-got:
		case <-ctx.Done():
			t.Fatalf("waiting for %s", what)
		}
	}
	for in := range said {
		if in.Run.Counts.OK == 1 { // the run after the first: all is as declared
			break
		}
	}
	r.drift()
	next("the repair", repaired)
	r.wantMotd("good")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type overheard struct {
	*recorder
	said chan report.CheckIn
}

func (o *overheard) CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error) {
	answer, err := o.recorder.CheckIn(ctx, c)
	o.said <- c
	return answer, err
}
