package reporting

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// facts is what rules are true for now. Rules whose conditions cannot be looked at are left out. The caller holds the lock of the
// alerts.
func (s *Service) facts(ctx context.Context, now time.Time) alert.Facts {
	facts := alert.Facts{}
	holds := make([]map[string]bool, len(s.alerts.rules))
	skip, rolls := make([]bool, len(s.alerts.rules)), false
	for i := range s.alerts.rules {
		r := &s.alerts.rules[i]
		rolls = rolls || alert.OfRollouts(r.Event)
		if alert.Condition(&r.AlertRule) == "" {
			continue
		}
		var err error
		if holds[i], err = s.holds(ctx, r, now); err != nil {
			skip[i] = true
		}
	}
	looks := make([]*alert.Look, 0, len(s.alerts.rules))
	var rolling map[string]rollout.State
	if rolls {
		var err error
		if rolling, err = s.rolloutHeads(ctx); err != nil {
			s.Log.Warn("looking at the rollouts for alerts", "err", err)
		}
	}
	for i, r := range s.alerts.rules {
		if alert.OfRollouts(r.Event) && rolling == nil {
			continue
		}
		if !skip[i] {
			looks = append(looks, alert.NewLook(r.AlertRule, holds[i]))
		}
	}
	s.lookAll(looks, now)
	for _, l := range looks {
		for channel, state := range rolling {
			l.Rollout(channel, state, now)
		}
		facts[l.Name] = l.Found()
	}
	return facts
}

// lookAll has rules look at all nodes and channels.
func (s *Service) lookAll(looks []*alert.Look, now time.Time) {
	s.mu.Lock()
	for _, l := range looks {
		switch l.Event {
		case report.EventChannel:
			s.lookAtChannels(l, now, "channel", "silent")
		case report.EventFrozen:
			s.lookAtChannels(l, now, "expired")
		}
	}
	s.mu.Unlock()
	w := &witness{s: s, now: now}
	s.alerts.nodes = 0
	var subject alert.Subject // one for all: rules keep nothing of it but texts
	s.eachNode(func(n *node) {
		if !n.Retired.IsZero() {
			return
		}
		if w.n = n; !n.Hub {
			s.alerts.nodes++
		}
		subject = s.subject(n, now)
		w.at = subject.Presence
		for _, l := range looks {
			l.At(&subject, w)
		}
	})
}

// holds finds the nodes that the condition of a rule holds for.
func (s *Service) holds(ctx context.Context, r *rule, now time.Time) (map[string]bool, error) {
	if r.cond == nil && (r.err == nil || now.Sub(r.at) >= time.Minute) { // a label that nobody has yet is not known
		r.cond, r.err = expr.Compile(alert.Condition(&r.AlertRule), s.querySchema())
		r.at = now
	}
	if r.err != nil {
		return nil, r.err
	}
	switch n := s.behind(); {
	case n > soon:
		return nil, fmt.Errorf("%d documents are still to be read", n)
	case n > 0:
		s.readDocuments(ctx, false)
	}
	names, err := s.index.Search(ctx, r.cond, s.DB)
	if names == nil && err != nil && ctx.Err() != nil {
		return nil, err
	}
	holds := make(map[string]bool, len(names))
	for _, name := range names {
		holds[name] = true
	}
	return holds, nil
}

// subject is a node as rules look at it. The caller holds the lock of the service.
func (s *Service) subject(n *node, now time.Time) alert.Subject {
	at := s.presence(n, now)
	return alert.Subject{Name: n.Name, Behind: n.account.Last.Hub, IsHub: n.Hub, Channel: s.channelOf(n), Labels: n.labels, Presence: at,
		Compliance: n.account.State, Failing: n.account.Failing, Maintained: idOf(s.maintained(n, at, now)),
		Unsure: !silent(at) && n.seen.Before(s.hearing.back) && silent(report.PresenceAt(now, n.seen, n.told))}
}

// witness tells of one node after the other. The lock of the service is held meanwhile.
type witness struct {
	s   *Service
	n   *node
	at  report.Presence
	now time.Time
}

func (w *witness) lastSeen() string {
	return fmt.Sprintf("last seen %s (interval %s)", w.n.seen.UTC().Format(time.RFC3339), w.n.told)
}

// Happens implements alert.Witness.
func (w *witness) Happens(r *report.AlertRule) (string, bool) {
	n, a := w.n, &w.n.account
	switch r.Event {
	case "":
		if len(r.Presence) > 0 && silent(w.at) { // the rule is about that, and not about how its last run was
			return w.lastSeen(), true
		}
		return cmp.Or(a.Reason, fmt.Sprintf("%s, %s", w.at, a.State)), true
	case report.EventStale, report.EventDark:
		return w.lastSeen(), !w.s.rebooting(n.Name)
	case report.EventSetAside:
		var texts []string
		for _, refusal := range a.Last.Refusals {
			texts = append(texts, refusal.Name+": "+refusal.Detail)
		}
		return strings.Join(texts, "; "), len(texts) > 0
	case report.EventFailed, report.EventDrift:
		return a.Reason, true
	case report.EventExpiring:
		if n.CertExpires.IsZero() || n.CertExpires.Sub(w.now) >= r.Within {
			return "", false
		}
		return "valid until " + n.CertExpires.UTC().Format(time.RFC3339), true
	case report.EventDisk:
		return fmt.Sprintf("a filesystem is %g %% full or more", r.Full), true
	case report.EventExcess:
		return a.Excess.Text, a.Excess.now(w.now)
	case report.EventReboot:
		l, _ := w.s.leaseOf(n.Name)
		return l.Reason, !l.Overdue.IsZero()
	case report.EventFrozen, report.EventForked:
		if a.Last.Pointer == w.s.channels[w.s.channelOf(n)].Pointer { // most nodes, and cheap to know
			return "", false
		}
		kind, text, _ := w.s.lag(n, w.s.nodeStatus(n, w.now), w.now)
		return text, kind == "frozen" && r.Event == report.EventFrozen || kind == "ahead" && r.Event == report.EventForked
	}
	return "", false
}

// lookAtChannels has a rule look at the problems of channels of some kinds.
func (s *Service) lookAtChannels(l *alert.Look, now time.Time, kinds ...string) {
	for name, note := range s.channels {
		for _, p := range s.channelProblems(note, now) {
			if slices.Contains(kinds, p.Kind) {
				l.Channels(name, p.Text)
			}
		}
	}
}
