package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
)

// ParseLabels reads labels given as name=value.
func ParseLabels(args []string) (map[string]string, error) {
	labels := make(map[string]string, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, UsageError(fault.WithHint(fmt.Errorf("%q is not a label", arg), "write --label name=value"))
		}
		if first, twice := labels[name]; twice && first != value {
			return nil, UsageError(fmt.Errorf("label %s is given twice: %q and %q", name, first, value))
		}
		labels[name] = value
	}
	return labels, nil
}

// WarnOfLabels says on standard error which labels no condition of a policy can ask for, and which ones were meant.
func (e *Env) WarnOfLabels(labels map[string]string, known []string) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if slices.Contains(known, name) {
			continue
		}
		hint := fault.DidYouMean(name, known)
		if hint == "" {
			hint = "it knows " + strings.Join(known, ", ")
		}
		e.Say("%s: warning: the policy knows no label %q: %s", e.Name, name, hint)
	}
}
