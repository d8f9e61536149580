package policy

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/window"
)

// MaxTimeout is the longest timeout of a resource.
const MaxTimeout = 24 * time.Hour

// Always is the window that is open at any time; a name for it lifts a window that is set further away.
const Always = "always"

// A Window is when changes may be made, as fleet.yaml names it: the union of its spans.
type Window struct {
	Spans []window.Span `json:"spans"`
	Pos   fault.Pos     `json:"pos"`
}

const maxSpans = 50

var hoursRule = regexp.MustCompile(`^([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)$`)

func (r *reader) window(n *yaml.Node) Text {
	r.level(2)
	return Text{r.str(n, "window"), r.pos(n)}
}

func (r *reader) windows(n *yaml.Node) map[string]Window {
	entries, _ := r.mapping(n, "the windows")
	windows := make(map[string]Window, len(entries))
	for _, e := range entries {
		if !nameRule.MatchString(e.key) || e.key == Always {
			r.fail(e.node, "bad-name", "lower-case letters, digits, - and _; always is taken", "%q is not a name for a window", e.key)
		}
		w := Window{Pos: r.pos(e.node)}
		spans := []*yaml.Node{e.value}
		if e.value.Kind == yaml.SequenceNode {
			spans = e.value.Content
		}
		if len(spans) == 0 || len(spans) > maxSpans {
			r.fail(e.value, "out-of-range", `{days: [sat, sun], hours: "01:00-05:00"}`, "a window has from 1 to %d spans, not %d", maxSpans, len(spans))
			continue
		}
		for _, span := range spans {
			w.Spans = append(w.Spans, r.span(span))
		}
		windows[e.key] = w
	}
	return windows
}

func (r *reader) span(n *yaml.Node) window.Span {
	s := window.Span{Zone: "UTC"}
	entries, ok := r.mapping(n, "a window")
	if !ok {
		return s
	}
	r.only(entries, "days", "hours", "timezone")
	hours := false
	for _, e := range entries {
		switch e.key {
		case "days":
			s.Days = r.days(e.value)
		case "hours":
			hours = true
			s.From, s.To = r.hours(e.value)
		case "timezone":
			s.Zone = r.str(e.value, "the timezone")
			if s.Zone == "local" {
				s.Zone = "Local"
			} else if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "" || s.Zone == "Local" {
				r.fail(e.value, "bad-value", "a name such as Europe/Amsterdam, UTC, or local for that of each node", "%q is not a time zone that is known", s.Zone)
				s.Zone = "UTC"
			}
		}
	}
	if !hours {
		r.fail(n, "missing-key", `hours: "01:00-05:00"`, `a window needs the key "hours"`)
	}
	if s.Days == nil {
		s.Days = weekdays(time.Sunday, time.Saturday)
	}
	return s
}

func (r *reader) hours(n *yaml.Node) (from, to int) {
	m := hoursRule.FindStringSubmatch(r.str(n, "hours"))
	if m == nil {
		if n.Tag == "!!str" {
			r.fail(n, "bad-value", `"22:00-06:00"`, "hours must be two times of day, not %s", describe(n))
		}
		return 0, 24 * 60
	}
	from, to = minutes(m[1], m[2]), minutes(m[3], m[4])
	if to > 24*60 || from == to {
		r.fail(n, "bad-value", `"00:00-24:00" is the whole day`, "the hours %s end when they begin, or after the day", describe(n))
	}
	return from, to
}

func minutes(hour, minute string) int {
	two := func(s string) int {
		n := 0
		for _, c := range s {
			n = 10*n + int(c-'0')
		}
		return n
	}
	return 60*two(hour) + two(minute)
}

// days reads names of days and ranges of them, such as mon-fri.
func (r *reader) days(n *yaml.Node) []time.Weekday {
	var all []time.Weekday
	for _, t := range r.texts(n, "days") {
		first, last, isRange := strings.Cut(t.S, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(dayNames(), first), slices.Index(dayNames(), last)
		if from < 0 || to < 0 {
			if n.Kind != yaml.ScalarNode || n.Tag == "!!str" {
				r.fail(n, "bad-value", "days are "+strings.Join(dayNames(), ", ")+", and ranges such as mon-fri", "%q is not a day of the week", t.S)
			}
			continue
		}
		all = append(all, weekdays(time.Weekday(from), time.Weekday(to))...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func dayNames() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// weekdays returns the days from one to another, over the end of the week where need be.
func weekdays(from, to time.Weekday) []time.Weekday {
	all := []time.Weekday{from}
	for day := from; day != to; {
		day = (day + 1) % 7
		all = append(all, day)
	}
	return all
}

// guardrails reads the rules of the agent's own safety that a fleet does without.
func (r *reader) guardrails(n *yaml.Node) []Text {
	entries, _ := r.mapping(n, "the guardrails")
	r.only(entries, "allow")
	var allow []Text
	for _, e := range entries {
		if e.key == "allow" {
			allow = r.texts(e.value, "allow")
		}
	}
	return allow
}
