package catalog

import (
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// controls checks that each resource serves controls of a catalogue that fleet.yaml has, if it has any: with a slip in the name
// the control would be missing where somebody counts.
func (k *check) controls() {
	known := slices.Sorted(maps.Keys(k.policy.Fleet.Controls))
	if len(known) == 0 {
		return
	}
	for _, m := range k.policy.Modules {
		for _, d := range m.Resources { // their defaults are in them
			k.controlsOf(d, known)
		}
	}
}

func (k *check) controlsOf(d policy.Declaration, known []string) {
	for _, control := range d.Controls {
		catalogue, id, _ := strings.Cut(control, ":")
		if slices.Contains(known, catalogue) && id != "" {
			continue
		}
		if id == "" {
			k.fail(d.Pos, "bad-control", "write "+known[0]+":5.1", "%q is not a control: it has no number behind the name of its catalogue", control)
			continue
		}
		hint := fault.DidYouMean(catalogue, known)
		if hint == "" {
			hint = "controls: in fleet.yaml has " + strings.Join(known, ", ")
		}
		k.fail(d.Pos, "missing-controls", hint, "control %s: there is no catalogue of controls %q", control, catalogue)
	}
}
