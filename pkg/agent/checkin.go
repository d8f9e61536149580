package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// checkInTimeout bounds a check-in with all that follows from it.
const checkInTimeout = 20 * time.Second

// minInterval is the shortest interval that a service can ask for.
const minInterval = 100 * time.Millisecond

// maxError bounds the error of a run in a check-in, in bytes; the report of the run has it all.
const maxError = 4000

// heartbeat checks in every interval and after each cycle.
func (a *Agent) heartbeat(ctx context.Context) {
	failures := 0
	for {
		timer := time.NewTimer(a.beat())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-a.wake:
			timer.Stop()
		}
		switch err := a.CheckIn(ctx); {
		case err == nil && failures > 0:
			a.Log.Info("the report service answers again", "missed", failures)
			failures = 0
		case err != nil && ctx.Err() == nil:
			if failures++; failures == 1 {
				a.Log.Warn("checking in; reports are spooled until the service answers", "err", err)
			}
		}
		a.rest()
	}
}

// longSleep is how long an agent must sleep for it to pay to become small first.
const longSleep = time.Minute

// rest makes a process that will sleep for long ready for that.
func (a *Agent) rest() {
	if a.Rest == nil || a.beat() < longSleep {
		return
	}
	if err := a.Rest(); err != nil {
		a.Log.Debug("before sleeping", "err", err)
	}
}

// beat is the longest silence of an agent: its interval. A cycle nudges sooner.
func (a *Agent) beat() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, waiting := a.guard.Left(); waiting {
		return min(a.interval, guardBeat)
	}
	return a.interval
}

func (a *Agent) nudgeCheckIn() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// CheckIn tells the service how this node is, delivers what is spooled and sends the traits it asks for.
func (a *Agent) CheckIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkInTimeout)
	defer cancel()
	mark := a.guard.Mark()
	if c, can := a.Service.(interface{ Close() }); can && mark > 0 {
		c.Close() // a connection that a firewall lets go on says nothing of the next one
	}
	in, facets := a.compose()
	digests := make(map[string]string, len(facets))
	for name, facet := range facets {
		digests[name] = facet.Digest
	}
	answer, err := a.Service.CheckIn(ctx, in)
	if err != nil {
		return fmt.Errorf("checking in: %w", err)
	}
	if answer.Names && in.Facets == nil {
		in.Facets = digests // those of the root that was named
		if answer, err = a.Service.CheckIn(ctx, in); err != nil {
			return fmt.Errorf("checking in: %w", err)
		}
	}
	if err := a.guard.Confirm(mark); err != nil {
		a.trouble(err)
	}
	a.heed(answer, in.Traits)
	return errors.Join(a.spool.Drain(ctx, a.Enrolment.Node, a.Service), a.sendFacets(ctx, answer.Need, facets))
}

func (a *Agent) compose() (report.CheckIn, map[string]trait.Facet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in := report.CheckIn{
		Node: a.Enrolment.Node, Boot: a.boot, Agent: a.Version, Interval: a.interval, Channel: a.Enrolment.Channel,
		Root: a.root.Version, Bundle: a.trust.Enforced.Digest, Refusals: a.refusals.All(), Pinned: a.pin.stands(), Why: a.pin.Reason, Spooled: a.spool.Len(),
		Run: report.Summary{ID: a.last.ID, Started: a.last.Started, Took: a.last.Took, Counts: a.last.Counts, Error: excerpt.Of(a.last.Error, maxError),
			Before: a.last.ID != "" && a.last.Bundle != a.trust.Enforced.Digest},
	}
	if a.trust.Pointer.Seq > 0 {
		in.Pointer = a.trust.Pointer.Version()
		in.Age = a.Now().Sub(a.trust.Pointer.Issued)
	}
	digests, facets := a.tells()
	if len(digests) > 0 {
		in.Traits = trait.Root(digests)
		if in.Traits != a.acked {
			in.Facets = digests
		}
	}
	return in, facets
}

// heed follows what the service answered, also after a restart without a network.
func (a *Agent) heed(answer report.Answer, root string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acked = root
	changed := false
	if interval := max(answer.Interval, minInterval); answer.Interval > 0 && interval != a.interval {
		a.Log.Info("the interval is changed", "from", a.interval, "to", interval)
		a.interval, a.Enrolment.Interval, changed = interval, interval, true
		select {
		case a.retimed <- struct{}{}:
		default:
		}
	}
	if answer.Labels != nil && !maps.Equal(answer.Labels, a.labels) {
		a.labels, a.Enrolment.Labels, changed = answer.Labels, answer.Labels, true
	}
	if !changed {
		return
	}
	if err := a.State.SaveEnrolment(a.Enrolment); err != nil {
		a.Log.Warn("keeping what the service said", "err", err)
	}
}

func (a *Agent) sendFacets(ctx context.Context, need []string, have map[string]trait.Facet) error {
	if len(need) == 0 {
		return nil
	}
	wanted := make(map[string]bool, len(need))
	for _, digest := range need {
		wanted[digest] = true
	}
	upload := report.Facets{Node: a.Enrolment.Node}
	for _, facet := range have {
		if wanted[facet.Digest] {
			upload.Facets = append(upload.Facets, facet)
		}
	}
	if len(upload.Facets) == 0 {
		return nil
	}
	if err := a.Service.PutFacets(ctx, upload); err != nil {
		return fmt.Errorf("sending traits: %w", err)
	}
	return nil
}
