package policy

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
)

// Defaults are what the resources of one type in a module have where they do not say otherwise.
type Defaults struct {
	Type  string
	Attrs map[string]any // without the keys that every resource has
	At    Places
	Pos   fault.Pos
}

// Place returns where an attribute is written.
func (d Defaults) Place(path string) fault.Pos {
	return Declaration{Pos: d.Pos, At: d.At}.Place(path)
}

// MaxItems is how many resources one foreach may make.
const MaxItems = 10_000

// moduleDefaults reads the defaults of a module before its resources, wherever they stand.
func (r *reader) moduleDefaults(module []entry) []Defaults {
	at := slices.IndexFunc(module, func(e entry) bool { return e.key == "defaults" })
	if at < 0 {
		return nil
	}
	types, _ := r.mapping(module[at].value, "the defaults")
	r.defaults = make(map[string][]entry, len(types))
	var all []Defaults
	for _, typ := range types {
		entries, ok := r.mapping(typ.value, "the defaults of "+typ.key)
		if !ok {
			continue
		}
		d := Defaults{Type: typ.key, Pos: r.pos(typ.node), Attrs: map[string]any{}}
		var ignored Declaration
		for _, e := range entries {
			if e.key == "id" || e.key == "foreach" || e.key == "about" {
				r.fail(e.node, "bad-default", "give it to the resource itself", "%q is of one resource and cannot be a default", e.key)
				continue
			}
			r.defaults[typ.key] = append(r.defaults[typ.key], e)
			if !r.meta(&ignored, e) {
				d.Attrs[e.key] = r.value(e.value)
				d.At.add(e.key, e.node.Line, e.node.Column)
			}
		}
		all = append(all, d)
	}
	return all
}

// withDefaults adds to the keys of a resource those defaults of its type that it does not give itself.
func (r *reader) withDefaults(typ string, own []entry) []entry {
	all := own
	for _, d := range r.defaults[typ] {
		if !slices.ContainsFunc(own, func(e entry) bool { return e.key == d.key }) {
			all = append(slices.Clip(all), d)
		}
	}
	return all
}

// foreach reads what a resource is repeated over.
func (r *reader) foreach(d *Declaration, e entry) any {
	r.level(2)
	d.At.add("foreach", e.node.Line, e.node.Column)
	const hint = `foreach: [a, b], foreach: {a: 1, b: 2} or foreach: "{{ .param.sites }}"`
	switch {
	case e.value.Kind == yaml.ScalarNode && e.value.Tag == "!!str" && strings.Contains(e.value.Value, "{{"):
	case e.value.Kind == yaml.SequenceNode || e.value.Kind == yaml.MappingNode:
		if len(e.value.Content) > 2*MaxItems || e.value.Kind == yaml.SequenceNode && len(e.value.Content) > MaxItems {
			r.fail(e.value, "too-large", "", "foreach makes at most %d resources", MaxItems)
		}
	default:
		r.fail(e.value, "wrong-type", hint, "foreach must be a list or a mapping, or a template that gives one, not %s", describe(e.value))
		return []any{}
	}
	if !strings.Contains(d.Identity, "{{") {
		r.fail(e.node, "bad-foreach", d.Type+`: "… {{ .key }}"`, "the identity %q is the same for each item of foreach", d.Identity)
		return []any{}
	}
	return r.value(e.value)
}
