package traits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// stableEvery and hourlyEvery are how long traits of these classes are kept.
const (
	stableEvery = 5 * time.Minute
	hourlyEvery = time.Hour
)

// Gathered is the traits of a machine at one moment.
type Gathered struct {
	Set trait.Set // everything, as conditions see it
	// Facets and Digests, by trait name, are of the traits that are not volatile: what the service is sent.
	Facets   map[string]trait.Facet
	Digests  map[string]string
	Problems map[string]string // trait name to what went wrong
}

// A Scheduler collects each trait as often as its class asks for and keeps the last values. It is for one goroutine.
type Scheduler struct {
	collectors []Collector
	now        func() time.Time
	last       map[string]*kept
	away       map[string]<-chan outcome // of collectors that were left behind: what they say when they come back
}

type kept struct {
	at    time.Time
	stamp string // of the sources when it was collected
	facet trait.Facet
	value any
	none  bool
}

// NewScheduler makes a scheduler that has collected nothing yet.
func NewScheduler(collectors []Collector, now func() time.Time) *Scheduler {
	return &Scheduler{collectors: collectors, now: now, last: map[string]*kept{}, away: map[string]<-chan outcome{}}
}

// Gather collects what is due, all at once, each within its own time, and returns everything. A collector that hangs, such as
// in the kernel on a dead disk, keeps its goroutine: it is not started again before it has come back.
func (s *Scheduler) Gather(ctx context.Context, h *host.Host, about Agent) Gathered {
	now := s.now()
	g := Gathered{Set: trait.Set{}, Facets: map[string]trait.Facet{}, Digests: map[string]string{}, Problems: map[string]string{}}
	var due []Collector
	stamps := map[string]string{} // taken before the trait is: a change meanwhile makes it due again
	for _, c := range s.collectors {
		if s.isAway(c.name) {
			g.Problems[c.name] = "it has not come back from an earlier time: does a file system hang?"
			continue
		}
		stamps[c.name] = c.stamp(h)
		k := s.last[c.name]
		if k == nil || k.stamp != stamps[c.name] || now.Sub(k.at) >= c.every || now.Before(k.at) {
			due = append(due, c)
		}
	}
	for name, r := range collectAll(ctx, h, due) {
		if r.late != nil {
			s.away[name] = r.late
		}
		if err := s.keep(name, r, now); err != nil {
			g.Problems[name] = err.Error()
		}
		if k := s.last[name]; k != nil {
			k.stamp = stamps[name]
		}
	}
	for _, c := range s.collectors {
		k := s.last[c.name]
		if k == nil || k.none {
			continue
		}
		g.Set[c.name] = k.value
		if c.class != trait.Volatile {
			g.Facets[c.name], g.Digests[c.name] = k.facet, k.facet.Digest
		}
	}
	g.Set["agent"] = plain(about)
	return g
}

// isAway says whether a collector that was left behind has not come back. What it has to say then is old.
func (s *Scheduler) isAway(name string) bool {
	late, left := s.away[name]
	if !left {
		return false
	}
	select {
	case <-late:
		delete(s.away, name)
		return false
	default:
		return true
	}
}

// every is the pace of a class.
func every(class trait.Class) time.Duration {
	switch class {
	case trait.Stable:
		return stableEvery
	case trait.Hourly:
		return hourlyEvery
	}
	return 0
}

type outcome struct {
	doc  json.RawMessage
	err  error
	late <-chan outcome // of a collector that was left behind
}

// collectAll runs collectors side by side. One that does not answer in time is left behind.
func collectAll(ctx context.Context, h *host.Host, due []Collector) map[string]outcome {
	results := make(map[string]outcome, len(due))
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, c := range due {
		all.Go(func() {
			r := collectOne(ctx, h, c)
			mu.Lock()
			defer mu.Unlock()
			results[c.name] = r
		})
	}
	all.Wait()
	return results
}

func collectOne(ctx context.Context, h *host.Host, c Collector) outcome {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer := make(chan outcome, 1)
	go func() {
		doc, err := c.collect(ctx, h)
		answer <- outcome{doc: doc, err: err}
	}()
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("it did not answer within %s", c.timeout), late: answer}
	}
}

// keep takes over what a collector said and returns what went wrong. After a failure the last value stays.
func (s *Scheduler) keep(name string, r outcome, now time.Time) error {
	k := s.last[name]
	if errors.Is(r.err, trait.ErrNone) {
		s.last[name] = &kept{at: now, none: true}
		return nil
	}
	if r.doc == nil {
		if k != nil {
			k.at = now
		} else {
			s.last[name] = &kept{at: now, none: true}
		}
		return r.err
	}
	facet, err := trait.FacetOf(name, r.doc)
	if err != nil {
		return err
	}
	if k != nil && k.facet.Digest == facet.Digest {
		k.at = now
		return r.err
	}
	var value any
	if err := json.Unmarshal(facet.Doc, &value); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	s.last[name] = &kept{at: now, facet: facet, value: value}
	return r.err
}

// plain returns v as a value of JSON.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var value any
	if json.Unmarshal(data, &value) != nil {
		return nil
	}
	return value
}
