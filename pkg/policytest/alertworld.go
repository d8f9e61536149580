package policytest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// known is a node or hub of a test.
type known struct {
	alert.Subject
	traits  map[string]any
	refuses string
	pointer string
	overdue bool
	excess  bool
	expires time.Time // of its certificate; zero: it is not about that
	now     time.Time
}

// Happens implements alert.Witness.
func (k *known) Happens(r *report.AlertRule) (string, bool) {
	switch r.Event {
	case report.EventSetAside:
		return k.refuses, k.refuses != ""
	case report.EventExpiring:
		return "valid until " + k.expires.Format(time.RFC3339), !k.expires.IsZero() && k.expires.Sub(k.now) < r.Within
	case report.EventExcess:
		return "it says more than its share", k.excess
	case report.EventReboot:
		return "is not back from its reboot", k.overdue
	case report.EventFrozen:
		return "has an old pointer", k.pointer == "frozen"
	case report.EventForked:
		return "has a pointer that nobody told of", k.pointer == "forked"
	}
	return fmt.Sprintf("%s, %s", k.Presence, k.Compliance), true
}

// world is all there is in a test.
type world struct {
	conds    map[string]*expr.Cond // by rule
	subjects map[string]*known     // hubs with "hub " before their names
	channels map[string]ChannelFacts
	rollouts map[string]rollout.State
	mutes    []report.Mute
}

// roll makes the rollout of a channel so.
func (w *world) roll(channel string, is *string, now time.Time) error {
	if is == nil {
		return nil
	}
	s := rollout.State{ID: channel, Phase: rollout.Phase(*is), Reason: rollout.Applying, Since: now}
	if *is == string(rollout.WaitingApproval) {
		s.Phase, s.Reason = rollout.Running, rollout.WaitingApproval
	}
	if *is != "" && !slices.Contains(rollout.Phases(), s.Phase) {
		return fmt.Errorf("rollout: %q is not %s or one of %v", *is, rollout.WaitingApproval, rollout.Phases())
	}
	w.rollouts[channel] = s
	return nil
}

// change makes a scene so.
func (w *world) change(s Scene, now time.Time) error {
	for _, pattern := range slices.Sorted(maps.Keys(s.Nodes)) {
		names, err := namesOf(pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := w.subject(name, name).take(s.Nodes[pattern], now); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if len(w.subjects) > maxSubjects {
			return fmt.Errorf("there are more than %d nodes and hubs", maxSubjects)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Hubs)) {
		f := s.Hubs[name]
		k := w.subject("hub "+name, name)
		k.IsHub = true
		if err := k.take(NodeFacts{Presence: f.Presence, Certificate: f.Certificate, Maintenance: f.Maintenance}, now); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, f := range s.Channels {
		c := w.channels[name]
		if err := w.roll(name, f.Rollout, now); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.channels[name] = ChannelFacts{Error: cmp.Or(f.Error, c.Error), Expired: cmp.Or(f.Expired, c.Expired)}
	}
	if len(w.subjects) > maxSubjects {
		return fmt.Errorf("there are more than %d nodes and hubs", maxSubjects)
	}
	if m := s.Mute; m != nil {
		w.mutes = append(w.mutes, report.Mute{ID: fmt.Sprint("mute ", len(w.mutes)+1), Rule: m.Rule, Group: m.Of, At: now, Until: now.Add(m.Last)})
	}
	return nil
}

// nodes counts those that are no hubs.
func (w *world) nodes() (n int) {
	for _, k := range w.subjects {
		if !k.IsHub {
			n++
		}
	}
	return n
}

func (w *world) subject(key, name string) *known {
	k := w.subjects[key]
	if k == nil {
		k = &known{Subject: alert.Subject{Name: name, Channel: "stable", Labels: map[string]string{}, Presence: report.Live, Compliance: report.ComplianceOK}, traits: map[string]any{}}
		w.subjects[key] = k
	}
	return k
}

// namesOf are the names that a key stands for: web-1..3 for three.
func namesOf(pattern string) ([]string, error) {
	head, last, many := strings.Cut(pattern, "..")
	if !many {
		return []string{pattern}, nil
	}
	stem := strings.TrimRight(head, "0123456789")
	from, err1 := strconv.Atoi(head[len(stem):])
	to, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil || from > to || to-from >= maxSubjects {
		return nil, fmt.Errorf("%q does not name nodes; write web-1..20", pattern)
	}
	names := make([]string, 0, to-from+1)
	for i := from; i <= to; i++ {
		names = append(names, stem+strconv.Itoa(i))
	}
	return names, nil
}

// take makes what is said of a subject so.
func (k *known) take(f NodeFacts, now time.Time) error {
	presences := []report.Presence{report.Live, report.Late, report.Stale, report.Missing, report.Never}
	states := []report.Compliance{report.ComplianceOK, report.ComplianceChanged, report.ComplianceDrift, report.ComplianceFailed, report.ComplianceNever}
	switch {
	case f.Presence != "" && !slices.Contains(presences, f.Presence):
		return fmt.Errorf("presence: %q is not one of %v", f.Presence, presences)
	case f.Compliance != "" && !slices.Contains(states, f.Compliance):
		return fmt.Errorf("compliance: %q is not one of %v", f.Compliance, states)
	case f.Pointer != nil && !slices.Contains([]string{"", "frozen", "forked"}, *f.Pointer):
		return fmt.Errorf("pointer: %q is neither frozen nor forked", *f.Pointer)
	}
	labels := maps.Clone(k.Labels)
	maps.Copy(labels, f.Labels)
	k.Labels = labels
	for name, doc := range f.Traits {
		k.traits[name] = plain(doc)
	}
	k.Presence, k.Compliance = cmp.Or(f.Presence, k.Presence), cmp.Or(f.Compliance, k.Compliance)
	k.Channel, k.Behind = given(f.Channel, k.Channel), given(f.Hub, k.Behind)
	k.refuses, k.pointer, k.overdue, k.excess = given(f.Refuses, k.refuses), given(f.Pointer, k.pointer), given(f.Overdue, k.overdue), given(f.Excess, k.excess)
	if f.Compliance != "" {
		k.Failing = 0
		if f.Compliance == report.ComplianceFailed || f.Compliance == report.ComplianceDrift {
			k.Failing = 1
		}
	}
	k.Failing = given(f.Failing, k.Failing)
	if f.Certificate != nil {
		k.expires = now.Add(*f.Certificate)
	}
	if f.Maintenance != nil {
		k.Maintained = map[bool]string{true: "maintenance"}[*f.Maintenance]
	}
	return nil
}

func given[T any](p *T, otherwise T) T {
	if p != nil {
		return *p
	}
	return otherwise
}

// facts is what rules are true for.
func (w *world) facts(rules []report.AlertRule, now time.Time) (alert.Facts, error) {
	facts := alert.Facts{}
	for _, r := range rules {
		holds, err := w.holds(r.Name)
		if err != nil {
			return nil, err
		}
		l := alert.NewLook(r, holds)
		for _, k := range w.subjects {
			k.now = now
			subject := k.Subject
			if hub := w.subjects["hub "+k.Behind]; hub != nil {
				subject.Maintained = alert.MaintainedBy(k.Maintained, hub.Maintained, k.Silent())
			}
			l.At(&subject, k)
		}
		for name, s := range w.rollouts {
			l.Rollout(name, s, now)
		}
		for name, c := range w.channels {
			if text := given(c.Error, ""); r.Event == report.EventChannel && text != "" {
				l.Channels(name, text)
			}
			if r.Event == report.EventFrozen && given(c.Expired, false) {
				l.Channels(name, "its pointer is past its time")
			}
		}
		facts[r.Name] = l.Found()
	}
	return facts, nil
}

// holds finds the nodes that the condition of a rule holds for; nil: it has none.
func (w *world) holds(rule string) (map[string]bool, error) {
	cond := w.conds[rule]
	if cond == nil {
		return nil, nil
	}
	holds := map[string]bool{}
	for _, k := range w.subjects {
		vars := map[string]any{"node": k.Name}
		maps.Copy(vars, k.traits)
		for name, value := range k.Labels {
			vars[name] = value
		}
		ok, err := cond.Eval(vars)
		if err != nil {
			return nil, fmt.Errorf("%s: the condition of %s: %w", k.Name, rule, err)
		}
		holds[k.Name] = holds[k.Name] || ok
	}
	return holds, nil
}
