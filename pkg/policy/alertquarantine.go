package policy

import (
	"slices"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/report"
)

// mostInQuarantine is the share of the nodes that rules put in quarantine at most, unless they say so, in percent.
const mostInQuarantine = 5

// quarantine reads what a rule does with the nodes it finds. Rules about something else than nodes cannot have it.
func (r *reader) quarantine(n *yaml.Node, event string) *report.QuarantineRule {
	of := []string{"", report.EventStale, report.EventFailed, report.EventDrift, report.EventSetAside, report.EventForked, report.EventDisk}
	if !slices.Contains(of, event) {
		r.fail(n, "bad-value", "", "rules about %s put nothing in quarantine: they are not about single nodes", event)
		return nil
	}
	entries, ok := r.mapping(n, "quarantine")
	if !ok {
		return nil
	}
	r.only(entries, "until", "most", "notify")
	q := &report.QuarantineRule{Until: report.UntilWell, Most: mostInQuarantine}
	for _, e := range entries {
		switch e.key {
		case "until":
			q.Until = r.oneOf(e.value, "until", report.UntilWell, report.UntilReleased)
		case "most":
			q.Most = r.percent(e.value, "most")
		case "notify":
			q.Notify = r.strs(e.value, "notify")
		}
	}
	return q
}
