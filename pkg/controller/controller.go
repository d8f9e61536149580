// Package controller turns commits into what nodes run: it watches a branch, checks and packs each commit, stores and
// signs the bundle, and publishes a signed pointer for every channel.
//
// It refuses to write to git, to publish a commit that does not compile, to use a sequence number twice, to go below
// what the registry shows, and to take over channels that it does not know and other keys have signed.
package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/trust"
)

// Config is what a controller needs. Data, Git, Store, Keys, Builder, Log and Now are required.
type Config struct {
	Data    string            // folder for the state; made when missing; for this controller alone
	Git     *gitsource.Source // closed by the caller
	Store   bundle.Store
	Keys    Keys
	Builder Builder
	// Witness states from what each bundle was built; nil: nobody does.
	Witness Witness
	Version string // of this controller, as its provenance says
	Gates   Gates  // nil: nothing is held back
	Orders  Orders // nil: only policy sets modes
	// Secrets seals what policies refer to as secrets; nil: nodes have none.
	Secrets *Sealer
	// Judge says how far the rollouts that policy asks for are; nil: channels are given what is new at once.
	Judge Judge
	// Poll is the time between two looks at the branch; default 15 s.
	Poll time.Duration
	// PointerTTL is how long a pointer is good for; it is issued anew after a quarter of that. Default 7 days.
	PointerTTL time.Duration
	// Rules reads from the files of a commit what the next must have to be published; nil: anything goes.
	Rules func(fsys fs.FS) (Rules, error)
	// Forge says who approved a commit, and is told what became of it; nil: approvals are signatures, nobody is told.
	Forge Forge
	// Follow opens another branch that feeds a channel, with its copy in dir; nil: one branch is all.
	Follow func(origin policy.Origin, dir string) (Followed, error)
	// HookToken lets a forge nudge the controller; empty: no hook.
	HookToken string
	// MinAgent is the lowest agent version that understands the bundles; empty: any.
	MinAgent string
	Listener Listener // optional
	// Retention says what is removed from Store by and by; zero: nothing.
	Retention Retention
	// Marks are where the channels stand as the report service knows it, for a controller that has lost its state and the registry.
	Marks map[string]Mark
	Log   *slog.Logger
	Now   func() time.Time
}

// Validate fills in what may be left out and says what is missing.
func (c *Config) Validate() error {
	switch {
	case c.Data == "", c.Git == nil, c.Store == nil, c.Keys == nil, c.Builder == nil, c.Log == nil, c.Now == nil:
		return errors.New("configuring the controller: Data, Git, Store, Keys, Builder, Log and Now are required")
	case c.Poll < 0 || c.PointerTTL < 0:
		return errors.New("configuring the controller: durations cannot be negative")
	}
	if c.Poll == 0 {
		c.Poll = 15 * time.Second
	}
	if c.PointerTTL == 0 {
		c.PointerTTL = 7 * 24 * time.Hour
	}
	if c.PointerTTL < time.Minute {
		return fault.WithHint(errors.New("configuring the controller: a pointer must be good for a minute at least"), "agents need time to fetch it")
	}
	return nil
}

// A Controller follows one branch for one fleet. Run and Step are not to be called at the same time; the other methods
// may be called from any goroutine.
type Controller struct {
	cfg     Config
	metrics *metrics
	nudge   chan struct{}
	joins   joins

	state state  // of the goroutine that runs
	bad   string // hash of a commit that does not compile: it is not tried again
	why   error  // what is wrong with it
	// rebuild says that the registry has lost what was published: the bundle has to be pushed again.
	rebuild bool
	// moved says that a secret outside of the repository has another value, and channels are to get it in stages.
	moved    bool
	pushed   map[string]bool            // digests this process knows to be in the registry
	clean    map[string]bool            // channels whose pointer was compared with the registry since the start
	waits    map[string]Wait            // what channels are not given yet
	orders   map[string]trust.Ordered   // of modes, that stand
	declared map[string]map[string]bool // modes of channels, as their policy says
	seen     gitsource.Commit           // the tip looked at last
	asked    map[string]asked           // what the forge said about commits that wait
	fresh    atomic.Bool                // a hook nudged: what the forge said is old
	herald   *herald                    // nil: nobody is told

	book       *sealedBook // nil until it is read
	policies   map[string]policyKnown
	agreements map[string]agreed // by channel

	lead   *Controller   // whose policy gives channels to this one; nil: it is the first
	from   policy.Origin // what the policy of the lead calls this branch
	others *sources      // of the lead
	turn   *turn         // shared by the lead and the others: who publishes, or removes something from the store

	mu         sync.Mutex
	status     Status
	last       time.Time                // the loop was alive
	inUse      []string                 // digests of bundles that are published, or are about to be
	sourcesNow map[string]policy.Origin // never changed, only replaced
}

// New reads the state and finishes nothing yet: what was interrupted is finished by the first Step.
func New(cfg Config) (*Controller, error) {
	return newController(cfg, nil, policy.Origin{})
}

func newController(cfg Config, lead *Controller, from policy.Origin) (*Controller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("starting the controller: %w", err)
	}
	if err := atomicfile.Sweep(cfg.Data); err != nil {
		return nil, fmt.Errorf("starting the controller: %w", err)
	}
	st, err := loadState(cfg.Data)
	if err == nil && st.remember(cfg.Marks) {
		err = st.save(cfg.Data)
	}
	if err != nil {
		return nil, err
	}
	c := &Controller{
		cfg: cfg, metrics: newMetrics(from), lead: lead, from: from, turn: &turn{by: map[string]*Controller{}}, sourcesNow: st.Sources, nudge: make(chan struct{}, 1), joins: joins{came: make(chan struct{}, 1)}, state: st, clean: map[string]bool{}, policies: map[string]policyKnown{}, agreements: map[string]agreed{}, pushed: map[string]bool{}, waits: map[string]Wait{},
		orders: map[string]trust.Ordered{}, declared: map[string]map[string]bool{},
		status: Status{Fleet: st.Fleet, Source: cfg.Git.URL(), Branch: cfg.Git.Branch()},
		last:   cfg.Now(),
	}
	c.others = &sources{lead: c, subs: map[policy.Origin]*sub{}}
	if lead != nil {
		c.turn = lead.turn
	}
	if cfg.Forge != nil {
		c.herald = newHerald(cfg.Forge, cfg.Git.Branch(), cfg.Log)
	}
	c.refresh(nil)
	return c, nil
}

// Run looks at the branch at every interval and nudge until ctx is done. Failures are logged and shown in the status;
// none ends it.
func (c *Controller) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Poll)
	defer tick.Stop()
	if c.herald != nil {
		var telling sync.WaitGroup
		telling.Go(func() { c.herald.run(ctx) })
		defer telling.Wait()
	}
	defer c.others.follow(ctx)()
	if c.lead == nil { // the registry is shared: one looks after it for all
		var pruning sync.WaitGroup
		defer pruning.Wait()
		pruning.Go(func() { c.keepPruned(ctx) })
	}
	for {
		_ = c.Step(ctx) // it is in the status, the metrics and the log
		if !c.joins.rest(ctx, tick.C, c.nudge) {
			return nil
		}
	}
}

// Nudge makes Run look at the branch now. Nudges that arrive while it looks are one nudge.
func (c *Controller) Nudge() {
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}

// NudgeAll is Nudge, also for the controllers of the other branches that feed channels.
func (c *Controller) NudgeAll() {
	c.Nudge()
	for _, one := range c.others.all() {
		one.Nudge()
	}
}

// Status returns what was done last.
func (c *Controller) Status() Status {
	c.mu.Lock()
	s := c.status
	s.Channels = slices.Clone(s.Channels)
	given := len(c.sourcesNow)
	c.mu.Unlock()
	if given > 0 && c.lead == nil {
		s.Others = c.others.states()
	}
	return s
}

// Step does one round: finish what was interrupted, look at the branch, build what is new, and keep the pointers fresh.
// A branch that cannot be read or does not compile does not keep the pointers from being issued anew.
func (c *Controller) Step(ctx context.Context) error {
	started := c.cfg.Now()
	news, err := c.build(ctx)
	if err == nil || !errors.Is(err, ctx.Err()) {
		err = errors.Join(err, c.publishAll(ctx))
	}
	c.others.keep()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && c.seen.Hash != "" && c.seen.Hash == c.state.Built.Commit {
		err = failed(FailedGit, c.cfg.Git.Accept(c.seen))
	}
	if news && err == nil {
		observe(c.metrics.publish, started, c.cfg.Now())
	}
	c.finish(err)
	return err
}

// finish makes the outcome of a round visible.
func (c *Controller) finish(err error) {
	before := c.Status().Failure
	var f *Failure
	if err != nil {
		f = describe(err, revisionOf(c.seen), before, c.cfg.Now())
	}
	c.metrics.outcome(f)
	switch {
	case f != nil && (before == nil || before.Message != f.Message):
		c.complain(f, err)
	case f == nil && before != nil:
		c.cfg.Log.Info("publishing works again", "commit", c.state.Built.Commit)
	}
	changed := c.refresh(f)
	if changed {
		c.herald.note(c.Status())
	}
	if changed && c.cfg.Listener != nil {
		c.cfg.Listener.Note(c.Status())
	}
}

// complain logs what does not work. Each mistake of a policy has a line of its own, so that people can read them.
func (c *Controller) complain(f *Failure, err error) {
	if len(f.Problems) == 0 {
		c.cfg.Log.Error("publishing does not work", "kind", f.Kind, "commit", f.Commit, "err", err, "hint", strings.Join(f.Hints, "; "))
		return
	}
	c.cfg.Log.Error("publishing does not work: the policy has mistakes", "kind", f.Kind, "commit", f.Commit, "by", f.Author)
	for _, p := range f.Problems {
		c.cfg.Log.Error("mistake", "err", p)
	}
}

// refresh rebuilds the status, and says whether anything but the time of the last look changed.
func (c *Controller) refresh(f *Failure) bool {
	s := Status{
		Fleet: c.state.Fleet, Source: c.cfg.Git.URL(), Branch: c.cfg.Git.Branch(), Seen: revisionOf(c.seen),
		Built: c.state.Built, Bundle: c.state.Bundle.Digest, Approvals: c.state.Approvals, Rewrite: c.state.Rewrite, Interval: c.state.Interval, Alerts: c.state.Alerts, Grants: c.state.Grants, Failure: f, Waiting: c.waiting(), Modes: map[string][]Mode{},
	}
	for _, name := range c.state.Names {
		if p, ok := c.state.Channels[name]; ok && p.Done {
			s.Channels = append(s.Channels, channelOf(name, p))
			if modes := c.modesOf(name); len(modes) > 0 {
				s.Modes[name] = modes
			}
			c.metrics.channel(name, p)
		}
	}
	if c.state.Built.Commit != "" {
		c.metrics.built(c.state.Built)
	}
	c.noteInUse()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Polled = c.status.Polled
	changed := !sameStatus(c.status, s)
	if c.seen.Hash != "" {
		s.Polled = c.cfg.Now()
	}
	c.status, c.last = s, c.cfg.Now()
	return changed
}

func sameStatus(a, b Status) bool {
	sameFailure := (a.Failure == nil) == (b.Failure == nil) && (a.Failure == nil || a.Failure.Message == b.Failure.Message && a.Failure.Commit == b.Failure.Commit)
	return a.Fleet == b.Fleet && a.Seen == b.Seen && a.Built == b.Built && a.Bundle == b.Bundle && a.Interval == b.Interval && slices.Equal(a.Channels, b.Channels) &&
		slices.Equal(a.Approvals, b.Approvals) && slices.EqualFunc(a.Waiting, b.Waiting, Wait.same) && maps.EqualFunc(a.Modes, b.Modes, sameModes) && sameFailure
}

// beat returns when the loop was last alive.
func (c *Controller) beat() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func revisionOf(c gitsource.Commit) Revision {
	return Revision{Commit: c.Hash, Time: c.Time, Author: c.Author, Subject: c.Subject, Count: c.Count}
}
