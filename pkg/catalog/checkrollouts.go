package catalog

import (
	"maps"
	"reflect"
	"slices"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/rollout"
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
			k.comparison(c, "a check of "+what)
		}
	}
}

// comparison checks a condition that may compare nodes with others, and look at their last run.
func (k *check) comparison(when policy.Text, what string) {
	if when.S == "" {
		return
	}
	schema := k.schema.Clone()
	schema.Trait("run", reflect.TypeFor[rollout.Result]())
	if _, err := expr.CompileCheck(when.S, schema); err != nil {
		k.fail(when.Pos, "bad-expression", firstHint(err), "%s: %s", what, err)
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
