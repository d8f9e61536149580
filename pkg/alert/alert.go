// Package alert decides what people are told of a fleet, and when: rules, what is found true, and the time go in; transitions and
// notices come out.
//
// It refuses to look at a clock, a node or a store, and to send anything: package reporting finds, package sqlstore keeps what
// came out before anybody hears of it, and package deliver sends.
package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/report"
)

// A Finding is one thing that a rule is true for now, with what it can be grouped and inhibited by.
type Finding struct {
	report.Finding
	Hub     string // that a node is behind, or a hub itself
	Channel string
	Labels  map[string]string
	// Maintained is the ID of the maintenance that its node is in; "": none.
	Maintained string
	// Unsure is that it may be so or not: an alert that has begun goes on, and none begins.
	Unsure bool
}

// Facts is what is true now, by the name of the rule. A rule that is not in it could not be looked at: its alerts stay.
type Facts map[string][]Finding

// Setup is by what is decided.
type Setup struct {
	Fleet   string
	Rules   []report.AlertRule
	Default []string       // receivers of rules that name none
	Caps    map[string]Cap // by receiver; others are not told
	Mutes   []report.Mute  // also those that are over
	Nodes   int            // of the fleet, of which a share may be in quarantine
}

// An Item is one finding of an alert, in time.
type Item struct {
	Since time.Time `json:"since"`          // true since
	Gone  time.Time `json:"gone,omitzero"`  // false since; zero: it is true
	On    bool      `json:"on,omitempty"`   // it has been true for long enough
	Told  bool      `json:"told,omitempty"` // somebody was told of it
	Text  string    `json:"text,omitempty"` // when it was last true
	Hub   string    `json:"hub,omitempty"`
	// Maintained is the ID of the maintenance that its node is in.
	Maintained string `json:"maintained,omitempty"`
}

// An Alert is a rule and a group of what it found. It is replaced, never changed.
type Alert struct {
	Rule    string          `json:"rule"`
	Group   string          `json:"group"`
	Items   map[string]Item `json:"items"`        // by subject
	ID      string          `json:"id,omitempty"` // since it fires
	Began   time.Time       `json:"began,omitzero"`
	Told    time.Time       `json:"told,omitzero"` // last; zero: nobody was told
	Notices int             `json:"notices,omitempty"`
	Notify  []string        `json:"notify,omitempty"` // who was told
	Event   string          `json:"event,omitempty"`
	// Severity and About are those of the rule when it was last looked at.
	Severity  string `json:"severity,omitempty"`
	About     string `json:"about,omitempty"`
	Inhibited string `json:"inhibited,omitempty"` // key of the alert that does
	Muted     string `json:"muted,omitempty"`     // ID of the mute, or of the maintenance
}

// Key is the same each time that the same happens.
func (a *Alert) Key() string { return a.Rule + "/" + a.Group }

// Firing counts what people are to know of, and how much of that nobody was told of.
func (a *Alert) Firing() (all, fresh int) {
	for _, it := range a.Items {
		if it.On {
			all++
			if !it.Told {
				fresh++
			}
		}
	}
	return all, fresh
}

// State is all that is remembered between two steps.
type State struct {
	Alerts map[string]*Alert // by key
	Queues map[string]Queue  // by receiver
	// Quarantined are the nodes in quarantine, and such that were let out and still are found.
	Quarantined map[string]Quarantined
}

// A Change is what a step makes of a state; nothing of it counts before it is kept.
type Change struct {
	Alerts  map[string]*Alert // nil: it is over
	Queues  map[string]Queue
	Notices []report.Notice
	// Quarantined are nodes that come into quarantine or, if nil, leave it; Events say so.
	Quarantined map[string]*Quarantined
	Events      []report.Event
	// Held counts by rule the nodes that are not put in quarantine because too many are. It is not kept.
	Held map[string]int
}

// Empty says that all stays as it is.
func (c Change) Empty() bool {
	return len(c.Alerts)+len(c.Queues)+len(c.Notices)+len(c.Quarantined) == 0
}

// With is the state after a change.
func (s State) With(c Change) State {
	next := State{Alerts: maps.Clone(s.Alerts), Queues: maps.Clone(s.Queues), Quarantined: maps.Clone(s.Quarantined)}
	if next.Alerts == nil {
		next.Alerts = map[string]*Alert{}
	}
	if next.Queues == nil {
		next.Queues = map[string]Queue{}
	}
	for key, a := range c.Alerts {
		if a == nil {
			delete(next.Alerts, key)
		} else {
			next.Alerts[key] = a
		}
	}
	maps.Copy(next.Queues, c.Queues)
	if next.Quarantined == nil {
		next.Quarantined = map[string]Quarantined{}
	}
	for node, q := range c.Quarantined {
		if q == nil {
			delete(next.Quarantined, node)
		} else {
			next.Quarantined[node] = *q
		}
	}
	return next
}

// Step decides what becomes of a state. It is pure: the same arguments, the same change, down to the IDs.
func Step(setup Setup, s State, facts Facts, now time.Time) Change {
	now = now.UTC()
	m := moment{setup: setup, now: now, before: s.Alerts, after: map[string]*Alert{}, found: map[string]map[string]string{}}
	for i := range setup.Rules {
		rule := &setup.Rules[i]
		if found, known := facts[rule.Name]; known {
			m.look(rule, found)
		}
	}
	m.dropOthers()
	told := map[string][]report.Transition{}
	c := Change{Alerts: map[string]*Alert{}, Queues: map[string]Queue{}, Quarantined: map[string]*Quarantined{}, Held: map[string]int{}}
	m.quarantine(s, told, &c)
	for _, key := range m.keys() {
		m.decide(key, told)
	}
	for key, a := range m.after {
		if old := s.Alerts[key]; a != old {
			c.Alerts[key] = a
		}
	}
	c.offer(setup, s, told, now)
	return c
}

// offer gives the receivers what they are to be told.
func (c *Change) offer(setup Setup, s State, told map[string][]report.Transition, now time.Time) {
	receivers := map[string]bool{}
	for name := range told {
		receivers[name] = true
	}
	for name := range s.Queues {
		receivers[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(receivers)) {
		limit, known := setup.Caps[name]
		if !known {
			continue // nobody is there to be told; what waits for them goes on to wait
		}
		old := s.Queues[name]
		queue, notices := old.offer(limit, told[name], now)
		if !queue.same(old) {
			c.Queues[name] = queue
		}
		for _, n := range notices {
			n.Fleet, n.Receiver = setup.Fleet, name
			c.Notices = append(c.Notices, n)
		}
	}
}

// idOf names something by what it is, so that it has the same name when it is decided again.
func idOf(prefix string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return prefix + hex.EncodeToString(sum[:12])
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// GroupOf is the name of the group that a finding belongs to.
func GroupOf(rule *report.AlertRule, f Finding) string {
	if len(rule.GroupBy) == 0 {
		return f.Subject
	}
	parts := make([]string, 0, len(rule.GroupBy))
	for _, by := range rule.GroupBy {
		value := f.Labels[by]
		switch by {
		case "hub":
			value = f.Hub
		case "channel":
			value = f.Channel
		}
		parts = append(parts, by+"="+cmp.Or(value, "none"))
	}
	return strings.Join(parts, ",")
}
