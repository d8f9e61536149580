package reporting

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/rollout"
)

// How often those are asked who have not accepted, where they say nothing themselves.
const (
	askAgain   = 10 * time.Second
	askAtMost  = time.Minute // when they cannot be asked again and again
	askedBound = 300         // bytes of what they say
)

// asker asks webhooks whether rollouts may go on. What it remembers is of the leading service and need not survive it: who was
// not heard is asked again.
type asker struct {
	mu      sync.Mutex
	running sync.WaitGroup
	open    map[rollout.Question]*asking
	heard   map[string][]rollout.Answer // by channel; not yet taken
	bell    chan struct{}
}

// asking is a question that is open.
type asking struct {
	busy  bool
	due   time.Time
	tries int // in which nothing was heard, in sequence
}

// GateQuestion is what a webhook is asked: may the rollout go on behind this stage, or if it has yet to begin, may it?
type GateQuestion struct {
	Type      string               `json:"type"` // vigo.rollout.gate
	Fleet     string               `json:"fleet"`
	Channel   string               `json:"channel"`
	Rollout   string               `json:"rollout"`
	Stage     string               `json:"stage"`            // whose nodes are healthy, or that is to begin
	Before    bool                 `json:"before,omitempty"` // it has yet to begin
	Next      string               `json:"next,omitempty"`   // that begins when all accept; none: the rollout is complete
	Stable    string               `json:"stable"`           // digests
	Candidate string               `json:"candidate"`
	Commit    string               `json:"commit,omitempty"`
	Members   int                  `json:"members"` // of the stage
	Counts    map[rollout.Word]int `json:"counts"`
	Began     time.Time            `json:"began"` // of the stage
	Asked     time.Time            `json:"asked"` // since when it is
}

// news is signalled when an answer has come.
func (a *asker) news() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bell == nil {
		a.bell = make(chan struct{}, 1)
	}
	return a.bell
}

// wait returns when nobody is asked any more.
func (a *asker) wait() { a.running.Wait() }

// take returns what was heard about the rollout of a channel.
func (a *asker) take(channel string) []rollout.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	heard := a.heard[channel]
	delete(a.heard, channel)
	return heard
}

// due returns the questions that are to be asked now, marked as such, and forgets those that are not asked any more.
func (a *asker) due(wanted map[rollout.Question]bool, now time.Time) (list []rollout.Question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := make(map[rollout.Question]*asking, len(wanted))
	for q := range wanted {
		one := cmp.Or(a.open[q], &asking{})
		next[q] = one
		if !one.busy && !now.Before(one.due) {
			one.busy = true
			list = append(list, q)
		}
	}
	a.open = next
	return list
}

// hear takes an answer, and says when the question is asked again if it has to be.
func (a *asker) hear(channel string, q rollout.Question, answer rollout.Answer, after time.Duration, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one := a.open[q]
	if one == nil {
		return // nobody wants to know any more
	}
	one.busy = false
	wait := askAgain
	if answer.Verdict == rollout.Unasked {
		wait = min(askAtMost, askAgain<<min(one.tries, 5))
		one.tries++
	} else {
		one.tries = 0
	}
	one.due = now.Add(max(wait, after))
	if a.heard == nil {
		a.heard = map[string][]rollout.Answer{}
	}
	a.heard[channel] = append(a.heard[channel], answer)
	select {
	case a.bell <- struct{}{}:
	default: // it was rung, or nobody listens
	}
}

// askRollouts asks those whose answers rollouts wait for, each in the background.
func (s *Service) askRollouts(ctx context.Context) {
	type asked struct {
		channel string
		GateQuestion
	}
	wanted, about := map[rollout.Question]bool{}, map[rollout.Question]asked{}
	s.rollouts.mu.Lock()
	for channel, c := range s.rollouts.by {
		for _, q := range c.state.Questions() {
			q.Asked = q.Asked.UTC() // so that the same question is the same key
			wanted[q], about[q] = true, asked{channel, s.question(c, q)}
		}
	}
	s.rollouts.mu.Unlock()
	for _, q := range s.rollouts.asks.due(wanted, s.Now()) {
		one := about[q]
		s.rollouts.asks.running.Go(func() {
			answer, after := s.askOne(ctx, q, one.GateQuestion)
			s.rollouts.asks.hear(one.channel, q, answer, after, s.Now())
		})
	}
}

// question is what is asked about a rollout. The caller holds the lock of the rollouts.
func (s *Service) question(c *rolling, q rollout.Question) GateQuestion {
	st := c.state.Stages[c.state.Stage]
	out := GateQuestion{
		Type: "vigo.rollout.gate", Fleet: s.Fleet, Channel: c.channel, Rollout: q.Rollout, Stage: q.Stage, Stable: c.state.Stable, Candidate: c.state.Candidate,
		Members: st.Members, Counts: c.state.Counts, Began: st.Began, Asked: q.Asked,
	}
	if c.plan.Candidate.Digest == c.state.Candidate {
		out.Commit = c.plan.Candidate.Commit
	}
	if out.Before = q.Before; q.Before {
		return out
	}
	if next := c.state.Stage + 1; next < len(c.state.Spec.Stages) {
		out.Next = c.state.Spec.Stages[next].Name
	}
	return out
}

// askOne asks one webhook. Only an answer that says so accepts; what went wrong is the reason of [rollout.Unasked].
func (s *Service) askOne(ctx context.Context, q rollout.Question, about GateQuestion) (rollout.Answer, time.Duration) {
	answer := rollout.Answer{Rollout: q.Rollout, Stage: q.Stage, Of: q.Of, Asked: q.Asked, Verdict: rollout.Unasked}
	var reply deliver.Reply
	err := errors.New("the report service has no file of receivers")
	if d := s.receivers(); d != nil {
		id := "gate_" + q.Rollout + "_" + q.Stage + "_" + q.Of + "_" + q.Asked.Format("20060102T150405Z")
		reply, err = d.Ask(ctx, q.Of, id, about)
	}
	answer.At = s.Now().UTC()
	switch verdict := rollout.Verdict(reply.Verdict); {
	case err != nil:
		answer.Reason = clipped(err.Error())
	case verdict == rollout.Accept, verdict == rollout.Refuse, verdict == rollout.Wait:
		answer.Verdict, answer.Reason = verdict, clipped(reply.Reason)
	default:
		answer.Reason = clipped("it answers " + reply.Verdict + ", which is none of accept, refuse and wait")
	}
	if ctx.Err() == nil {
		s.Log.Info("a webhook was asked about a rollout", "webhook", q.Of, "channel", about.Channel, "rollout", q.Rollout, "stage", q.Stage, "verdict", answer.Verdict, "reason", answer.Reason)
	}
	return answer, reply.After
}

func clipped(text string) string {
	if len(text) > askedBound {
		text = strings.ToValidUTF8(text[:askedBound], "")
	}
	return text
}
