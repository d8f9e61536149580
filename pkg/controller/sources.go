package controller

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
)

// A Followed branch feeds channels that the policy has given to it.
type Followed struct {
	Git     *gitsource.Source // closed by the controller
	Builder Builder           // for this branch alone
	Forge   Forge             // optional
}

// sources are the controllers of further branches: one for each that feeds a channel. Each has a state and a copy of its
// own, so that one that cannot be read or does not compile holds up nobody; they publish one at a time.
type sources struct {
	lead *Controller

	mu     sync.Mutex
	subs   map[policy.Origin]*sub
	failed map[policy.Origin]*Failure // could not be opened
	run    context.Context            // of Run; nil: who steps the lead steps them
}

// sub is one of them.
type sub struct {
	*Controller
	git    *gitsource.Source
	cancel context.CancelFunc
	done   chan struct{}
}

// keep opens what the policy has come to name, and closes what it does not name any more.
func (s *sources) keep() {
	wanted := map[policy.Origin]bool{}
	for _, origin := range s.lead.given() {
		wanted[origin] = true
	}
	s.drop(func(origin policy.Origin) bool { return !wanted[origin] })
	if s.add(wanted) && s.lead.cfg.Listener != nil {
		s.lead.cfg.Listener.Note(s.lead.Status())
	}
}

// drop closes some of the controllers. It waits for them without the lock, which they need to tell their news.
func (s *sources) drop(which func(policy.Origin) bool) {
	gone := map[policy.Origin]*sub{}
	s.mu.Lock()
	for origin, one := range s.subs {
		if which(origin) {
			gone[origin] = one
			delete(s.subs, origin)
		}
	}
	s.mu.Unlock()
	for origin, one := range gone {
		if one.cancel != nil {
			one.cancel()
			<-one.done
		}
		if err := one.git.Close(); err != nil {
			s.lead.cfg.Log.Warn("closing the copy of a branch", "from", origin, "err", err)
		}
		s.lead.cfg.Log.Info("not following a branch any more", "from", origin)
	}
}

// add opens what is not open yet, and says whether there is news of what cannot be.
func (s *sources) add(wanted map[policy.Origin]bool) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.failed
	s.failed = map[policy.Origin]*Failure{}
	for origin := range wanted {
		if s.subs[origin] != nil {
			continue
		}
		one, err := s.open(origin)
		if err != nil {
			s.failed[origin] = describe(failed(FailedGit, err), Revision{}, before[origin], s.lead.cfg.Now())
			if before[origin] == nil {
				news = true
				s.lead.cfg.Log.Error("a branch cannot be followed", "from", origin, "err", err)
			}
			continue
		}
		s.subs[origin] = one
		s.lead.cfg.Log.Info("following another branch", "from", origin)
		s.start(one)
	}
	return news
}

func (s *sources) open(origin policy.Origin) (*sub, error) {
	if s.lead.cfg.Follow == nil {
		return nil, errors.New("this controller follows one branch only")
	}
	dir := filepath.Join(s.lead.cfg.Data, "sources", folder(origin))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	followed, err := s.lead.cfg.Follow(origin, filepath.Join(dir, "git"))
	if err != nil {
		return nil, err
	}
	cfg := s.lead.cfg
	cfg.Data, cfg.Git, cfg.Builder, cfg.Forge, cfg.Follow = dir, followed.Git, followed.Builder, followed.Forge, nil
	cfg.Log = cfg.Log.With(slog.String("from", origin.String()))
	if cfg.Listener != nil {
		cfg.Listener = relay{s.lead}
	}
	c, err := newController(cfg, s.lead, origin)
	if err != nil {
		return nil, errors.Join(err, followed.Git.Close())
	}
	return &sub{Controller: c, git: followed.Git}, nil
}

// folder names the folder of an origin: for people, and different for each.
func folder(origin policy.Origin) string {
	name := regexp.MustCompile(`[^A-Za-z0-9_.-]+`).ReplaceAllString(origin.Branch, "-")
	return fmt.Sprintf("%.40s-%.12x", name, sha256.Sum256([]byte(origin.String())))
}

// start runs a controller, while the lead does; the lock is held.
func (s *sources) start(one *sub) {
	if s.run == nil {
		return
	}
	var ctx context.Context
	ctx, one.cancel = context.WithCancel(s.run)
	one.done = make(chan struct{})
	go func() {
		defer close(one.done)
		_ = one.Controller.Run(ctx) // it ends with its context
	}()
}

// follow runs those there are, and those that come, until the returned function is called.
func (s *sources) follow(ctx context.Context) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = ctx
	for _, one := range s.subs {
		s.start(one)
	}
	return func() {
		s.mu.Lock()
		s.run = nil
		s.mu.Unlock()
		s.drop(func(policy.Origin) bool { return true })
	}
}

// all returns the controllers, in the order of the names of their branches.
func (s *sources) all() []*sub {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*sub
	for _, origin := range slices.SortedFunc(maps.Keys(s.subs), byName) {
		list = append(list, s.subs[origin])
	}
	return list
}

func byName(a, b policy.Origin) int {
	if a.Repository != b.Repository {
		return strings.Compare(a.Repository, b.Repository)
	}
	return strings.Compare(a.Branch, b.Branch)
}

// states returns the status of each branch that feeds a channel, those too that cannot be followed.
func (s *sources) states() []Status {
	feeds := map[policy.Origin][]string{}
	given := s.lead.given()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		feeds[given[name]] = append(feeds[given[name]], name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Status
	for _, origin := range slices.SortedFunc(maps.Keys(feeds), byName) {
		st := Status{Source: origin.Repository, Branch: origin.Branch, Failure: s.failed[origin]}
		if one := s.subs[origin]; one != nil {
			st = one.Status()
		}
		st.From, st.Feeds = origin.String(), feeds[origin]
		list = append(list, st)
	}
	return list
}

// relay tells who listens to the lead when one of the others has news.
type relay struct{ lead *Controller }

// Note implements Listener.
func (r relay) Note(Status) { r.lead.cfg.Listener.Note(r.lead.Status()) }

// given returns the channels that are fed from elsewhere. What is there was in a commit that was admitted.
func (c *Controller) given() map[string]policy.Origin {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sourcesNow
}

// mine picks, of the channels a bundle is for, those this controller may publish now; the turn is held. It fails when the
// policy feeds a channel from here that the bundle is not for.
func (c *Controller) mine(listed []string) ([]string, error) {
	if c.lead == nil {
		return listed, nil
	}
	var names []string
	var err error
	given := c.lead.given()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case given[name] != c.from:
		case slices.Contains(listed, name):
			names = append(names, name)
		case c.state.Built.Commit != "":
			err = errors.Join(err, failed(FailedPolicy, fmt.Errorf("channel %s is fed from %s, and the fleet.yaml there does not have it", name, c.from)))
		}
	}
	return names, err
}

// base returns the files whose rules the first commit of a branch is held against: those of the branch that named it.
func (c *Controller) base() (fs.FS, error) {
	accepted := c.cfg.Git.Accepted()
	if accepted == "" {
		return nil, errors.New("nothing was accepted yet of the branch that names this one")
	}
	commit, err := c.cfg.Git.Lookup(accepted)
	if err != nil {
		return nil, err
	}
	return c.cfg.Git.Tree(commit)
}

// oldest is when the loop of the slowest of all was last alive.
func (s *sources) oldest(beat time.Time) time.Time {
	for _, one := range s.all() {
		if b := one.beat(); b.Before(beat) {
			beat = b
		}
	}
	return beat
}

// fleet is the name that the policy must have; empty: any.
func (c *Controller) fleet() string {
	if c.lead == nil {
		return c.state.Fleet
	}
	c.lead.mu.Lock()
	defer c.lead.mu.Unlock()
	return c.lead.status.Fleet
}

// turn is had by one controller at a time: who publishes. It remembers who published a channel last.
type turn struct {
	sync.Mutex
	by map[string]*Controller
}

// yield sees to it that no number is used by two controllers: what was signed for a channel that is another's now, and did
// not arrive, is forgotten, and who takes a channel over looks first at what the registry shows. The turn is held.
func (c *Controller) yield() {
	for name, p := range c.state.Channels {
		mine := slices.Contains(c.state.Names, name)
		if !mine {
			c.metrics.drop(name)
		}
		if last := c.turn.by[name]; !p.Done && (!mine || last != nil && last != c) {
			delete(c.state.Channels, name)
		}
	}
	for _, name := range c.state.Names {
		last := c.turn.by[name]
		if last == c {
			continue
		}
		delete(c.clean, name)
		if last == nil && c.lead != nil { // after a restart
			last = c.lead
		}
		if last != nil { // no approval older than what the other was given counts again
			ours, theirs := c.state.Promoted[name], last.state.Promoted[name]
			if (bundle.Pointer{Epoch: ours.Epoch, Seq: ours.Seq}).Compare(bundle.Pointer{Epoch: theirs.Epoch, Seq: theirs.Seq}) < 0 {
				c.state.Promoted[name] = theirs
			}
		}
		c.turn.by[name] = c
	}
}
