package catalog

import (
	"slices"

	"vigo.dev/pkg/policy"
)

// RolesOf returns the names of the roles that give a node a module, sorted. The error is [fault.Problems]: conditions that cannot
// be told on such a node.
func (l Language) RolesOf(p *policy.Policy, in Input, module string) ([]string, error) {
	b := l.builder(p, nil, in)
	names := []string{}
	for _, role := range p.Roles {
		gives := slices.ContainsFunc(role.Modules, func(u policy.Use) bool { return u.Module == module })
		if gives && b.holds(role.When, b.schema, b.vars) {
			names = append(names, role.Name)
		}
	}
	slices.Sort(names)
	return names, b.problems.Err()
}
