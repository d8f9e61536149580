// Package agent is the program that keeps one host in its declared state: channel pointer, bundle, verification, traits,
// catalog, convergence, report; and the same from its cache when the network is gone.
//
// It refuses to act on anything that was not verified, to go back to an older pointer, to stop enforcing because
// something cannot be reached, and to push to a registry: it is handed a read-only source.
package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
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
	Root      trust.Root      // in force at the start; newer ones are followed
	Origin    *ocistore.Cache // in front of the registries, in order
	Service   Service
	Language  catalog.Language
	Key       identity.NodeKey  // of the node; secrets are sealed to it
	NewHost   func() *host.Host // a fresh view of the host for one run
	Log       *slog.Logger
	Now       func() time.Time
	// DryRun looks at what a cycle would do: nothing is changed, written or reported.
	DryRun bool
	// RunDeadline bounds one convergence; 0: one hour.
	RunDeadline time.Duration
	// Jitter returns a number in [0,1) that spreads the cycles of a fleet.
	Jitter func() float64
	// Boot tells which boot of the machine this is and how long it has been up; nil: that of this machine.
	Boot guard.Clock
	// Leaser gives the turns to reboot; nil: nobody can be asked.
	Leaser Leaser
	// Rest is called when the agent will sleep for a minute or more; optional.
	Rest func() error
}

// An Agent runs the loop of one host.
type Agent struct {
	Config
	journal  *journal
	spool    *spool
	refusals refusals
	guard    *guard.Keeper
	secrets  atomic.Pointer[opened] // of the bundle in force, for what is shown and logged
	gather   *traits.Scheduler
	boot     string // of the machine, as the service is told; empty: not known

	// Of the goroutine that cycles alone:
	begun  string          // digest of the bundle that this process counts an attempt for
	trying <-chan struct{} // closed when it is known whether the registries are there; nil: nobody asks
	rooted time.Time       // when it was last found that there is no newer trust root
	told   string          // signature of the last run, to tell a failure only once
	failed bool            // the last run found something that is not as declared
	worked time.Time       // when the last run ended; waiting for a registry after it is part of the interval
	hurry  time.Duration   // the next cycle comes that soon, if that is within the interval; 0: when it is its time

	mu       sync.Mutex
	root     trust.Root // in force
	trust    trustDoc
	loaded   *loaded
	interval time.Duration
	labels   map[string]string
	last     report.Run        // the last run
	digests  map[string]string // trait name to facet digest
	facets   map[string]trait.Facet
	controls trait.Facet // which resources serve which control; without a name there are none
	group    trait.Facet // in which this node takes turns to reboot; without a name in none
	moded    trait.Facet // in which modes it is; without a name there are none
	pin      Pin         // read at the beginning of each cycle
	acked    string      // trait root the service has
	troubles []string
	past     *remembered   // secrets to be masked; nil until the first is opened
	wake     chan struct{} // check in now
	retimed  chan struct{} // the interval has changed
}

// New opens the state of an agent. The caller holds the lock of the state directory.
func New(c Config) (*Agent, error) {
	if c.RunDeadline == 0 {
		c.RunDeadline = time.Hour
	}
	a := &Agent{Config: c, root: c.Root, interval: c.Enrolment.Interval, labels: c.Enrolment.Labels, wake: make(chan struct{}, 1), retimed: make(chan struct{}, 1)}
	if a.interval <= 0 {
		a.interval = 30 * time.Second
	}
	if c.Log != nil {
		a.Log = slog.New(discreetLog{c.Log.Handler(), &a.secrets})
	}
	var err error
	if a.trust, err = c.State.loadTrust(); err != nil {
		return nil, err
	}
	if a.journal, err = openJournal(c.State.Path(journalFile), c.DryRun); a.journal == nil {
		return nil, err
	} else if err != nil {
		a.trouble(err)
	}
	if c.Boot == nil {
		c.Boot = guard.MachineClock
	}
	a.boot = bootOf(c.Boot)
	if a.guard, err = guard.Open(c.State.Path(guardFile), c.Boot, c.DryRun); a.guard == nil {
		return nil, err
	} else if err != nil {
		a.trouble(err)
	}
	if a.spool, err = openSpool(c.State.Path(spoolDir), c.DryRun); err != nil {
		a.trouble(err) // runs are kept in memory until they are delivered
	}
	a.gather = traits.NewScheduler(traits.All(), c.Now)
	return a, nil
}

// Run cycles until ctx ends: one cycle at once, then one within every interval, spread by jitter. Check-ins go on while a
// long convergence works.
func (a *Agent) Run(ctx context.Context) error {
	var beats sync.WaitGroup
	defer beats.Wait()
	beats.Go(func() { a.heartbeat(ctx) })
	for {
		if _, err := a.cycle(ctx, time.After(a.half())); err != nil && ctx.Err() == nil {
			a.Log.Warn("cycle", "err", err)
		}
		a.nudgeCheckIn()
		if !a.pause(ctx, a.worked) {
			return nil
		}
	}
}

// half an interval is how long drift may wait because nobody answers.
func (a *Agent) half() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.interval / 2
}

// Once makes one cycle and reports it, unless it is a dry run.
func (a *Agent) Once(ctx context.Context) (report.Run, error) {
	beats, stop := context.WithCancel(ctx)
	var confirming sync.WaitGroup
	if !a.DryRun {
		confirming.Go(func() { a.confirming(beats) })
	}
	run, err := a.Cycle(ctx)
	stop()
	confirming.Wait()
	if a.DryRun {
		return run, err
	}
	if reportErr := a.CheckIn(ctx); reportErr != nil {
		a.Log.Warn("reporting; the run stays in the spool", "err", reportErr)
	}
	return a.confirmed(ctx, run, err)
}

// spread returns the time to the next cycle: a fifth to a tenth shorter than the interval. A fleet that was started together
// does not stay together, and what is new is on every node within one interval, with time left for a hub to see it and for
// the cycle itself.
func (a *Agent) spread() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(float64(a.interval) * (0.8 + 0.1*a.Jitter()))
}

// gap is the time to the next cycle.
func (a *Agent) gap() time.Duration {
	if gap := a.spread(); a.hurry == 0 || gap < a.hurry {
		return gap
	}
	return a.hurry
}

// pause waits until the next cycle is due, within an interval of when the last began, and returns false when ctx ends first. A new interval
// holds at once: it is counted from the same moment.
func (a *Agent) pause(ctx context.Context, began time.Time) bool {
	for {
		wait := a.gap() - time.Since(began)
		left, guarded := a.guard.Left()
		stuck := guarded && a.guard.Stuck()
		if wait <= 0 || guarded && left <= 0 && !stuck {
			return ctx.Err() == nil
		}
		if stuck {
			wait = min(wait, guardLook)
		} else if guarded {
			wait = min(wait, left, guardLook)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			if stuck {
				return true
			}
		case <-a.retimed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// now is the time, never before that of the newest pointer: hosts without a clock battery start in the past.
func (a *Agent) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.Now(); now.After(a.trust.Memory.Issued) {
		return now
	}
	return a.trust.Memory.Issued
}

// trouble notes, for the log and the next report, that the agent could not keep its own state; enforcement goes on. It
// returns err, and does nothing when there is none.
func (a *Agent) trouble(err error) error {
	if err == nil {
		return nil
	}
	a.Log.Warn("keeping the state of the agent", "err", err)
	a.mu.Lock()
	defer a.mu.Unlock()
	if text := excerpt.Of(err.Error(), maxDetail); !slices.Contains(a.troubles, text) {
		a.troubles = append(a.troubles, text)
	}
	return err
}

// maxDetail bounds a text of a check-in, in bytes.
const maxDetail = 1000
