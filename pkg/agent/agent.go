// Package agent is the program that keeps one host in its declared state: channel pointer, bundle, verification, traits,
// catalog, convergence, report; and the same from its cache when the network is gone.
//
// It refuses to act on anything that was not verified, to go back to an older pointer, to stop enforcing because
// something cannot be reached, and to push to a registry: it is handed a read-only source.
package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
	"vigo.dev/pkg/trust"
)

// A Service is the report service as an agent sees it. Its errors mean that the service could not be reached or would
// not answer; nothing is lost by them.
type Service interface {
	report.Sink
	CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error)
	PutFacets(ctx context.Context, f report.Facets) error
}

// Config is what an agent is made of.
type Config struct {
	Version   string
	Enrolment Enrolment
	State     State
	Root      trust.Root
	Origin    bundle.Source // the cache in front of the registries, in order
	Service   Service
	Language  catalog.Language
	NewHost   func() *host.Host // a fresh view of the host for one run
	Log       *slog.Logger
	Now       func() time.Time
	DryRun    bool
	// RunDeadline bounds one convergence; 0: one hour.
	RunDeadline time.Duration
	// Jitter returns a number in [0,1) that spreads the cycles of a fleet.
	Jitter func() float64
}

// An Agent runs the loop of one host.
type Agent struct {
	Config
	verifier *trust.Verifier
	journal  *journal
	spool    *spool
	refusals refusals
	gather   *traits.Scheduler

	mu       sync.Mutex
	trust    trustDoc
	loaded   *loaded
	interval time.Duration
	labels   map[string]string
	last     report.Run        // the last run
	told     string            // signature of the last run that was spooled, to tell a change only once
	digests  map[string]string // trait name to facet digest
	facets   map[string]trait.Facet
	acked    string // trait root the service has
	wake     chan struct{}
}

// New opens the state of an agent. The caller holds the lock of the state directory.
func New(c Config) (*Agent, error) {
	if c.RunDeadline == 0 {
		c.RunDeadline = time.Hour
	}
	a := &Agent{Config: c, interval: c.Enrolment.Interval, labels: c.Enrolment.Labels, wake: make(chan struct{}, 1)}
	if a.interval <= 0 {
		a.interval = 30 * time.Second
	}
	var err error
	if a.journal, err = openJournal(c.State.Path(journalFile)); a.journal == nil {
		return nil, err
	} else if err != nil {
		c.Log.Warn("going on with an empty journal", "err", err)
	}
	if a.spool, err = openSpool(c.State.Path(spoolDir)); err != nil {
		return nil, err
	}
	if _, err := c.State.readJSON(trustFile, &a.trust); err != nil {
		return nil, fmt.Errorf("%w; without it an old pointer could be replayed, so the node must be enrolled again", err)
	}
	a.verifier = trust.NewVerifier(c.Root, c.Now)
	a.gather = traits.NewScheduler(traits.All(), c.Now)
	return a, nil
}

// Run cycles until ctx ends: one cycle at once, then one every interval, spread by jitter. Check-ins go on while a
// long convergence works.
func (a *Agent) Run(ctx context.Context) error {
	var beats sync.WaitGroup
	defer beats.Wait()
	beats.Go(func() { a.heartbeat(ctx) })
	for {
		if _, err := a.Cycle(ctx); err != nil && ctx.Err() == nil {
			a.Log.Warn("cycle", "err", err)
		}
		a.nudgeCheckIn()
		if !wait(ctx, a.spread()) {
			return nil
		}
	}
}

// Once makes one cycle and reports it.
func (a *Agent) Once(ctx context.Context) (report.Run, error) {
	run, err := a.Cycle(ctx)
	if reportErr := a.CheckIn(ctx); reportErr != nil {
		a.Log.Warn("reporting; the run stays in the spool", "err", reportErr)
	}
	return run, err
}

// spread returns the time to the next cycle: the interval, up to a tenth shorter or longer, so that a fleet that was
// started together does not stay together.
func (a *Agent) spread() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(float64(a.interval) * (0.9 + 0.2*a.Jitter()))
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
