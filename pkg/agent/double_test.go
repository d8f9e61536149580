package agent

import (
	"context"
	"errors"
	"sync"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
)

// line is the way to a registry, which may be cut.
type line struct {
	bundle.Source
	mu    sync.Mutex
	down  bool
	stall func() // what a question for a tag waits for
}

var errCut = errors.New("no route to host")

func (l *line) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

func (l *line) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	l.mu.Lock()
	down, stall := l.down, l.stall
	l.mu.Unlock()
	if stall != nil {
		stall()
	}
	if down {
		return bundle.Descriptor{}, errCut
	}
	return l.Source.Resolve(ctx, tag)
}

func (l *line) Referrers(ctx context.Context, d bundle.Descriptor, kind string) ([]bundle.Descriptor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errCut
	}
	return l.Source.Referrers(ctx, d, kind)
}

// recorder is a report service that remembers what it was told, and may be away.
type recorder struct {
	mu       sync.Mutex
	away     error
	asked    int // check-ins, also while it is away
	checkIns []report.CheckIn
	runs     []report.Run
	answer   report.Answer
	onPut    func(report.Run) error
}

// times is how often it was asked to take a check-in.
func (s *recorder) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *recorder) CheckIn(_ context.Context, c report.CheckIn) (report.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.away != nil {
		return report.Answer{}, s.away
	}
	s.checkIns = append(s.checkIns, c)
	return s.answer, nil
}

func (s *recorder) Put(_ context.Context, r report.Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return s.away
	}
	if s.onPut != nil {
		if err := s.onPut(r); err != nil {
			return err
		}
	}
	s.runs = append(s.runs, r)
	return nil
}

func (s *recorder) PutFacets(context.Context, report.Facets) error { return nil }

func (s *recorder) last(t *testing.T) report.CheckIn {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.checkIns) == 0 {
		t.Fatal("nobody checked in")
	}
	return s.checkIns[len(s.checkIns)-1]
}
