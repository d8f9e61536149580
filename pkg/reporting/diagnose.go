package reporting

import (
	"context"
	"sync"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

const (
	// diagnosisHolds is for how long an examination answers those who ask: it reads the whole store.
	diagnosisHolds = 30 * time.Second
	// diagnosisWait is how long who asks waits for one that goes on, before asking again; less than a request may take.
	diagnosisWait = 10 * time.Second
)

// examiner holds the last examination. One is made at a time, whoever asks.
type examiner struct {
	mu     sync.Mutex
	last   report.Diagnosis
	until  time.Time     // for how long last answers
	done   chan struct{} // closed when the one that goes on is over; nil: none does
	wanted chan struct{}
}

// Diagnose implements api.Doctor.
func (s *Service) Diagnose(ctx context.Context) (report.Diagnosis, error) {
	if s.Examine == nil {
		return report.Diagnosis{}, api.Refuse(api.ErrNotFound, "this service has no data folder to examine")
	}
	e := &s.examiner
	e.mu.Lock()
	now := s.Now()
	if e.done == nil && e.last.Done && now.Before(e.until) && !now.Before(e.last.At) {
		defer e.mu.Unlock()
		return e.last, nil
	}
	if e.done == nil {
		e.last, e.done = report.Diagnosis{At: now.UTC(), Checks: []report.Check{}}, make(chan struct{})
		e.wanted <- struct{}{} // has room: there is one at a time
	}
	done := e.done
	e.mu.Unlock()
	wait := time.NewTimer(diagnosisWait)
	defer wait.Stop()
	select {
	case <-done:
	case <-wait.C:
	case <-ctx.Done():
		return report.Diagnosis{}, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last, nil
}

// keepExamining examines the service when somebody wants it, until ctx ends.
func (s *Service) keepExamining(ctx context.Context) {
	e := &s.examiner
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.wanted:
		}
		found := s.Examine(ctx)
		if ctx.Err() != nil {
			return
		}
		e.mu.Lock()
		e.last, e.until = found, s.Now().Add(diagnosisHolds)
		close(e.done)
		e.done = nil
		e.mu.Unlock()
	}
}
