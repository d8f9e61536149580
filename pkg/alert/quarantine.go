package alert

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/report"
)

// Quarantined is a node in quarantine. It is replaced, never changed.
type Quarantined struct {
	report.Quarantine
	Notify   []string `json:"notify,omitempty"` // who was told
	Severity string   `json:"severity,omitempty"`
	About    string   `json:"about,omitempty"`
	// Released is when a person let it out although the rule still found it; it is kept until the rule does not, so that it is not
	// put in again for the same.
	Released time.Time `json:"released,omitzero"`
}

// Release lets a node out; false: it is not in quarantine.
func Release(setup Setup, s State, node, by string, now time.Time) (c Change, ok bool) {
	q, in := s.Quarantined[node]
	if !in || !q.Released.IsZero() {
		return c, false
	}
	now = now.UTC()
	m := moment{setup: setup, now: now, before: s.Alerts, after: map[string]*Alert{}, found: map[string]map[string]string{}}
	c = Change{Quarantined: map[string]*Quarantined{node: nil}, Queues: map[string]Queue{}}
	if _, still := m.item(q.Rule, node); still {
		q.Released = now
		c.Quarantined[node] = &q
	}
	told := map[string][]report.Transition{}
	c.Events = m.tellQuarantine(node, &q, "released", "released by "+by, told)
	c.offer(setup, s, told, now)
	return c, true
}

// quarantine puts nodes in and lets out those that are well.
func (m *moment) quarantine(s State, told map[string][]report.Transition, c *Change) {
	in := 0
	for _, node := range slices.Sorted(maps.Keys(s.Quarantined)) {
		q := s.Quarantined[node]
		_, still := m.item(q.Rule, node)
		switch {
		case still || q.Released.IsZero() && q.Until == report.UntilReleased:
			if q.Released.IsZero() {
				in++
			}
		case !q.Released.IsZero():
			c.Quarantined[node] = nil
		default:
			c.Quarantined[node] = nil
			c.Events = append(c.Events, m.tellQuarantine(node, &q, "released", "well again", told)...)
		}
	}
	for i := range m.setup.Rules {
		rule := &m.setup.Rules[i]
		if rule.Quarantine == nil {
			continue
		}
		most := max(1, int(float64(m.setup.Nodes)*rule.Quarantine.Most/100))
		for _, node := range m.candidates(rule) {
			if _, known := s.Quarantined[node]; known || c.Quarantined[node] != nil {
				continue
			}
			if in >= most {
				c.Held[rule.Name]++
				continue
			}
			in++
			it, _ := m.item(rule.Name, node)
			q := &Quarantined{Quarantine: report.Quarantine{Rule: rule.Name, Since: m.now, Text: it.Text, Until: rule.Quarantine.Until},
				Notify: rule.Quarantine.Notify, Severity: rule.Severity, About: rule.About}
			if len(q.Notify) == 0 {
				q.Notify = m.receivers(rule)
			}
			c.Quarantined[node] = q
			c.Events = append(c.Events, m.tellQuarantine(node, q, "quarantined", "by rule "+rule.Name+": "+it.Text, told)...)
		}
	}
}

// candidates are the nodes that a rule finds for long enough, and that nothing else explains, sorted.
func (m *moment) candidates(rule *report.AlertRule) []string {
	var nodes []string
	for node := range m.foundBy(rule.Name) {
		it, _ := m.item(rule.Name, node)
		if it.On && it.Gone.IsZero() && it.Maintained == "" && (len(rule.InhibitedBy) == 0 || m.explains(rule, node, it) == "") {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// item is what a rule finds of a node.
func (m *moment) item(rule, node string) (it Item, found bool) {
	key, there := m.foundBy(rule)[node]
	if !there {
		return it, false
	}
	a, looked := m.after[key]
	if !looked {
		a = m.before[key]
	}
	if a == nil {
		return it, false
	}
	it, found = a.Items[node]
	return it, found
}

// tellQuarantine tells the receivers of a node that it is in, or out, and is the event that says so.
func (m *moment) tellQuarantine(node string, q *Quarantined, kind, text string, told map[string][]report.Transition) []report.Event {
	id := idOf("alert_", m.setup.Fleet, "quarantine", node, nanos(q.Since))
	t := report.Transition{ID: idOf("told_", id, kind), Alert: id, Key: report.EventSetAside + "/" + node, Kind: kind, Rule: q.Rule, Group: node,
		Event: report.EventSetAside, Severity: cmp.Or(q.Severity, "warning"), About: q.About, At: m.now, Since: q.Since, Count: 1,
		Findings: []report.Finding{{Subject: node, Text: text}}}
	for _, name := range q.Notify {
		told[name] = append(told[name], t)
	}
	event := report.Event{At: m.now, Node: node, Kind: report.EventSetAside, Text: text}
	if kind == "released" {
		event.Kind = "node.released"
	}
	return []report.Event{event}
}
