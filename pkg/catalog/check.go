package catalog

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// Check finds every mistake in a policy that can be found without a node, all at once, as [fault.Problems].
func (l Language) Check(p *policy.Policy, c *policy.Content) error {
	k := &check{builder: l.builder(p, c, Input{}), includes: map[string]map[string]bool{}}
	k.fleet()
	k.windows()
	k.controls()
	k.alerts()
	k.rollouts()
	k.reboots()
	k.guardrails()
	k.sharedTemplates()
	for _, role := range p.Roles {
		k.role(role)
	}
	names := make([]string, 0, len(p.Modules))
	for name := range p.Modules {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		k.module(p.Modules[name])
	}
	k.secrets()
	return k.problems.Err()
}

type check struct {
	*builder
	includes map[string]map[string]bool // by module, what it includes
}

func (k *check) condition(when policy.Text, s *expr.Schema, what string, labelsOnly bool) {
	if when.S == "" {
		return
	}
	c, err := expr.Compile(when.S, s)
	if err != nil {
		k.fail(when.Pos, "bad-expression", firstHint(err), "%s: %s", what, err)
		return
	}
	if labelsOnly && !c.LabelsOnly() {
		k.fail(when.Pos, "trait-in-selector", "grant a label under nodes: and use it here",
			"%s may look at labels only, so that a node cannot talk itself in; it looks at %s", what, strings.Join(c.Traits(), ", "))
	}
}

func (k *check) fleet() {
	f := k.policy.Fleet
	for name, c := range f.Channels {
		k.condition(c.Nodes, k.schema, "the selector of channel "+name, true)
	}
	for _, g := range f.Nodes {
		if _, err := path.Match(g.Match, ""); err != nil {
			k.fail(g.Pos, "bad-glob", "", "%q is not a pattern for names", g.Match)
		}
	}
	labels := expr.NewSchema()
	for _, name := range f.Labels {
		labels.Label(name)
	}
	for _, level := range f.Data {
		for _, err := range checkTemplate("data", level.S, labels, k.included("")) {
			k.fail(level.Pos, "bad-template", firstHint(err), "the path %q: %s", level.S, err)
		}
	}
	for file, data := range f.Files {
		for module, params := range data {
			for name, v := range params {
				k.value(module, name, v, "data file "+file)
			}
		}
	}
}

// value checks a parameter that a role or a data file sets.
func (k *check) value(module, name string, v policy.Value, by string) {
	m, ok := k.policy.Modules[module]
	if k.policy.Broken(module) {
		return
	}
	if !ok {
		k.fail(v.Pos, "missing-module", fault.DidYouMean(module, moduleNames(k.policy)), "%s sets a parameter of module %q, which does not exist", by, module)
		return
	}
	spec, ok := m.Params[name]
	if !ok {
		k.fail(v.Pos, "unknown-param", fault.DidYouMean(name, paramNames(m)), "module %s has no parameter %q", module, name)
		return
	}
	if hasTemplate(v.V) {
		k.templates("", v.V, v.Pos, k.schema)
		return
	}
	if msg := checkParam(spec, v.V); msg != "" {
		k.fail(v.Pos, "bad-param", "", "the parameter %s.%s %s", module, name, msg)
	}
}

func (k *check) role(role *policy.Role) {
	k.condition(role.When, k.schema, "the condition of role "+role.Name, false)
	for _, u := range role.Modules {
		m, ok := k.policy.Modules[u.Module]
		if k.policy.Broken(u.Module) {
			continue
		}
		if !ok {
			k.fail(u.Pos, "missing-module", fault.DidYouMean(u.Module, moduleNames(k.policy)), "there is no module %q", u.Module)
			continue
		}
		for name, v := range u.Params {
			k.value(u.Module, name, v, "role "+role.Name)
		}
		for name, spec := range m.Params {
			if _, given := u.Params[name]; given || spec.Optional || k.inData(u.Module, name) || k.inOtherRole(u.Module, name) {
				continue
			}
			k.fail(u.Pos, "missing-param", fmt.Sprintf("- %s: {%s: …}", u.Module, name), "module %s needs the parameter %q, which has no default", u.Module, name)
		}
	}
}

func (k *check) inData(module, name string) bool {
	for _, data := range k.policy.Fleet.Files {
		if _, ok := data[module][name]; ok {
			return true
		}
	}
	return false
}

func (k *check) inOtherRole(module, name string) bool {
	for _, role := range k.policy.Roles {
		for _, u := range role.Modules {
			if _, ok := u.Params[name]; ok && u.Module == module {
				return true
			}
		}
	}
	return false
}

func (k *check) module(m *policy.Module) {
	for name, spec := range m.Params {
		if msg := checkParam(spec, spec.Default); msg != "" {
			k.fail(spec.Pos, "bad-param", "", "the default of %s.%s %s", m.Name, name, msg)
		}
		if _, err := regexp.Compile(spec.Pattern); err != nil {
			k.fail(spec.Pos, "bad-param", "", "the pattern of %s.%s is not a regular expression: %v", m.Name, name, err)
		}
	}
	schema, _ := k.scope(m, nil)
	repeated := withItem(schema)
	files := schema // of template files: they may be those of a foreach
	if slices.ContainsFunc(m.Resources, func(d policy.Declaration) bool { return d.Foreach != nil }) {
		files = repeated
	}
	k.condition(m.When, schema, "the condition of module "+m.Name, false)
	for _, file := range k.content.List(m.Name, "templates", "") {
		text, err := k.content.Template(m.Name, file)
		mistakes := []error{err}
		if err == nil {
			mistakes = checkTemplate(file, text, files, k.included(m.Name))
		}
		for _, err := range mistakes {
			k.fail(place(path.Join("modules", m.Name, "templates", file), err), "bad-template", firstHint(err), "%s", err)
		}
	}
	k.defaults(m)
	for _, d := range m.Resources {
		schema := schema
		if d.Foreach != nil {
			k.templates(m.Name, d.Foreach, d.Place("foreach"), schema)
			schema = repeated
		}
		k.condition(d.When, schema, fmt.Sprintf("the condition of %s:%s", d.Type, d.Identity), false)
		k.declaration(m, &d, schema)
	}
	k.references(m)
}

func moduleNames(p *policy.Policy) []string {
	names := make([]string, 0, len(p.Modules))
	for name := range p.Modules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func paramNames(m *policy.Module) []string {
	names := make([]string, 0, len(m.Params))
	for name := range m.Params {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
