package policy

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// ParamTypes returns the types a parameter may have.
func ParamTypes() []string {
	return []string{"string", "int", "float", "bool", "port", "duration", "list", "map", "enum", "path", "secret"}
}

func (r *reader) module(n *yaml.Node, name string) *Module {
	entries, ok := r.mapping(n, "the module")
	if !ok || !r.kind(entries, n, "Module", name) {
		return nil
	}
	r.only(entries, "kind", "name", "about", "params", "when", "audit", "window", "defaults", "resources")
	m := &Module{Name: name, Params: map[string]Param{}, Pos: r.pos(n)}
	m.Defaults = r.moduleDefaults(entries)
	for _, e := range entries {
		switch e.key {
		case "about":
			m.About = r.str(e.value, "about")
		case "params":
			params, _ := r.mapping(e.value, "the parameters")
			for _, p := range params {
				if !labelRule.MatchString(p.key) {
					r.fail(p.node, "bad-name", "lower-case letters, digits and _", "%q is not a name for a parameter", p.key)
				}
				m.Params[p.key] = r.param(p.node, p.value)
			}
		case "when":
			m.When = r.text(e.value, "when")
		case "audit":
			m.Audit = r.choice(e.value, "audit")
		case "window":
			m.Window = r.window(e.value)
		case "resources":
			m.Resources = r.resources(e.value)
		}
	}
	m.Needs = r.needs
	return m
}

func (r *reader) param(key, n *yaml.Node) Param {
	p := Param{Pos: r.pos(key)}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" { // port: int
		p.Type = n.Value
	} else {
		entries, ok := r.mapping(n, "a parameter")
		if !ok {
			return p
		}
		r.only(entries, "type", "about", "default", "min", "max", "pattern", "values")
		for _, e := range entries {
			r.paramKey(&p, e)
		}
	}
	if !slices.Contains(ParamTypes(), p.Type) {
		hint := "one of string, int, float, bool, port, duration, list, map, enum, path, secret"
		r.fail(n, "bad-param", hint, "the parameter %q has no type that is known", key.Value)
		p.Type = "" // any value will do
	}
	if p.Type == "enum" && len(p.Values) == 0 {
		r.fail(n, "bad-param", "values: [a, b]", "the enum %q needs the key \"values\"", key.Value)
	}
	return p
}

func (r *reader) paramKey(p *Param, e entry) {
	number := func() *float64 {
		f, ok := r.value(e.value).(float64)
		if !ok {
			r.fail(e.value, "wrong-type", "", "%s must be a number, not %s", e.key, describe(e.value))
			return nil
		}
		return &f
	}
	switch e.key {
	case "type":
		p.Type = r.str(e.value, "the type")
	case "about":
		p.About = r.str(e.value, "about")
	case "default":
		p.Default, p.Optional = r.value(e.value), true
	case "min":
		p.Min = number()
	case "max":
		p.Max = number()
	case "pattern":
		p.Pattern = r.str(e.value, "the pattern")
	case "values":
		p.Values = r.strs(e.value, "values")
	}
}

func (r *reader) role(n *yaml.Node, name string) *Role {
	entries, ok := r.mapping(n, "the role")
	if !ok || !r.kind(entries, n, "Role", name) {
		return nil
	}
	r.only(entries, "kind", "name", "about", "when", "audit", "window", "modules")
	role := &Role{Name: name, Pos: r.pos(n)}
	for _, e := range entries {
		switch e.key {
		case "about":
			role.About = r.str(e.value, "about")
		case "when":
			role.When = r.text(e.value, "when")
		case "audit":
			role.Audit = r.choice(e.value, "audit")
		case "window":
			role.Window = r.window(e.value)
		case "modules":
			role.Modules = r.uses(e.value)
		}
	}
	return role
}

// uses reads the modules of a role: a name, or a name with parameters.
func (r *reader) uses(n *yaml.Node) []Use {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "wrong-type", "- nginx: {port: 8443}", "modules must be a list, not %s", describe(n))
		return nil
	}
	var uses []Use
	for _, item := range n.Content {
		if item.Kind == yaml.ScalarNode {
			uses = append(uses, Use{Module: r.str(item, "a module"), Pos: r.pos(item)})
			continue
		}
		entries, ok := r.mapping(item, "a module with parameters")
		if !ok {
			continue
		}
		if len(entries) != 1 {
			r.fail(item, "wrong-type", "- nginx: {port: 8443}", "want one module with its parameters")
			continue
		}
		u := Use{Module: entries[0].key, Params: map[string]Value{}, Pos: r.pos(item)}
		if entries[0].value.Tag != "!!null" {
			params, _ := r.mapping(entries[0].value, "the parameters of module "+u.Module)
			for _, p := range params {
				u.Params[p.key] = Value{V: r.value(p.value), Pos: r.pos(p.node)}
			}
		}
		uses = append(uses, u)
	}
	return uses
}
