package catalog

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// A SecretUse is a place of a policy that uses a secret.
type SecretUse struct {
	Name string
	Pos  fault.Pos
}

// SecretUses returns every place that uses a secret, in the order of the files. The layers of all modules must be there.
func (l Language) SecretUses(p *policy.Policy, c *policy.Content) []SecretUse {
	var all []SecretUse
	for _, file := range slices.Sorted(maps.Keys(p.Fleet.Files)) {
		for _, params := range p.Fleet.Files[file] {
			all = append(all, usesOfParams(params, c)...)
		}
	}
	for _, role := range p.Roles {
		for _, u := range role.Modules {
			all = append(all, usesOfParams(u.Params, c)...)
		}
	}
	for _, name := range moduleNames(p) {
		all = append(all, usesOfModule(p.Modules[name], c)...)
	}
	slices.SortStableFunc(all, func(a, b SecretUse) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// SecretsOf returns the names of the secrets that the roles of a node use, sorted. It looks at labels alone, whatever the
// node says of itself: conditions of modules and resources take nothing away. A policy that was checked has no role that
// gives secrets and looks at anything else.
func (l Language) SecretsOf(p *policy.Policy, c *policy.Content, node string, labels map[string]string) []string {
	b := l.builder(p, c, Input{Node: node, Labels: labels})
	set := map[string]bool{}
	add := func(uses []SecretUse) {
		for _, u := range uses {
			set[u.Name] = true
		}
	}
	for _, role := range p.Roles {
		if !b.givesByLabels(role) {
			continue
		}
		for _, u := range role.Modules {
			add(usesOfParams(u.Params, c))
			if m := p.Modules[u.Module]; m != nil {
				add(usesOfModule(m, c))
			}
			for _, file := range b.dataFiles() {
				add(usesOfParams(p.Fleet.Files[file][u.Module], c))
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// givesByLabels says whether a role applies by labels alone.
func (b *builder) givesByLabels(role *policy.Role) bool {
	if role.When.S == "" {
		return true
	}
	c, err := expr.Compile(role.When.S, b.schema)
	if err != nil || !c.LabelsOnly() {
		return false
	}
	ok, err := c.Eval(b.vars)
	return ok && err == nil
}

func usesOfParams(params map[string]policy.Value, c *policy.Content) []SecretUse {
	var all []SecretUse
	for _, v := range params {
		all = append(all, placed(usesOfValue(v.V, nil).with(env{content: c}), v.Pos)...)
	}
	return all
}

// usesOfModule is what a module uses by itself: defaults, declarations and all templates, whether or not they are rendered.
func usesOfModule(m *policy.Module, c *policy.Content) []SecretUse {
	var all []SecretUse
	for _, spec := range m.Params {
		all = append(all, placed(usesOfValue(spec.Default, nil).with(env{content: c}), spec.Pos)...)
	}
	e := env{module: m.Name, content: c, read: map[string]uses{}}
	for _, d := range m.Resources {
		all = append(all, placed(usesOfValue(d.Foreach, nil).with(e), d.Place("foreach"))...)
		for key, v := range d.Attrs {
			all = append(all, placed(usesOfValue(v, nil).with(e), d.Place(key))...)
			all = append(all, placed(usesOfShared(v, e), d.Place(key))...)
		}
	}
	for _, file := range c.List(m.Name, "templates", "") {
		text, err := c.Template(m.Name, file)
		if err != nil || !mayUse(text, nil) {
			continue
		}
		at := fault.Pos{File: path.Join("modules", m.Name, "templates", file)}
		for _, u := range placed(usesOfText(file, text).with(e), at) {
			if i := strings.Index(text, `"`+u.Name+`"`); i >= 0 {
				u.Pos.Line = 1 + strings.Count(text[:i], "\n")
			}
			all = append(all, u)
		}
	}
	return all
}

// usesOfShared is what a shared template uses that an attribute may name.
func usesOfShared(v any, e env) (u uses) {
	name, ok := v.(string)
	if !ok {
		return u
	}
	for _, file := range e.content.List("", "templates", "") {
		if file == name {
			u.includes(file)
		}
	}
	return u.with(e)
}

func placed(u uses, pos fault.Pos) []SecretUse {
	all := make([]SecretUse, 0, len(u.secrets))
	for _, name := range slices.Sorted(maps.Keys(u.secrets)) {
		all = append(all, SecretUse{name, pos})
	}
	return all
}
