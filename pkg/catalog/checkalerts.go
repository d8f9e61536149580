package catalog

import (
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// alerts checks the rules of alerts against the rest of the policy: labels, traits, channels, and each other. Which receivers there
// are only the report service knows.
func (k *check) alerts() {
	var names []string
	for _, a := range k.policy.Alerts {
		names = append(names, a.Rule.Name)
		if a.Rule.Event != "" && !slices.Contains(names, a.Rule.Event) {
			names = append(names, a.Rule.Event)
		}
	}
	groups := append([]string{"hub", "channel"}, k.policy.Fleet.Labels...)
	channels := make([]string, 0, len(k.policy.Fleet.Channels))
	for name := range k.policy.Fleet.Channels {
		channels = append(channels, name)
	}
	for _, a := range k.policy.Alerts {
		what := "the rule " + a.Rule.Name
		k.condition(a.Where, k.schema, "the condition of "+what, false)
		for _, t := range a.Inhibited {
			if !slices.Contains(names, t.S) {
				hint := fault.DidYouMean(t.S, names)
				if slices.Contains(report.AlertEvents(), t.S) {
					hint = "add a rule with event: " + t.S
				}
				k.fail(t.Pos, "missing-alert", hint, "%s: there is no rule %q, and none about such an event", what, t.S)
			}
		}
		for _, t := range a.Groups {
			if !slices.Contains(groups, t.S) {
				hint := fault.DidYouMean(t.S, groups)
				if hint == "" {
					hint = "one of " + strings.Join(groups, ", ")
				}
				k.fail(t.Pos, "missing-label", hint, "%s: nodes are not grouped by %q, which is no label", what, t.S)
			}
		}
		for _, name := range a.Rule.Channel {
			if !slices.Contains(channels, name) {
				k.fail(a.Pos, "missing-channel", fault.DidYouMean(name, channels), "%s: there is no channel %q", what, name)
			}
		}
	}
}
