package fleetsim

import (
	"context"
	"sync"
	"time"
)

// A play has the nodes take their turns, evenly over the interval, for as long as it is run; it goes on where it stopped.
type play struct {
	s    *Sim
	next int // turns that were given out
	// enough ends it early when it is closed; nil: it does not end early.
	enough <-chan struct{}
}

func (s *Sim) newPlay() *play { return &play{s: s} }

type due struct {
	node *node
	at   time.Time
}

// run gives out turns for a time, and returns when all are over.
func (p *play) run(ctx context.Context, phase string, length time.Duration, changes float64) {
	s := p.s
	turns := make(chan due, len(s.nodes)) // a generator that is behind shows by how much, and does not slow down
	var all sync.WaitGroup
	for range min(workers, len(s.nodes)) {
		all.Go(func() {
			for d := range turns {
				s.take(ctx, d, changes)
			}
		})
	}
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.tell(ended, func(elapsed time.Duration, _ int) Progress { return s.progress(phase, elapsed, length) }, nil)
	}()
	p.pace(ctx, length, turns)
	close(turns)
	all.Wait()
	close(ended)
	<-told
}

func (p *play) pace(ctx context.Context, length time.Duration, turns chan<- due) {
	s := p.s
	each := float64(s.Interval) / float64(len(s.nodes))
	began, first := s.Now(), p.next
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		elapsed := s.Now().Sub(began)
		upTo := first + int(float64(min(elapsed, length))/each)
		for ; p.next < upTo; p.next++ {
			at := began.Add(time.Duration(float64(p.next-first) * each))
			select {
			case turns <- due{s.nodes[p.next%len(s.nodes)], at}:
			case <-ctx.Done():
				return
			}
		}
		if elapsed >= length {
			return
		}
		select {
		case <-tick.C:
		case <-p.enough:
			return
		case <-ctx.Done():
			return
		}
	}
}
