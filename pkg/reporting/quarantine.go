package reporting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// quarantineTopic tells other services that nodes came into quarantine, or out of it.
const quarantineTopic = "quarantine"

// readQuarantine takes over which nodes are in quarantine.
func (s *Service) readQuarantine(ctx context.Context) error {
	docs, err := s.DB.AlertsOf(ctx, quarantinePrefix)
	if err != nil {
		return err
	}
	in := map[string]alert.Quarantined{}
	for key, doc := range docs {
		var q alert.Quarantined
		if err := json.Unmarshal(doc, &q); err != nil {
			return fmt.Errorf("reading the quarantine of %s: %w", key, err)
		}
		in[strings.TrimPrefix(key, quarantinePrefix)] = q
	}
	s.setQuarantine(in)
	return nil
}

func (s *Service) setQuarantine(in map[string]alert.Quarantined) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantined = in // never changed, only replaced
}

// quarantine is that of a node; nil: it is in none. The caller holds the lock of the service.
func (s *Service) quarantine(node string) *report.Quarantine {
	q, in := s.quarantined[node]
	if !in || !q.Released.IsZero() {
		return nil
	}
	return &q.Quarantine
}

// heldProblems are the rules that would put more nodes in quarantine than they may.
func (a *alerting) heldProblems() []report.Problem {
	var list []report.Problem
	for rule, n := range a.held {
		list = append(list, report.Problem{Kind: "quarantine", Text: fmt.Sprintf(
			"the rule %s would put %d more nodes in quarantine than it may: so many at once, look at what they have in common", rule, n)})
	}
	return list
}

// Release implements api.Upkeep. Any service on the store does it.
func (s *Service) Release(ctx context.Context, node string) error {
	a := &s.alerts
	a.mu.Lock()
	defer a.mu.Unlock()
	act := audit.By(ctx, audit.NodeReleased, node, nil)
	for range 5 {
		a.loaded = a.loaded && s.Leads()
		if err := s.loadAlerts(ctx); err != nil {
			return kept(err)
		}
		now := s.Now()
		change, in := alert.Release(s.alertSetup(), a.state, node, act.Actor, now)
		if !in {
			return api.Refuse(api.ErrNotFound, "the node %.100q is not in quarantine", node)
		}
		act.Detail = map[string]string{"rule": a.state.Quarantined[node].Rule}
		err := s.keepAlertChange(ctx, change, now, act)
		if !errors.Is(err, sqlstore.ErrMoved) { // another service decided in this moment
			return kept(err)
		}
	}
	return api.Refuse(api.ErrBusy, "the alerts change all the time")
}

// keepAlertChange keeps what was decided, and has those told who are to be. After an error the state is read anew.
func (s *Service) keepAlertChange(ctx context.Context, change alert.Change, now time.Time, acts ...audit.Entry) error {
	a := &s.alerts
	docs, out := documents(change)
	beside := sqlstore.Beside{Events: change.Events, Acts: acts, Now: now}
	if len(change.Quarantined) > 0 {
		beside.Topic = quarantineTopic
	}
	if err := s.DB.PutAlerts(ctx, a.version, docs, out, beside); err != nil {
		a.loaded, a.next = false, time.Time{} // whether it was kept is not known
		return err
	}
	a.version++
	a.state = a.state.With(change)
	if len(change.Quarantined) > 0 {
		s.setQuarantine(a.state.Quarantined)
	}
	for _, n := range change.Notices {
		a.bells.ring(n.Receiver)
	}
	return nil
}

// quarantineProblem is that a node is in quarantine.
func quarantineProblem(ns report.NodeStatus) []report.Problem {
	q := ns.Quarantine
	if q == nil {
		return nil
	}
	text := fmt.Sprintf("in quarantine by the rule %s: %s", q.Rule, q.Text)
	if q.Until == report.UntilReleased {
		text += "; vigo node release lets it out"
	}
	return []report.Problem{{Kind: "quarantine", Node: ns.Name, Channel: ns.Channel, Text: text, First: q.Since}}
}
