package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// Explain lists what gives a parameter a value on a node, the winner first: roles that apply, then the data hierarchy from its
// most specific file, then the default. What holds secrets is shown as [resource.Hidden]. Values that lose may be of a form
// that the parameter does not allow; they are not checked.
func (l Language) Explain(p *policy.Policy, c *policy.Content, in Input, module, param string) ([]Candidate, error) {
	m, ok := p.Modules[module]
	if !ok {
		return nil, fault.WithHint(fmt.Errorf("there is no module %q", module), fault.DidYouMean(module, moduleNames(p)))
	}
	if _, ok := m.Params[param]; !ok {
		hint := fault.DidYouMean(param, paramNames(m))
		if hint == "" && len(m.Params) > 0 {
			hint = "it has " + strings.Join(paramNames(m), ", ")
		}
		return nil, fault.WithHint(fmt.Errorf("module %s has no parameter %q", module, param), hint)
	}
	b := l.builder(p, c, in)
	_, uses := b.roles()
	list, _ := b.candidates(m, param, uses[module])
	if err := b.problems.Err(); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].tainted {
			list[i].Value = resource.Hidden
		}
	}
	return list, nil
}

// Given returns the roles that give a module to a node, sorted; none if the node does not have it.
func (l Language) Given(p *policy.Policy, c *policy.Content, in Input, module string) []string {
	_, uses := l.builder(p, c, in).roles()
	roles := map[string]bool{}
	for _, u := range uses[module] {
		roles[u.role.Name] = true
	}
	return slices.Sorted(maps.Keys(roles))
}
