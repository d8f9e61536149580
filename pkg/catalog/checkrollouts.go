package catalog

import (
	"maps"
	"slices"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// rollouts checks them against the rest of the policy: channels, windows, labels and traits.
func (k *check) rollouts() {
	for _, r := range k.policy.Rollouts {
		what := "the rollout of " + r.Spec.Channel
		if _, ok := k.policy.Fleet.Channels[r.Spec.Channel]; !ok {
			known := slices.Sorted(maps.Keys(k.policy.Fleet.Channels))
			k.fail(r.Pos, "missing-channel", fault.DidYouMean(r.Spec.Channel, known), "%s: there is no channel %q", what, r.Spec.Channel)
		}
		if name := r.Window.S; name != "" && name != policy.Always {
			if _, ok := k.policy.Fleet.Windows[name]; !ok {
				k.fail(r.Window.Pos, "missing-window", fault.DidYouMean(name, slices.Sorted(maps.Keys(k.policy.Fleet.Windows))), "%s: there is no window %q", what, name)
			}
		}
		for _, when := range r.Whens {
			k.selector(when, "the condition of a stage of "+what)
		}
		for _, c := range r.Checks {
			k.condition(c, k.schema, "a check of "+what, false)
		}
	}
}

// selector checks the condition of a stage, which the service and nodes evaluate without a bundle: labels are all they have.
func (k *check) selector(when policy.Text, what string) {
	before := len(k.problems)
	k.condition(when, k.schema, what, true)
	if when.S == "" || len(k.problems) > before {
		return
	}
	labels := expr.NewSchema()
	for _, name := range k.policy.Fleet.Labels {
		labels.Label(name)
	}
	k.condition(when, labels, what, true)
}
