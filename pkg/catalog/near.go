package catalog

import (
	"sort"
	"strings"

	"vigo.dev/pkg/fault"
)

// nearReference returns the hint for a reference that leads nowhere.
func (b *builder) nearReference(module, name string) string {
	if typ, title, ok := strings.Cut(strings.TrimSuffix(name, "]"), "["); ok && typ != "" && strings.ToUpper(typ[:1]) == typ[:1] {
		return "write " + strings.ToLower(typ) + ":" + strings.Trim(title, `'"`)
	}
	if !strings.Contains(name, ":") {
		return "write type:identity, such as service:" + name + ", or an id"
	}
	var known []string
	for full := range b.byName {
		if rest, ok := strings.CutPrefix(full, module+"/"); ok {
			known = append(known, rest)
		}
	}
	sort.Strings(known)
	return fault.DidYouMean(name, known)
}
