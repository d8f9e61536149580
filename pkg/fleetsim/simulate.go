package fleetsim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout/sim"
	"vigo.dev/pkg/trait"
)

// workers is how many nodes are served at once.
const workers = 256

// simulate introduces the nodes in one interval, measures, and sees who is found stale.
func (s *Sim) simulate(ctx context.Context) (Figures, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, h := range s.hubs {
		group.Go(func() error { return h.report(ctx, s.Nodes/len(s.hubs), s.Version, s.Now) })
	}
	group.Go(func() error { return s.reportDark(ctx) })
	for _, f := range s.followed {
		group.Go(func() error { f.keep(ctx); return nil })
	}
	group.Go(func() error { s.watch(ctx); return nil })
	var f Figures
	group.Go(func() (err error) {
		defer cancel()
		f, err = s.measure(ctx)
		return err
	})
	err := group.Wait()
	return f, err
}

func (s *Sim) measure(ctx context.Context) (Figures, error) {
	for _, n := range s.nodes {
		if err := n.describe(&s.docs); err != nil {
			return Figures{}, err
		}
	}
	s.say("introducing %d nodes, %s, in one interval of %s", s.Nodes, s.how(), s.Interval)
	play := s.newPlay()
	play.run(ctx, "introducing", s.Interval, 0)
	if ctx.Err() != nil {
		return Figures{}, ctx.Err()
	}
	intro := s.tally.take()
	if intro.checkIns.n == 0 {
		return Figures{}, fmt.Errorf("introducing the simulated nodes: no check-in was answered (%d without an answer, %d busy, refused: %v)",
			intro.unanswered, intro.pressure, intro.refused)
	}
	f, err := s.figure(ctx, play, intro)
	if err != nil {
		return f, err
	}
	st, err := s.People.Status(ctx, 0)
	if err != nil {
		return f, err
	}
	f.Presences = st.Presences
	if f.Rollout, err = s.rolledOut(ctx); err != nil {
		return f, err
	}
	f.Runs, err = s.audit(ctx)
	return f, err
}

// figure measures, and sees what the service makes of those that go silent at half time.
func (s *Sim) figure(ctx context.Context, play *play, intro counts) (Figures, error) {
	before, sent, received := s.scrape(ctx), s.bytes.sent.Load(), s.bytes.received.Load()
	s.say("measuring for %s: %.0f check-ins a second", s.Duration, float64(s.Nodes)/s.Interval.Seconds())
	listening, stop := context.WithCancel(ctx)
	defer stop()
	heard := make(chan []Outage, 1)
	go func() { heard <- s.listen(listening) }()
	began := s.Now()
	if s.Rollout {
		play.enough = s.over
	}
	play.run(ctx, "measuring", s.Duration/2, s.Changes)
	silence := s.silence()
	play.run(ctx, "measuring", s.Duration-s.Duration/2, s.Changes)
	took := s.Now().Sub(began)
	after := s.scrape(ctx)
	f := s.figures(intro, s.tally.take(), took, before, after)
	f.Sent, f.Received = s.bytes.sent.Load()-sent, s.bytes.received.Load()-received
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	if s.Silent+s.Dark > 0 {
		if err := s.wait(ctx, play, silence); err != nil {
			return f, err
		}
	}
	stop()
	f.Outages = <-heard
	return f, s.judge(ctx, &f, began)
}

func (s *Sim) how() string {
	if s.Shared == Own {
		return "each with a connection of its own"
	}
	return fmt.Sprintf("over shared connections of %d hubs", len(s.hubs))
}

// tell calls Progress each second until ended is closed.
func (s *Sim) tell(ended <-chan struct{}, what func(elapsed time.Duration, last int) Progress, done func() int) {
	if s.Progress == nil {
		<-ended
		return
	}
	began, last := s.Now(), 0
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		s.Progress(what(s.Now().Sub(began), last))
		if done != nil {
			last = done()
		}
	}
}

func (s *Sim) progress(phase string, elapsed, of time.Duration) Progress {
	p := Progress{Phase: phase, Elapsed: elapsed, Of: of}
	s.tally.with(func(t *tally) {
		p.Done, p.P99, p.Behind, p.Failed = t.second.n, t.second.at(.99), t.behind, t.lost
		t.second, t.behind, t.lost = histogram{}, 0, 0
	})
	return p
}

// take is one turn of a node: it checks in, and sends what the service asks for.
func (s *Sim) take(ctx context.Context, d due, changes float64) {
	n := d.node
	if ctx.Err() != nil || n.silent.Load() || n.agent.Fate.Off {
		return
	}
	if !n.busy.CompareAndSwap(false, true) { // its last turn took an interval
		s.tally.with(func(t *tally) { t.skipped++ })
		return
	}
	defer n.busy.Store(false)
	if n.agent.Dead() {
		return
	}
	delay := s.Now().Sub(d.at)
	changed := n.acked != "" && rand.Float64() < changes
	if changed {
		if err := n.change(&s.docs); err != nil {
			s.failed(ctx, err)
			return
		}
	}
	s.waited(n)
	defer func() { n.over = s.Now() }()
	s.tally.with(func(all *tally) {
		all.delay.add(delay)
		all.behind = max(all.behind, delay)
		if changed {
			all.changes++
		}
	})
	for _, says := range s.decided(n) {
		if err := s.tellOf(ctx, n, says); err != nil {
			s.failed(ctx, err)
		}
	}
}

// tellOf is a check-in with what a node says.
func (s *Sim) tellOf(ctx context.Context, n *node, says sim.Says) error {
	t, err := n.compose(&s.docs, says, s.Failures, s.Interval, s.Version, s.Now())
	if err != nil {
		return err
	}
	if t.run != nil {
		s.tally.with(func(all *tally) { all.failures++ })
	}
	return s.converse(ctx, n, t)
}

// waited takes note of a node that this machine let wait for nearly three intervals after its last turn was over: it is silent for
// the service, too.
func (s *Sim) waited(n *node) {
	n.starved = n.starved || !n.over.IsZero() && s.Now().Sub(n.over) > s.patience()
}

// patience is how long a node may wait for its turn without counting as silent.
func (s *Sim) patience() time.Duration { return max(s.told, s.Interval) * 5 / 2 }

// converse is a check-in with all that follows, as an agent does it.
func (s *Sim) converse(ctx context.Context, n *node, t turn) error {
	answer, err := s.checkIn(ctx, n, t.checkIn)
	if err != nil {
		return err
	}
	if answer.Names && t.checkIn.Facets == nil {
		if t.checkIn.Facets, err = s.docs.digests(n); err != nil {
			return err
		}
		if answer, err = s.checkIn(ctx, n, t.checkIn); err != nil {
			return err
		}
	}
	n.acked = t.checkIn.Traits
	if err := s.deliver(ctx, n, t.run); err != nil {
		return err
	}
	if len(answer.Need) == 0 {
		return nil
	}
	facets, err := s.docs.all(n)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, digest := range answer.Need {
		wanted[digest] = true
	}
	up := report.Facets{Node: n.name}
	for _, f := range facets {
		if wanted[f.Digest] {
			up.Facets = append(up.Facets, trait.Facet{Name: f.Name, Digest: f.Digest, Doc: f.Doc})
		}
	}
	return s.upload(func() error { return n.link.PutFacets(ctx, up) })
}

// deliver sends the run of a turn, if it is to be told whole, and the one before that was not acknowledged.
func (s *Sim) deliver(ctx context.Context, n *node, run *report.Run) error {
	var runs []report.Run
	for _, r := range []*report.Run{n.owed, run} {
		if r != nil {
			runs = append(runs, *r)
		}
	}
	if len(runs) == 0 {
		return nil
	}
	if run != nil {
		n.owed = run
	}
	if err := s.upload(func() error { return n.link.PutRuns(ctx, runs) }); err != nil {
		return err
	}
	n.owed = nil
	for _, r := range runs {
		s.ledger.add(r)
	}
	return nil
}

func (s *Sim) checkIn(ctx context.Context, n *node, c report.CheckIn) (report.Answer, error) {
	sent := s.Now()
	answer, err := n.link.CheckIn(ctx, c)
	took := s.Now().Sub(sent)
	if err == nil {
		s.tally.with(func(t *tally) {
			t.checkIns.add(took)
			t.second.add(took)
			t.pulse.done++
		})
	}
	return answer, err
}

func (s *Sim) upload(do func() error) error {
	sent := s.Now()
	if err := do(); err != nil {
		return err
	}
	took := s.Now().Sub(sent)
	s.tally.with(func(t *tally) { t.uploads.add(took) })
	return nil
}

// failed counts why a turn was not taken to its end.
func (s *Sim) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	var said *api.Error
	s.tally.with(func(t *tally) {
		t.lost++
		t.pulse.lost++
		switch {
		case errors.As(err, &said) && said.Retry > 0:
			t.pressure++
		case errors.As(err, &said):
			if t.refused == nil {
				t.refused = map[string]int{}
			}
			t.refused[said.Code]++
		default:
			t.unanswered++
			if t.why == "" {
				t.why = err.Error()
			}
		}
	})
}
