package policy

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// An Alert is a file of alerts/: a rule for the report service, with its places.
type Alert struct {
	Rule  report.AlertRule
	Where Text
	// Inhibited and Groups are as in Rule.
	Inhibited, Groups []Text
	Pos               fault.Pos
}

// LoadAlerts reads the rules of alerts alone, by name.
func LoadAlerts(fsys fs.FS) ([]report.AlertRule, error) {
	var problems fault.Problems
	p := &Policy{}
	l := loader{fsys: fsys, problems: &problems}
	if err := l.alerts(p); err != nil {
		return nil, err
	}
	rules := []report.AlertRule{}
	for _, a := range p.Alerts {
		rules = append(rules, a.Rule)
	}
	return rules, problems.Err()
}

func (l *loader) alerts(p *Policy) error {
	names, err := l.named("alerts")
	if err != nil {
		return err
	}
	for _, name := range names {
		file := path.Join("alerts", name+yamlEnding)
		if !nameRule.MatchString(name) {
			l.fail(file, "bad-name", "lower-case letters, digits, - and _", fmt.Sprintf("%q is not a name for a rule of alerts", name))
			continue
		}
		if len(p.Alerts) >= report.MaxAlertRules {
			l.fail(file, "too-many", "", fmt.Sprintf("there are more than %d rules of alerts", report.MaxAlertRules))
			return nil
		}
		r, n, err := l.document(file)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		if a := r.alert(n, name); a != nil {
			p.Alerts = append(p.Alerts, a)
		}
	}
	return nil
}

func (r *reader) alert(n *yaml.Node, name string) *Alert {
	entries, ok := r.mapping(n, "the rule")
	if !ok || !r.kind(entries, n, "Alert", name) {
		return nil
	}
	r.only(entries, "kind", "name", "about", "severity", "event", "where", "presence", "compliance", "channel", "hub", "node", "min", "within", "full", "runs",
		"for", "leave", "repeat", "group_by", "inhibited_by", "notify", "quarantine")
	a := &Alert{Pos: r.pos(n)}
	event, given := "", false
	for _, e := range entries {
		if e.key == "event" {
			given = true
			event = r.oneOf(e.value, "event", report.AlertEvents()...)
		}
	}
	a.Rule = report.NewAlertRule(name, event)
	for _, e := range entries {
		if of := ofEvents(e.key); len(of) > 0 && !slices.Contains(of, event) {
			r.fail(e.node, "unknown-key", "event: "+of[0], "%s is a key of rules about %s alone", e.key, strings.Join(of, " and "))
			continue
		}
		if strings.HasPrefix(event, "rollout.") && slices.Contains([]string{"where", "presence", "compliance", "hub", "node"}, e.key) {
			r.fail(e.node, "unknown-key", "channel: stable", "%s is a key of rules about nodes, and %s is about channels", e.key, event)
			continue
		}
		r.alertKey(a, e)
	}
	if !given && a.Where.S == "" && len(a.Rule.Presence)+len(a.Rule.Compliance) == 0 {
		r.fail(n, "missing-key", "event: node.stale", `a rule needs an event, or a condition: "event", "where", "presence" or "compliance"`)
	}
	return a
}

// ofEvents are the events that rules with a key are about; none: the key is one of every rule.
func ofEvents(key string) []string {
	switch key {
	case "min":
		return []string{report.EventThreshold}
	case "within":
		return []string{report.EventExpiring}
	case "full":
		return []string{report.EventDisk}
	case "runs":
		return []string{report.EventFailed, report.EventDrift}
	}
	return nil
}

func (r *reader) alertKey(a *Alert, e entry) {
	rule := &a.Rule
	switch e.key {
	case "about":
		rule.About = r.str(e.value, "about")
	case "severity":
		rule.Severity = r.oneOf(e.value, "severity", "critical", "warning", "info")
	case "where":
		a.Where = r.text(e.value, "where")
		rule.Where = a.Where.S
	case "presence":
		rule.Presence = listOf(r, e.value, e.key, report.Live, report.Late, report.Stale, report.Missing, report.Never)
	case "compliance":
		rule.Compliance = listOf(r, e.value, e.key, report.ComplianceOK, report.ComplianceChanged, report.ComplianceDrift, report.ComplianceFailed, report.ComplianceNever)
	case "channel":
		rule.Channel = r.strs(e.value, "channel")
	case "hub":
		rule.Hub = r.strs(e.value, "hub")
	case "node":
		rule.Node = r.globs(e.value)
	case "min":
		rule.Min = r.percent(e.value, "min")
	case "full":
		rule.Full = r.percent(e.value, "full")
	case "runs":
		rule.Runs = r.upToNumber(e.value, "runs", 1000)
	case "within":
		rule.Within = r.upTo(e.value, "within", 90*24*time.Hour)
	case "for":
		rule.For = r.upTo(e.value, "for", 7*24*time.Hour)
	case "leave":
		rule.Leave = r.upTo(e.value, "leave", 7*24*time.Hour)
	case "repeat":
		rule.Repeat = r.upTo(e.value, "repeat", 90*24*time.Hour)
	case "group_by":
		a.Groups = r.texts(e.value, "group_by")
		rule.GroupBy = words(a.Groups)
	case "inhibited_by":
		a.Inhibited = r.texts(e.value, "inhibited_by")
		rule.InhibitedBy = words(a.Inhibited)
	case "quarantine":
		rule.Quarantine = r.quarantine(e.value, rule.Event)
	case "notify":
		rule.Notify = r.strs(e.value, "notify")
	}
}

func words(texts []Text) []string {
	var list []string
	for _, t := range texts {
		list = append(list, t.S)
	}
	return list
}

// oneOf reads one of some words.
func (r *reader) oneOf(n *yaml.Node, what string, known ...string) string {
	word := r.str(n, what)
	for _, k := range known {
		if k == word {
			return word
		}
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		hint := fault.DidYouMean(word, known)
		if hint == "" {
			hint = "one of " + strings.Join(known, ", ")
		}
		r.fail(n, "bad-value", hint, "%s: %q is not known", what, word)
	}
	return ""
}

// listOf reads words of a kind, or a single one.
func listOf[T ~string](r *reader, n *yaml.Node, what string, known ...T) []T {
	texts := make([]string, len(known))
	for i, k := range known {
		texts[i] = string(k)
	}
	items := n.Content
	if n.Kind != yaml.SequenceNode {
		items = []*yaml.Node{n}
	}
	var list []T
	for _, item := range items {
		list = append(list, T(r.oneOf(item, what, texts...)))
	}
	return list
}

// globs reads patterns of names.
func (r *reader) globs(n *yaml.Node) []string {
	list := r.strs(n, "node")
	for _, glob := range list {
		if _, err := path.Match(glob, ""); err != nil {
			r.fail(n, "bad-glob", "", "%q is not a pattern for names", glob)
		}
	}
	return list
}

func (r *reader) percent(n *yaml.Node, what string) float64 {
	p, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || err != nil || !(p > 0 && p <= 100) {
		r.fail(n, "bad-value", "a number such as 99 or 99.5", "%s must be more than 0 and at most 100 percent, not %s", what, describe(n))
		return 0
	}
	return p
}

// upToNumber reads a whole number from 1 on.
func (r *reader) upToNumber(n *yaml.Node, what string, most int) int {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < 1 || v > most {
		r.fail(n, "bad-value", "", "%s must be a whole number from 1 to %d, not %s", what, most, describe(n))
		return 0
	}
	return v
}

// upTo reads a duration that is not longer than another.
func (r *reader) upTo(n *yaml.Node, what string, most time.Duration) time.Duration {
	d := r.duration(n, what)
	if d > most {
		r.fail(n, "out-of-range", "", "%s is at most %s", what, most)
	}
	return d
}
