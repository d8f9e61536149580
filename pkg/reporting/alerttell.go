package reporting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// tell delivers the notices of a receiver until ctx ends.
func (s *Service) tell(ctx context.Context, name string) {
	alone := map[string]bool{}
	for {
		wait := s.tellDue(ctx, name, alone)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.alerts.bells.of(name):
			timer.Stop()
		case <-timer.C:
		}
	}
}

// tellDue delivers what is due, the oldest first, and returns how long there is nothing to do. What a receiver will not take now
// holds up what is behind it, unless the fault is with that notice alone.
func (s *Service) tellDue(ctx context.Context, name string, alone map[string]bool) time.Duration {
	const idle, many = 30 * time.Second, 100
	list, err := s.DB.Outbox(ctx, name, many)
	if err != nil {
		if ctx.Err() == nil {
			s.Log.Warn("reading what is to be delivered", "receiver", name, "err", err)
		}
		return idle
	}
	later, taken := idle, false
	for _, o := range list {
		now := s.Now()
		if o.Due.After(now) {
			if alone[o.ID] {
				later = min(later, o.Due.Sub(now))
				continue
			}
			return min(idle, o.Due.Sub(now))
		}
		if ctx.Err() != nil {
			return idle
		}
		failure := s.tellOne(ctx, name, o)
		if errors.Is(failure, errElsewhere) {
			return 0 // and what is behind it waits for it
		}
		if ctx.Err() != nil {
			return idle
		}
		if f, ok := errors.AsType[*deliver.Failure](failure); ok && (f.Alone || f.Never) {
			alone[o.ID] = true
			later = min(later, time.Second)
			continue
		}
		if failure != nil {
			return time.Second
		}
		taken = true
	}
	if taken {
		return 0 // there may be more
	}
	return later
}

// claim is for how long a notice is kept from other services while it is tried; longer than a try takes.
const claim = 30 * time.Second

// errElsewhere says that another service has begun to hand a notice over, or has done so.
var errElsewhere = errors.New("another service hands the notice over")

// tellOne hands one notice over, and keeps what came of it.
func (s *Service) tellOne(ctx context.Context, name string, o sqlstore.Outgoing) error {
	mine, err := s.DB.Claim(ctx, o, s.Now().Add(claim))
	if err != nil {
		return err
	}
	if !mine {
		return errElsewhere
	}
	var n report.Notice
	failure := json.Unmarshal(o.Doc, &n)
	if failure != nil {
		failure = &deliver.Failure{Err: failure, Never: true}
	} else {
		failure = s.send(ctx, name, n)
	}
	if ctx.Err() != nil && failure != nil {
		_ = s.DB.Failed(context.WithoutCancel(ctx), o) // the service stops: it is due as it was
		return failure
	}
	s.troubled(name, failure)
	result := "taken"
	if failure != nil {
		result = "refused"
	}
	s.metrics.notices.WithLabelValues(name, result).Inc()
	if failure == nil {
		// Also when the service stops now: what was taken is not sent again.
		if err := s.DB.Delivered(context.WithoutCancel(ctx), name, o.ID); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
			s.Log.Warn("taking note that a notice was delivered; it may be sent again, with the same ID", "receiver", name, "id", o.ID, "err", err)
			return err
		}
		return nil
	}
	now := s.Now()
	o.Tries++
	o.Error = failure.Error()
	next, again := deliver.Next(o.At, now, o.Tries, failure)
	if o.Due = next; !again {
		o.Died = now
		s.Log.Error("a notice of an alert is given up", "receiver", name, "id", o.ID, "tries", o.Tries, "err", failure)
	}
	if err := s.DB.Failed(context.WithoutCancel(ctx), o); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
		s.Log.Warn("taking note that a notice was not delivered", "receiver", name, "id", o.ID, "err", err)
	}
	return failure
}

// grace is how long a notice that is being handed over when the service is stopped may still take: what was taken is known then.
const grace = 5 * time.Second

func (s *Service) send(ctx context.Context, name string, n report.Notice) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stopped := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stopped()
	d := s.receivers()
	if d == nil || d.Senders[name] == nil {
		return &deliver.Failure{Err: errors.New("the service does not know this receiver any more")}
	}
	return d.Senders[name].Send(sending, n)
}

// trouble is that a receiver does not take notices.
type trouble struct {
	since time.Time
	text  string
}

// troubled remembers whether a receiver takes notices, and says so in the log when that changes.
func (s *Service) troubled(name string, failure error) {
	s.alerts.failing.Lock()
	defer s.alerts.failing.Unlock()
	before, was := s.alerts.trouble[name]
	switch {
	case failure == nil && was:
		s.Log.Info("a receiver of alerts takes notices again", "receiver", name)
		delete(s.alerts.trouble, name)
	case failure != nil && !was:
		s.Log.Warn("a receiver of alerts does not take a notice; it is tried again", "receiver", name, "err", failure)
		s.alerts.trouble[name] = trouble{s.Now(), failure.Error()}
	case failure != nil:
		s.alerts.trouble[name] = trouble{before.since, failure.Error()}
	}
}

// undelivered is how long a receiver may not take notices before that wants a person.
const undelivered = time.Minute

// problems is what wants a person of the receivers.
func (a *alerting) problems(now time.Time) []report.Problem {
	a.failing.Lock()
	defer a.failing.Unlock()
	list := append(a.heldProblems(), a.unreadProblems()...)
	for _, text := range a.mistold {
		list = append(list, report.Problem{Kind: "alert", Text: "alerts of " + text})
	}
	for name, t := range a.trouble {
		if now.Sub(t.since) >= undelivered {
			list = append(list, report.Problem{Kind: "alert", Text: fmt.Sprintf("the receiver %s of alerts takes no notices: %s", name, t.text), First: t.since})
		}
	}
	return list
}

// beat says to somebody outside, again and again, that the service is well: it listens, and can write.
func (s *Service) beat(ctx context.Context, d *deliver.Service) {
	every := time.NewTicker(d.Every)
	defer every.Stop()
	works := true
	for {
		err := s.DB.Ping(ctx)
		if err == nil && s.Leads() {
			err = d.Heartbeat(ctx)
		}
		if err != nil && works && ctx.Err() == nil {
			s.Log.Warn("sending the heartbeat", "err", err)
		}
		works = err == nil
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}
