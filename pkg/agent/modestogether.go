package agent

import (
	"slices"

	"vigo.dev/pkg/catalog"
)

// mostTogether is how many combinations of modes are looked at: all of seven modes, those of up to three of ten, of two of twenty.
const mostTogether = 190

// combined are the combinations of two names and more, the small ones first: all of a size, or none of it.
func combined(names []string) (all [][]string) {
	smaller := make([][]string, 0, len(names))
	for _, name := range names {
		smaller = append(smaller, []string{name})
	}
	count := len(names) // of the combinations of a size
	for size := 2; size <= len(names); size++ {
		if count = count * (len(names) - size + 1) / size; len(all)+count > mostTogether {
			break
		}
		larger := make([][]string, 0, count)
		for _, some := range smaller {
			last, _ := slices.BinarySearch(names, some[len(some)-1])
			for _, name := range names[last+1:] {
				larger = append(larger, append(slices.Clone(some), name))
			}
		}
		all, smaller = append(all, larger...), larger
	}
	return all
}

// takenTogether are the modules that this node lacks and that only several modes flipped together take, which missing is given for each
// of them. Names are in order. Modes that cannot be together are no fault of one of them.
func (a *Agent) takenTogether(l *loaded, in catalog.Input, names []string, missing map[string][]string) (wanted []string) {
	for _, some := range combined(names) {
		flip := in
		for _, name := range some {
			flip = flipped(l.policy.Fleet.Modes, flip, name)
		}
		modules, err := a.Language.Modules(l.policy, flip)
		if err != nil {
			continue
		}
		modules = slices.DeleteFunc(modules, func(m string) bool { return slices.Contains(l.modules, m) })
		for _, name := range some {
			missing[name] = append(missing[name], modules...)
		}
		wanted = append(wanted, modules...)
	}
	return wanted
}
