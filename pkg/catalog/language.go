// Package catalog is the policy language: it checks a whole policy at once, and builds from it the ordered resources of
// one node. Building is a pure function of policy, labels, traits and modes.
//
// It refuses to read files or clocks, to know any resource type or trait by name, and to run anything.
package catalog

import (
	"maps"
	"slices"
	"sort"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/glob"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/trait"
)

// A Language is the vocabulary of policies: the resource types and the traits a program knows.
type Language struct {
	Kinds *resource.Registry
	// Guardrails keep a policy from cutting off its own agents.
	Guardrails []resource.Guardrail
	Schema     *expr.Schema // traits only; labels, parameters and modes are added from the policy
}

// Input is what is particular to one node.
type Input struct {
	Node   string
	Labels map[string]string
	Traits trait.Set
	Modes  map[string]bool
	// Secrets are what the node may see; nil: none, and what needs one is not made.
	Secrets *Secrets
	Alone   bool  // references to modules that the node does not have are no mistake, as in the test of one module
	OnNode  bool  // a value that a template lacks on this node fails its resource, and not the catalog
	Once    bool  // the policy is not needed afterwards: it loses each module whose resources are made, to save memory
	Watch   Watch // nil: nothing is told
}

// Labels returns the labels that fleet.yaml grants to a node; a later grant wins over an earlier one. Who asks for many nodes of
// one policy uses [Language.Labelling].
func (l Language) Labels(p *policy.Policy, node string) map[string]string {
	return l.Labelling(p)(node)
}

// Labelling returns [Language.Labels] of a policy, for many nodes.
func (l Language) Labelling(p *policy.Policy) func(node string) map[string]string {
	patterns := make([]string, len(p.Fleet.Nodes))
	for i, g := range p.Fleet.Nodes {
		patterns[i] = g.Match
	}
	list := glob.NewList(patterns) // a bad glob was refused by Check
	return func(node string) map[string]string {
		labels := map[string]string{}
		for _, at := range list.Matching(node) {
			maps.Copy(labels, p.Fleet.Nodes[at].Labels)
		}
		return labels
	}
}

// Channel returns the channel a node belongs to by its labels: the first, by name, whose selector holds. With a single
// channel it is that one; "" when none fits.
func (l Language) Channel(p *policy.Policy, node string, labels map[string]string) string {
	names := make([]string, 0, len(p.Fleet.Channels))
	for name := range p.Fleet.Channels {
		names = append(names, name)
	}
	sort.Strings(names)
	vars := l.vars(p, Input{Node: node, Labels: labels})
	for _, name := range names {
		when := p.Fleet.Channels[name].Nodes
		if when.S == "" {
			continue
		}
		if c, err := expr.Compile(when.S, l.schema(p)); err == nil && c.LabelsOnly() {
			if ok, err := c.Eval(vars); err == nil && ok {
				return name
			}
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return ""
}

// schema is the vocabulary with the labels and modes of a policy.
func (l Language) schema(p *policy.Policy) *expr.Schema {
	s := l.Schema.Clone()
	for _, name := range p.Fleet.Labels {
		s.Label(name)
	}
	for name := range p.Fleet.Modes {
		s.Mode(name)
	}
	return s
}

// vars is what conditions and templates see, without parameters. Labels that are not set are null to conditions and
// missing to templates.
func (l Language) vars(p *policy.Policy, in Input) map[string]any {
	vars := make(map[string]any, len(in.Traits)+len(in.Labels)+3)
	for name, doc := range in.Traits {
		vars[name] = doc
	}
	for name, value := range in.Labels {
		vars[name] = value
	}
	modes := make(map[string]any, len(p.Fleet.Modes))
	for name, on := range p.Fleet.Modes {
		modes[name] = on
	}
	for name, on := range in.Modes {
		modes[name] = on
	}
	vars["node"], vars["mode"] = in.Node, modes
	vars[secretsKey] = &opener{in.Secrets.value}
	return vars
}

// PossibleModules returns the modules that nodes with these labels may need, by name, whatever their names, other labels, traits
// and modes are: those of every role that the labels do not rule out. A condition that cannot be read rules nothing out. The
// fleet layer is enough to tell.
func (l Language) PossibleModules(p *policy.Policy, labels map[string]string) []string {
	schema := l.schema(p)
	var modules []string
	for _, role := range p.Roles {
		if role.When.S != "" {
			if c, err := expr.Compile(role.When.S, schema); err == nil && !c.Possible(labels) {
				continue
			}
		}
		for _, use := range role.Modules {
			modules = append(modules, use.Module)
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}
