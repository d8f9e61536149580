package alert

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/report"
)

// grownAfter is how long nobody is told that an alert they know of has become larger.
const grownAfter = 5 * time.Minute

// moment is one step under way.
type moment struct {
	setup  Setup
	now    time.Time
	before map[string]*Alert
	after  map[string]*Alert // those that may have changed; nil: over
	found  map[string]map[string]string
}

// look brings the alerts of a rule up to date with what was found.
func (m *moment) look(rule *report.AlertRule, found []Finding) {
	groups := map[string]map[string]Finding{}
	for _, f := range found {
		group := GroupOf(rule, f)
		if groups[group] == nil {
			groups[group] = map[string]Finding{}
		}
		groups[group][f.Subject] = f
	}
	for key, a := range m.before {
		if a.Rule == rule.Name {
			m.after[key] = a
			if groups[a.Group] == nil {
				groups[a.Group] = map[string]Finding{}
			}
		}
	}
	for group, findings := range groups {
		old := m.before[rule.Name+"/"+group]
		if old == nil {
			old = &Alert{Rule: rule.Name, Group: group}
		}
		if next := m.advance(rule, old, findings); next != old {
			m.after[next.Key()] = next
		}
	}
}

// advance moves the items of an alert in time; the alert itself is returned when nothing changes.
func (m *moment) advance(rule *report.AlertRule, a *Alert, found map[string]Finding) *Alert {
	items := map[string]Item{}
	changed := false
	for subject, it := range a.Items {
		f, there := found[subject]
		there = there && (it.On || f.counts()) // what begins during maintenance begins when that ends
		next := it.next(rule, there, m.now)
		if there {
			next.Maintained = f.Maintained
			next.Hub = f.Hub
			if next.Text == "" || next.On && !it.On {
				next.Text = f.Text
			}
		}
		if next != it {
			changed = true
		}
		if next != (Item{}) {
			items[subject] = next
		}
	}
	for subject, f := range found {
		if _, known := a.Items[subject]; !known && f.counts() {
			items[subject] = Item{Since: m.now, On: rule.For <= 0, Text: f.Text, Hub: f.Hub}
			changed = true
		}
	}
	if !changed && a.Severity == rule.Severity && a.About == rule.About && a.Event == rule.Event {
		return a
	}
	next := *a
	next.Items, next.Severity, next.About, next.Event = items, rule.Severity, rule.About, rule.Event
	return &next
}

// counts is whether something can begin with a finding.
func (f *Finding) counts() bool { return f.Maintained == "" && !f.Unsure }

// next is what becomes of an item; the zero Item: it is over.
func (it Item) next(rule *report.AlertRule, there bool, now time.Time) Item {
	switch {
	case there:
		it.Gone = time.Time{}
		it.On = it.On || now.Sub(it.Since) >= rule.For
		return it
	case !it.On:
		return Item{}
	case it.Gone.IsZero():
		it.Gone = now
	}
	if now.Sub(it.Gone) >= rule.Leave {
		return Item{}
	}
	return it
}

// dropOthers ends the alerts of rules that are not there any more.
func (m *moment) dropOthers() {
	rules := map[string]bool{}
	for _, r := range m.setup.Rules {
		rules[r.Name] = true
	}
	for key, a := range m.before {
		if !rules[a.Rule] {
			next := *a
			next.Items = nil
			m.after[key] = &next
		}
	}
}

// keys are those of the alerts to decide on, in order.
func (m *moment) keys() []string { return slices.Sorted(maps.Keys(m.after)) }

func (m *moment) rule(name string) *report.AlertRule {
	for i := range m.setup.Rules {
		if m.setup.Rules[i].Name == name {
			return &m.setup.Rules[i]
		}
	}
	return &report.AlertRule{Name: name}
}

// decide says what is told of an alert.
func (m *moment) decide(key string, told map[string][]report.Transition) {
	a := m.after[key]
	rule := m.rule(a.Rule)
	next := *a
	firing, fresh := a.Firing()
	next.Inhibited, next.Muted = "", ""
	if firing > 0 {
		next.Inhibited, next.Muted = m.inhibitor(rule, a), m.mute(a)
		if next.ID == "" {
			next.Began = a.since()
			next.ID = idOf("alert_", m.setup.Fleet, key, nanos(m.now))
		}
	}
	quiet := next.Inhibited != "" || next.Muted != ""
	kind := ""
	switch {
	case firing == 0 && !a.Told.IsZero():
		kind = "resolved"
	case firing == 0 || quiet:
	case a.Told.IsZero():
		kind = "firing"
	case fresh > 0 && m.now.Sub(a.Told) >= grownAfter:
		kind = "grown"
	case rule.Repeat > 0 && m.now.Sub(a.Told) >= rule.Repeat:
		kind = "repeat"
	}
	if kind != "" {
		if kind != "resolved" {
			next.Notify = m.receivers(rule)
		}
		next.Notices++
		t := m.transition(&next, kind, firing)
		for _, name := range next.Notify {
			told[name] = append(told[name], t)
		}
		next.Told, next.Items = m.now, allTold(a.Items)
	}
	switch {
	case firing == 0 && len(next.Items) == 0:
		m.after[key] = nil
	case firing == 0:
		m.after[key] = &Alert{Rule: a.Rule, Group: a.Group, Items: a.Items, Event: a.Event, Severity: a.Severity, About: a.About}
		if a.ID == "" {
			m.after[key] = a
		}
	case kind != "" || next.Inhibited != a.Inhibited || next.Muted != a.Muted || next.ID != a.ID:
		m.after[key] = &next
	}
}

// allTold marks what somebody was told of.
func allTold(items map[string]Item) map[string]Item {
	told := make(map[string]Item, len(items))
	for subject, it := range items {
		it.Told = it.Told || it.On
		told[subject] = it
	}
	return told
}

// since is when the first began of what people are to know of.
func (a *Alert) since() (first time.Time) {
	for _, it := range a.Items {
		if it.On && (first.IsZero() || it.Since.Before(first)) {
			first = it.Since
		}
	}
	return first
}

func (m *moment) receivers(rule *report.AlertRule) []string {
	if len(rule.Notify) > 0 {
		return rule.Notify
	}
	return m.setup.Default
}

func (m *moment) transition(a *Alert, kind string, firing int) report.Transition {
	t := report.Transition{ID: idOf("told_", a.ID, kind, strconv.Itoa(a.Notices)), Alert: a.ID, Key: a.Key(), Kind: kind, Rule: a.Rule, Group: a.Group,
		Event: a.Event, Severity: cmp.Or(a.Severity, "warning"), About: a.About, At: m.now, Since: a.Began, Count: firing}
	t.Findings = a.Findings(true, report.MaxListed)
	return t
}

// Findings lists what was found, sorted; with on, only what people are to know of.
func (a *Alert) Findings(on bool, most int) []report.Finding {
	list := []report.Finding{}
	for _, subject := range slices.Sorted(maps.Keys(a.Items)) {
		if it := a.Items[subject]; (it.On || !on) && len(list) < most {
			list = append(list, report.Finding{Subject: subject, Text: it.Text})
		}
	}
	return list
}

// inhibitor is the key of an alert that explains this one: of a rule or event it names, and of the hub that all of it is behind.
func (m *moment) inhibitor(rule *report.AlertRule, a *Alert) string {
	if len(rule.InhibitedBy) == 0 {
		return ""
	}
	by := ""
	for subject, it := range a.Items {
		if !it.On {
			continue
		}
		key := m.explains(rule, subject, it)
		if key == "" {
			return ""
		}
		by = max(by, key)
	}
	return by
}

func (m *moment) explains(rule *report.AlertRule, subject string, it Item) string {
	for i := range m.setup.Rules {
		other := &m.setup.Rules[i]
		if other.Name == rule.Name || !slices.Contains(rule.InhibitedBy, other.Name) && !slices.Contains(rule.InhibitedBy, other.Event) {
			continue
		}
		found := m.foundBy(other.Name)
		if key, there := found[subject]; there {
			return key
		}
		if key, there := found[it.Hub]; there && it.Hub != "" {
			return key
		}
	}
	return ""
}

// foundBy is what a rule finds in this step, also not for long enough yet or not any more for long enough, with the key of the alert.
func (m *moment) foundBy(rule string) map[string]string {
	if found, made := m.found[rule]; made {
		return found
	}
	found := map[string]string{}
	for _, a := range m.before {
		if _, looked := m.after[a.Key()]; !looked && a.Rule == rule {
			for subject := range a.Items {
				found[subject] = a.Key()
			}
		}
	}
	for _, a := range m.after {
		if a != nil && a.Rule == rule {
			for subject := range a.Items {
				found[subject] = a.Key()
			}
		}
	}
	m.found[rule] = found
	return found
}

// mute is the ID of a mute that is for this alert: for its group, or for all that was found.
func (m *moment) mute(a *Alert) string {
	for _, mute := range m.setup.Mutes {
		if !m.now.Before(mute.Until) || !matches(mute.Rule, a.Rule) {
			continue
		}
		if matches(mute.Group, a.Group) {
			return mute.ID
		}
		all := true
		for subject, it := range a.Items {
			all = all && (!it.On || matches(mute.Group, subject))
		}
		if all {
			return mute.ID
		}
	}
	return a.maintained()
}

// maintained is the ID of a maintenance, if all that was found is in one.
func (a *Alert) maintained() (id string) {
	for _, it := range a.Items {
		if it.On && it.Maintained == "" {
			return ""
		}
		if it.On {
			id = max(id, it.Maintained)
		}
	}
	return id
}

// MaintainedBy is the maintenance that a node is in: its own, or, if it is not heard of, that of the hub it is behind.
func MaintainedBy(own, hub string, silent bool) string {
	if own == "" && silent {
		return hub
	}
	return own
}

// matches compares with a glob in which a slash is a letter like others; "" matches all.
func matches(glob, name string) bool {
	if glob == "" {
		return true
	}
	flat := strings.NewReplacer("/", "\x01")
	ok, err := path.Match(flat.Replace(glob), flat.Replace(name))
	return ok && err == nil
}
