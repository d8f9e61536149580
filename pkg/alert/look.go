package alert

import (
	"fmt"
	"path"
	"slices"

	"vigo.dev/pkg/report"
)

// A Subject is a node or a hub as rules look at it.
type Subject struct {
	Name       string
	Behind     string // the hub that it is heard through; "": none
	IsHub      bool
	Channel    string
	Labels     map[string]string
	Presence   report.Presence
	Compliance report.Compliance
	Failing    int // runs in a row that failed or drifted
	// Maintained is the ID of the maintenance it is in; "": none.
	Maintained string
	// Unsure is that it would be silent, and is not called so because the service itself did not listen for a while.
	Unsure bool
}

// Silent reports whether it is not heard of.
func (s *Subject) Silent() bool {
	return s.Presence == report.Stale || s.Presence == report.Missing
}

// A Witness says of the subject that is looked at what only it knows.
type Witness interface {
	// Happens is whether the event of a rule is so, and what is to be said of it. What the words of the subject tell, its presence
	// and compliance, is found out before.
	Happens(rule *report.AlertRule) (text string, is bool)
}

// A Look is a rule that looks at all subjects, one after the other.
type Look struct {
	report.AlertRule
	holds  map[string]bool
	found  []Finding
	groups map[string]*tally // of compliance.threshold
}

// NewLook begins a look. holds has the nodes that the condition of the rule holds for; nil: it has none.
func NewLook(rule report.AlertRule, holds map[string]bool) *Look {
	return &Look{AlertRule: rule, holds: holds, groups: map[string]*tally{}}
}

// tally counts the nodes of a group.
type tally struct {
	Finding
	all, well int
}

// Condition is that of a rule over labels and traits; "": it has none.
func Condition(r *report.AlertRule) string {
	if r.Event != report.EventDisk {
		return r.Where
	}
	full := fmt.Sprintf("has(filesystems) && any(values(filesystems), .used_percent >= %g && !.read_only)", r.Full)
	if r.Where == "" {
		return full
	}
	return "(" + r.Where + ") && " + full
}

// At looks at a subject.
func (l *Look) At(s *Subject, w Witness) {
	switch {
	case l.Event == report.EventChannel || OfRollouts(l.Event) || l.holds != nil && !l.holds[s.Name]:
		return
	case s.IsHub != (l.Event == report.EventDark) && l.Event != report.EventExpiring:
		return
	case !l.selects(s):
		return
	case l.Event == report.EventThreshold:
		l.count(s)
		return
	case !l.tells(s):
		return
	}
	if text, is := w.Happens(&l.AlertRule); is {
		f := s.finding(text)
		f.Unsure = s.Unsure && !s.Silent() && (l.Event == report.EventStale || l.Event == report.EventDark)
		l.found = append(l.found, f)
	}
}

// selects is whether the rule is about a subject.
func (l *Look) selects(s *Subject) bool {
	return anyOf(l.Presence, s.Presence) && anyOf(l.Compliance, s.Compliance) && anyOf(l.Channel, s.Channel) && anyOf(l.Hub, s.Behind) &&
		(len(l.Node) == 0 || slices.ContainsFunc(l.Node, func(glob string) bool { ok, err := path.Match(glob, s.Name); return ok && err == nil }))
}

// tells is whether the words of a subject allow the event.
func (l *Look) tells(s *Subject) bool {
	switch l.Event {
	case report.EventStale, report.EventDark:
		return s.Silent() || s.Unsure
	case report.EventFailed:
		return s.Compliance == report.ComplianceFailed && s.Failing >= l.Runs
	case report.EventDrift:
		return s.Compliance == report.ComplianceDrift && s.Failing >= l.Runs
	case report.EventExpiring:
		return !s.Silent()
	case report.EventFrozen, report.EventForked:
		return s.Presence == report.Live
	}
	return true
}

// anyOf is whether a value is one of a list; an empty list has them all.
func anyOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

func (s *Subject) finding(text string) Finding {
	f := Finding{Hub: s.Behind, Channel: s.Channel, Labels: s.Labels, Maintained: s.Maintained}
	if s.IsHub {
		f.Hub = s.Name
	}
	f.Subject, f.Text = s.Name, text
	return f
}

// Channels looks at a channel, of which text tells a problem that the rule is about.
func (l *Look) Channels(name, text string) {
	if anyOf(l.Channel, name) {
		f := Finding{Channel: name}
		f.Subject, f.Text = "channel "+name, text[:min(len(text), 1000)]
		l.found = append(l.found, f)
	}
}

// count counts a node for its group. One that has not reported a run, or is in maintenance, is not counted.
func (l *Look) count(s *Subject) {
	if s.Compliance == report.ComplianceNever || s.Maintained != "" {
		return
	}
	f := s.finding("")
	f.Subject = "fleet"
	f.Subject = GroupOf(&l.AlertRule, f)
	g := l.groups[f.Subject]
	if g == nil {
		g = &tally{Finding: f}
		l.groups[f.Subject] = g
	}
	g.all++
	if s.Compliance == report.ComplianceOK || s.Compliance == report.ComplianceChanged {
		g.well++
	}
}

// Found is what the rule is true for, after all subjects were looked at.
func (l *Look) Found() []Finding {
	found := l.found
	for _, g := range l.groups {
		if percent := 100 * float64(g.well) / float64(g.all); percent < l.Min {
			g.Text = fmt.Sprintf("%.1f %% of %d nodes comply, not %g %%", percent, g.all, l.Min)
			found = append(found, g.Finding)
		}
	}
	return found
}
