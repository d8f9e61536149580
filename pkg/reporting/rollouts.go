package reporting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/sqlstore"
)

// How the documents of the rollout of a channel are named in the store.
const (
	planDoc       = "plan"  // what the controller wants
	headDoc       = "state" // how far it is, without its nodes
	nodePrefix    = "n:"    // and a node: what is remembered of it
	commandPrefix = "c:"    // and an ID: a command that was not looked at yet
	logPrefix     = "l:"    // and a time: what people are told
	pastPrefix    = "h:"    // and a time: a rollout that began then, as it was when people were told of it last
)

const (
	rolloutEvery  = 3 * time.Second
	maxRolloutLog = 1000 // transitions that are kept of a channel
)

// rollouts is what the leading service knows of them. Its lock is taken before that of the service.
type rollouts struct {
	mu   sync.Mutex
	term int64 // of which the rest is known
	by   map[string]*rolling
	asks asker
}

// rolling is the rollout of one channel.
type rolling struct {
	channel  string
	plan     api.RolloutPlan
	state    rollout.State
	commit   string // that the candidate was built from
	over     *pastRollout
	meets    meets
	measures *measures
	room     []rollout.Node // of the last snapshot; the next one is put there
}

// keepRollouts moves rollouts until ctx ends, while this service leads.
func (s *Service) keepRollouts(ctx context.Context) {
	tick := time.NewTicker(rolloutEvery)
	defer tick.Stop()
	works := true
	defer s.rollouts.asks.wait()
	for {
		err := s.tickRollouts(ctx)
		if err != nil && works && ctx.Err() == nil {
			s.Log.Error("moving the rollouts; it does not say so again until it works", "err", err, "hint", fault.Hints(err))
		}
		works = err == nil
		s.askRollouts(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.rollouts.asks.news():
		}
	}
}

// tickRollouts moves every rollout by one step. A service that does not lead forgets what it knows of them.
func (s *Service) tickRollouts(ctx context.Context) error {
	r := &s.rollouts
	r.mu.Lock()
	defer r.mu.Unlock()
	term := s.replica.term.Load()
	if term <= 0 {
		r.term, r.by = 0, nil
		return nil
	}
	channels, err := s.DB.RolloutChannels(ctx)
	if err != nil {
		return err
	}
	if r.term != term {
		r.term, r.by = term, map[string]*rolling{}
	}
	var faults error
	for _, name := range channels {
		faults = errors.Join(faults, s.moveRollout(ctx, name))
	}
	return faults
}

// moveRollout takes up what is wanted of a channel, and what operators want, and steps. What follows is on disk before anybody
// is told of it.
func (s *Service) moveRollout(ctx context.Context, channel string) error {
	c := s.rollouts.by[channel]
	if c == nil {
		var err error
		if c, err = s.loadRollout(ctx, channel); err != nil {
			return err
		}
	}
	now := s.Now().UTC()
	docs := map[string][]byte{}
	next := *c
	over := s.unstaged(&next, now)
	told, err := s.takePlan(ctx, &next, now)
	over = append(over, told...)
	if err != nil || next.state.ID == "" {
		return err
	}
	commands, err := s.takeCommands(ctx, &next, docs)
	if err != nil {
		return err
	}
	commands = append(commands, s.consented(&next)...)
	if c.state.Phase.Over() && next.state.ID == c.state.ID && len(docs) == 0 {
		s.rollouts.by[channel] = &next
		return nil
	}
	state, moved := rollout.Step(next.state, s.snapshot(ctx, &next, now), commands)
	next.state = state
	told = append(over, moved...)
	changedDocs(docs, &c.state, &next.state)
	if err := s.forgetLog(ctx, channel, docs, len(told)); err != nil {
		return err
	}
	if err := s.keepPast(ctx, &next, docs, len(told) > 0); err != nil {
		return err
	}
	for i, t := range told {
		docs[fmt.Sprintf("%s%s-%02d", logPrefix, now.Format(time.RFC3339Nano), i)] = encoded(t)
	}
	if len(docs) == 0 {
		s.rollouts.by[channel] = &next
		return nil
	}
	switch err := s.DB.StepRollout(ctx, s.rollouts.term, channel, docs); {
	case errors.Is(err, sqlstore.ErrFollows):
		delete(s.rollouts.by, channel) // another service moves it
		return nil
	case err != nil:
		return kept(err) // answers of this step are lost: the questions are asked again
	}
	s.rollouts.by[channel] = &next
	return s.tellRollout(ctx, &next, told)
}

// loadRollout reads what the store holds of a channel.
func (s *Service) loadRollout(ctx context.Context, channel string) (*rolling, error) {
	c := &rolling{channel: channel}
	docs, err := s.DB.RolloutDocs(ctx, channel, headDoc)
	if err != nil {
		return nil, err
	}
	if doc := docs[headDoc]; doc != nil {
		if err := json.Unmarshal(doc, &c.state); err != nil {
			return nil, fmt.Errorf("reading the rollout of %s: %w", channel, err)
		}
	}
	if c.commit, err = s.commitOf(ctx, channel, c.state); err != nil {
		return nil, err
	}
	nodes, err := s.DB.RolloutDocs(ctx, channel, nodePrefix)
	if err != nil {
		return nil, err
	}
	c.state.Nodes = make(map[string]rollout.Progress, len(nodes))
	for key, doc := range nodes {
		var p rollout.Progress
		if err := json.Unmarshal(doc, &p); err != nil {
			return nil, fmt.Errorf("reading the rollout of %s: %s: %w", channel, key, err)
		}
		c.state.Nodes[strings.TrimPrefix(key, nodePrefix)] = p
	}
	return c, nil
}

// consented are the stages to which people have agreed by commits, and that were not counted yet.
func (s *Service) consented(c *rolling) (commands []rollout.Command) {
	if c.plan.Candidate.Digest != c.state.Candidate || c.state.Phase.Over() {
		return nil
	}
	for _, want := range c.plan.Consents {
		i := slices.IndexFunc(c.state.Spec.Stages, func(st rollout.Stage) bool { return st.Name == want.Stage })
		if i < c.state.Stage || want.Do != rollout.DoApprove || slices.ContainsFunc(c.state.Stages[i].Approved, func(by string) bool { return rollout.SamePerson(by, want.By) }) {
			continue
		}
		if !c.state.Spec.Stages[i].Approve.May(want.By) {
			continue
		}
		s.Log.Info("somebody agreed to a stage by a commit", "channel", c.channel, "rollout", c.state.ID, "stage", want.Stage, "by", want.By)
		commands = append(commands, want)
	}
	return commands
}

func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(12, len(digest))]
}

// takeCommands reads what operators want; it is removed with what follows from it.
func (s *Service) takeCommands(ctx context.Context, c *rolling, docs map[string][]byte) ([]rollout.Command, error) {
	waiting, err := s.DB.RolloutDocs(ctx, c.channel, commandPrefix)
	if err != nil {
		return nil, err
	}
	var commands []rollout.Command
	for _, key := range slices.Sorted(maps.Keys(waiting)) {
		var one rollout.Command
		if err := json.Unmarshal(waiting[key], &one); err != nil {
			return nil, fmt.Errorf("reading a command to the rollout of %s: %w", c.channel, err)
		}
		commands = append(commands, one)
		docs[key] = nil
	}
	return commands, nil
}

// changedDocs are the documents that differ between two states, in more than when a node was heard of.
func changedDocs(docs map[string][]byte, was, is *rollout.State) {
	head := *is
	head.Nodes = nil
	if is.Phase == rollout.Running || string(standing(is)) != string(standing(was)) {
		docs[headDoc] = encoded(head)
	}
	for name, p := range is.Nodes {
		if old, ok := was.Nodes[name]; !ok || !p.Same(old) {
			docs[nodePrefix+name] = encoded(p)
		}
	}
	for name := range was.Nodes {
		if _, ok := is.Nodes[name]; !ok {
			docs[nodePrefix+name] = nil
		}
	}
}

// standing is what is kept of a rollout that does not run: not when it was looked at, nor what that was compared with. Such a one may
// stand for weeks, and is looked at every three seconds.
func standing(s *rollout.State) []byte {
	head := *s
	head.Nodes, head.Ticked, head.Heard, head.Control = nil, time.Time{}, rollout.Heard{}, nil
	return encoded(head)
}

// forgetLog removes the oldest transitions when there are too many, if some are to be added.
func (s *Service) forgetLog(ctx context.Context, channel string, docs map[string][]byte, more int) error {
	if more == 0 {
		return nil
	}
	log, err := s.DB.RolloutDocs(ctx, channel, logPrefix)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(log))
	for _, key := range keys[:max(0, len(keys)+more-maxRolloutLog)] {
		docs[key] = nil
	}
	return nil
}

// tellRollout writes events for what people are told.
func (s *Service) tellRollout(ctx context.Context, c *rolling, told []rollout.Transition) error {
	if len(told) == 0 {
		return nil
	}
	events := make([]report.Event, 0, len(told))
	for _, t := range told {
		text := fmt.Sprintf("%s: %s", c.channel, t.Reason)
		if t.Stage != "" {
			text += ", stage " + t.Stage
		}
		if t.Detail != "" {
			text += ": " + t.Detail
		}
		if t.By != "" {
			text += ", by " + t.By
		}
		if kind := eventOf(t); kind != "" {
			events = append(events, report.Event{At: t.At, Kind: kind, Text: text})
		}
		s.Log.Info("a rollout moves", "channel", c.channel, "rollout", c.state.ID, "phase", t.To, "reason", t.Reason, "stage", t.Stage, "detail", t.Detail, "by", t.By)
	}
	return kept(s.DB.PutEvents(ctx, events...))
}
