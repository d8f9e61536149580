package policytest

import (
	"fmt"
	"maps"
	"slices"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// Coverage is how much of a module its tests look at. A resource is covered when a test that passes expects it, with or
// without attributes, or when it does something on the host of one. A condition has two branches: that it held and that it
// did not in tests that pass. Those of roles are looked at by tests that expect roles.
type Coverage struct {
	Module    string `json:"module,omitempty"`
	Role      string `json:"role,omitempty"` // in place of the module: only its condition counts
	Resources Share  `json:"resources"`
	Branches  Share  `json:"branches"`
	Missing   []Gap  `json:"missing"`
}

// A Share is a part of a whole.
type Share struct {
	Covered int `json:"covered"`
	Total   int `json:"total"`
}

// Percent is the share in whole percent, rounded down; 100 of nothing.
func (s Share) Percent() int {
	if s.Total == 0 {
		return 100
	}
	return 100 * s.Covered / s.Total
}

// A Gap is something that no test looks at.
type Gap struct {
	Pos  fault.Pos `json:"pos"`
	What string    `json:"what"`
}

// branches is which ways a condition went.
type branches struct{ held, not bool }

// cover is what tests have seen.
type cover struct {
	resources  map[fault.Pos]bool // places of declarations
	conditions map[fault.Pos]branches
}

func newCover() *cover {
	return &cover{resources: map[fault.Pos]bool{}, conditions: map[fault.Pos]branches{}}
}

// condition implements catalog.Watch.
func (c *cover) condition(at fault.Pos, held bool) {
	b := c.conditions[at]
	c.conditions[at] = branches{b.held || held, b.not || !held}
}

func (c *cover) add(other *cover) {
	for at := range other.resources {
		c.resources[at] = true
	}
	for at, b := range other.conditions {
		had := c.conditions[at]
		c.conditions[at] = branches{had.held || b.held, had.not || b.not}
	}
}

// report holds what is covered against what there is.
func (c *cover) report(p *policy.Policy) []Coverage {
	all := make([]Coverage, 0, len(p.Modules))
	for _, name := range slices.Sorted(maps.Keys(p.Modules)) {
		m := p.Modules[name]
		r := Coverage{Module: name, Missing: []Gap{}}
		c.branch(&r, m.When, "module "+name)
		for _, d := range m.Resources {
			r.Resources.Total++
			if c.resources[d.Pos] {
				r.Resources.Covered++
			} else {
				r.Missing = append(r.Missing, Gap{d.Pos, fmt.Sprintf("no test expects %s:%s", d.Type, d.Identity)})
			}
			c.branch(&r, d.When, d.Type+":"+d.Identity)
		}
		all = append(all, r)
	}
	for _, role := range p.Roles {
		r := Coverage{Role: role.Name, Missing: []Gap{}}
		if c.branch(&r, role.When, "role "+role.Name); r.Branches.Total > 0 {
			all = append(all, r)
		}
	}
	return all
}

func (c *cover) branch(r *Coverage, when policy.Text, of string) {
	if when.S == "" || when.S == "true" || when.S == "false" {
		return
	}
	b := c.conditions[when.Pos]
	r.Branches.Total += 2
	for _, way := range []struct {
		seen bool
		what string
	}{{b.held, "holds"}, {b.not, "does not hold"}} {
		if way.seen {
			r.Branches.Covered++
			continue
		}
		r.Missing = append(r.Missing, Gap{when.Pos, fmt.Sprintf("no test in which the condition of %s %s", of, way.what)})
	}
}
