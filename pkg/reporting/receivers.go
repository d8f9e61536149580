package reporting

import (
	"context"
	"slices"
	"sync"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/report"
)

// receivers is who is told; nil: nobody.
func (s *Service) receivers() *deliver.Service { return s.alerts.tell.Load() }

// UseReceivers has others be told from now on. What waits for a receiver that goes on to be there is delivered as it now is; what
// waits for one that is not there any more waits, and is told of.
func (s *Service) UseReceivers(d *deliver.Service) {
	a := &s.alerts
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tell.Store(d)
	a.failing.Lock()
	for name := range a.trouble {
		if d == nil || d.Senders[name] == nil {
			delete(a.trouble, name)
		}
	}
	a.unread = trouble{}
	a.failing.Unlock()
	s.checkRules()
	a.next = time.Time{}
	a.bells.ring(everyone)
}

// RefuseReceivers says that the file of receivers was changed and is not used, because of a mistake: those of before are told.
func (s *Service) RefuseReceivers(err error) {
	s.Log.Error("who is told of alerts was changed and is not taken over: those of before go on to be told", "err", err)
	s.alerts.failing.Lock()
	defer s.alerts.failing.Unlock()
	since := s.alerts.unread.since
	if since.IsZero() {
		since = s.Now()
	}
	s.alerts.unread = trouble{since, err.Error()}
}

// everyone is the bell that is rung when the receivers are others; no receiver has that name.
const everyone = ""

// keepTelling delivers to every receiver there is, until ctx ends.
func (s *Service) keepTelling(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	stop := map[string]context.CancelFunc{}
	start := func(name string, work func(context.Context)) {
		working, cancel := context.WithCancel(ctx)
		stop[name] = cancel
		all.Go(func() { work(working) })
	}
	defer func() {
		for _, end := range stop {
			end()
		}
	}()
	for {
		names := s.receiverNames()
		for name, end := range stop {
			if !slices.Contains(names, name) { // the heartbeat, too: its address may be another
				end()
				delete(stop, name)
			}
		}
		for _, name := range names {
			if stop[name] == nil {
				start(name, func(ctx context.Context) { s.tell(ctx, name) })
			}
		}
		if d := s.receivers(); d != nil && d.Heartbeat != nil {
			start(everyone, func(ctx context.Context) { s.beat(ctx, d) })
		}
		select {
		case <-ctx.Done():
			return
		case <-s.alerts.bells.of(everyone):
			s.Log.Info("others are told of alerts from now on", "receivers", s.receiverNames())
		}
	}
}

// receiverNames lists the receivers, sorted.
func (s *Service) receiverNames() []string {
	d := s.receivers()
	if d == nil {
		return nil
	}
	names := make([]string, 0, len(d.Senders))
	for name := range d.Senders {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// unreadProblems is that the file of receivers is not in force.
func (a *alerting) unreadProblems() []report.Problem {
	if a.unread.since.IsZero() {
		return nil
	}
	return []report.Problem{{Kind: "alert", First: a.unread.since, Text: "the file that says who is told was changed and is not in force; those of before are told: " + a.unread.text}}
}
