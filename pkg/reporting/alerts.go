package reporting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// The notes that hold what is known of alerts beside their state.
const (
	alertRulesKey = "alert-rules"
	mutesKey      = "alert-mutes"
)

// How documents of the state are named in the store.
const (
	alertPrefix      = "a:"
	queuePrefix      = "q:"
	quarantinePrefix = "n:" // by node
)

// alerting is what the service knows of alerts. Its lock is taken before that of the service.
type alerting struct {
	mu      sync.Mutex
	state   alert.State
	version int64
	loaded  bool // the state is that of the store
	rules   []rule
	builtIn bool
	mutes   []report.Mute
	next    time.Time // when it is looked again
	nodes   int       // of the fleet, when it was looked last
	bells   bells
	tell    atomic.Pointer[deliver.Service]

	failing sync.Mutex         // of what follows
	held    map[string]int     // by rule: nodes that are too many for quarantine
	mistold []string           // rules that tell nobody whom the service knows
	trouble map[string]trouble // by receiver
	unread  trouble            // of the file of receivers
}

// rule is a rule with its condition.
type rule struct {
	report.AlertRule
	cond *expr.Cond // nil: it has none, or err
	err  error
	at   time.Time // when it was compiled
}

// share is the part of the time that looking for alerts may take: a fiftieth. It is done each second; at 100,000 nodes, every few.
const share = 50

// rest is how long nobody looks at most, also on a machine that is too busy to look in time.
const rest = 10 * time.Second

// beginAlerts loads what the store holds but the state, which is read before the first step.
func (s *Service) beginAlerts(ctx context.Context) error {
	s.alerts.trouble = map[string]trouble{}
	s.alerts.tell.Store(s.Alerts)
	if err := s.readQuarantine(ctx); err != nil {
		return err
	}
	return s.readAlertNotes(ctx)
}

// takeAlerts takes over rules and mutes that another service was told.
func (s *Service) takeAlerts(ctx context.Context, c sqlstore.Change) error {
	if c.Lost || slices.Contains(c.Notes, quarantineTopic) {
		if err := s.readQuarantine(ctx); err != nil {
			return err
		}
	}
	if !c.Lost && !slices.Contains(c.Notes, alertRulesKey) && !slices.Contains(c.Notes, mutesKey) && !slices.Contains(c.Notes, maintenanceKey) {
		return nil
	}
	s.alerts.mu.Lock()
	defer s.alerts.mu.Unlock()
	return s.readAlertNotes(ctx)
}

func (s *Service) readAlertNotes(ctx context.Context) error {
	var rules []report.AlertRule
	s.alerts.mutes = nil
	for key, into := range map[string]any{alertRulesKey: &rules, mutesKey: &s.alerts.mutes} {
		if err := s.DB.Note(ctx, key, into); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
			return err
		}
	}
	s.useRules(rules)
	return s.readMaintenance(ctx)
}

// useRules has alerts judged by other rules; none: those of the program. The caller holds the lock of the alerts, or has the
// service to itself.
func (s *Service) useRules(rules []report.AlertRule) {
	s.alerts.builtIn = len(rules) == 0
	if s.alerts.builtIn {
		rules = alert.BuiltIn()
	}
	s.alerts.rules = make([]rule, len(rules))
	for i, r := range rules {
		s.alerts.rules[i].AlertRule = r
	}
	s.alerts.next = time.Time{}
	s.checkRules()
}

// checkRules finds the rules that tell nobody who is there. The caller holds the lock of the alerts, or has the service to itself.
func (s *Service) checkRules() {
	s.alerts.failing.Lock()
	defer s.alerts.failing.Unlock()
	s.alerts.mistold = nil
	if d := s.receivers(); s.alerts.builtIn && d != nil && len(d.Default) == 0 {
		s.alerts.mistold = []string{"the usual rules: nobody is told: the service has no default receiver"}
		return
	}
	for _, r := range s.alerts.rules {
		s.alerts.mistold = append(s.alerts.mistold, s.ruleProblems(r)...)
	}
}

// keepAlerts looks for alerts until ctx ends.
func (s *Service) keepAlerts(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	works := true
	for {
		err := s.alertAsLeader(ctx)
		if err != nil && works && ctx.Err() == nil {
			s.Log.Error("deciding on alerts; it does not say so again until it works", "err", err, "hint", fault.Hints(err))
		}
		works = err == nil
		select {
		case <-ctx.Done():
			return
		case <-second.C:
		}
	}
}

// alertAsLeader does nothing in a service that follows another one, but to forget what it knew of the state.
func (s *Service) alertAsLeader(ctx context.Context) error {
	if s.Leads() {
		return s.Alert(ctx)
	}
	s.alerts.mu.Lock()
	defer s.alerts.mu.Unlock()
	s.alerts.loaded = false
	s.alerts.failing.Lock()
	defer s.alerts.failing.Unlock()
	s.alerts.held = nil // the leader knows
	return nil
}

// Alert does what is due each second: it finds what is true, and writes what follows from it, transitions with the notices of
// them, before anybody is told. Run calls it. What could not be written is decided again. Of several services on one database the leader does it.
func (s *Service) Alert(ctx context.Context) error {
	a := &s.alerts
	a.mu.Lock()
	defer a.mu.Unlock()
	now := s.Now()
	if now.Before(a.next) {
		return nil
	}
	if err := s.loadAlerts(ctx); err != nil {
		return err
	}
	began := time.Now()
	facts := s.facts(ctx, now)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	change := alert.Step(s.alertSetup(), a.state, facts, now)
	a.next = now.Add(min(share*time.Since(began), rest))
	a.failing.Lock()
	a.held = change.Held
	a.failing.Unlock()
	if change.Empty() {
		return nil
	}
	err := s.keepAlertChange(ctx, change, now)
	if err != nil && !errors.Is(err, sqlstore.ErrMoved) { // else another service was first, and it is decided anew
		return fmt.Errorf("keeping alerts: %w", err)
	}
	return nil
}

func (s *Service) alertSetup() alert.Setup {
	setup := alert.Setup{Fleet: s.Fleet, Mutes: s.alerts.mutes, Nodes: s.alerts.nodes}
	for _, r := range s.alerts.rules {
		setup.Rules = append(setup.Rules, r.AlertRule)
	}
	if d := s.receivers(); d != nil {
		setup.Default, setup.Caps = d.Default, d.Caps
	}
	return setup
}

// loadAlerts reads the state, unless it is known.
func (s *Service) loadAlerts(ctx context.Context) error {
	if s.alerts.loaded {
		return nil
	}
	kept, err := s.DB.Alerts(ctx)
	if err != nil {
		return err
	}
	state := alert.State{Alerts: map[string]*alert.Alert{}, Queues: map[string]alert.Queue{}, Quarantined: map[string]alert.Quarantined{}}
	for key, doc := range kept.Docs {
		if name, ok := strings.CutPrefix(key, queuePrefix); ok {
			var q alert.Queue
			err = json.Unmarshal(doc, &q)
			state.Queues[name] = q
		} else if name, ok := strings.CutPrefix(key, alertPrefix); ok {
			state.Alerts[name] = &alert.Alert{}
			err = json.Unmarshal(doc, state.Alerts[name])
		} else if name, ok := strings.CutPrefix(key, quarantinePrefix); ok {
			var q alert.Quarantined
			err = json.Unmarshal(doc, &q)
			state.Quarantined[name] = q
		}
		if err != nil {
			return fmt.Errorf("reading alert %s: %w", key, err)
		}
	}
	s.alerts.state, s.alerts.version, s.alerts.loaded = state, kept.Version, true
	s.setQuarantine(state.Quarantined)
	return nil
}

// documents is a change as it is kept.
func documents(c alert.Change) (map[string][]byte, []sqlstore.Outgoing) {
	docs := map[string][]byte{}
	for key, a := range c.Alerts {
		docs[alertPrefix+key] = nil
		if a != nil {
			docs[alertPrefix+key] = encoded(a)
		}
	}
	for name, q := range c.Queues {
		docs[queuePrefix+name] = encoded(q)
	}
	for node, q := range c.Quarantined {
		docs[quarantinePrefix+node] = nil
		if q != nil {
			docs[quarantinePrefix+node] = encoded(q)
		}
	}
	out := make([]sqlstore.Outgoing, len(c.Notices))
	for i, n := range c.Notices {
		out[i] = sqlstore.Outgoing{Receiver: n.Receiver, ID: n.ID, At: n.At, Doc: encoded(n)}
	}
	return docs, out
}

// encoded is a document of this package; one that cannot be encoded is a programmer's mistake.
func encoded(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encoding %T: %v", v, err))
	}
	return data
}
