// Package expr is the condition language of policies: typed boolean expressions over labels, traits, parameters, modes
// and the node's name. It wraps expr-lang.
//
// It refuses to change anything, to loop without bound, and to let a misspelt name mean "false": an unknown name is an
// error when the expression is compiled.
package expr

import (
	"reflect"
	"sort"
	"strings"
)

// A Schema is the names an expression may use and their types.
type Schema struct {
	traits   map[string]reflect.Type
	labels   map[string]bool
	params   map[string]bool
	modes    map[string]bool
	locals   map[string]bool
	any      bool // every name is a label
	compares bool // control(…) may be used
}

// NewSchema returns a schema that knows "node" and the functions only.
func NewSchema() *Schema {
	return &Schema{traits: map[string]reflect.Type{}, labels: map[string]bool{}, params: map[string]bool{}, modes: map[string]bool{}, locals: map[string]bool{}}
}

// Trait adds a trait with the struct, map or list that documents it. Field names are those of the json tags.
func (s *Schema) Trait(name string, t reflect.Type) { s.traits[name] = t }

// Label adds a label.
func (s *Schema) Label(name string) { s.labels[name] = true }

// Param adds a parameter, reached as param.<name>.
func (s *Schema) Param(name string) { s.params[name] = true }

// Mode adds a mode, reached as mode.<name>.
func (s *Schema) Mode(name string) { s.modes[name] = true }

// Local adds a name of which nothing is known, such as the item of a foreach. It hides a label or trait of that name.
func (s *Schema) Local(name string) { s.locals[name] = true }

// Clone returns a copy that can be added to.
func (s *Schema) Clone() *Schema {
	c := NewSchema()
	for name, t := range s.traits {
		c.traits[name] = t
	}
	for name := range s.labels {
		c.labels[name] = true
	}
	for name := range s.params {
		c.params[name] = true
	}
	for name := range s.modes {
		c.modes[name] = true
	}
	for name := range s.locals {
		c.locals[name] = true
	}
	return c
}

// Traits returns the names of the traits, sorted.
func (s *Schema) Traits() []string { return sortedKeys(s.traits) }

// Knows reports whether a name may stand at the beginning of a path.
func (s *Schema) Knows(name string) bool {
	return s.locals[name] || s.traits[name] != nil || s.labels[name] || name == "node" || name == "param" || name == "mode"
}

// Missing returns the first element of a path that does not exist, as its index in path, and the names that exist in its
// place. It is -1 when the path leads somewhere, as far as that is known.
func (s *Schema) Missing(path []string) (at int, known []string) {
	if !s.Knows(path[0]) {
		return 0, s.Names()
	}
	within := path[1:]
	switch {
	case len(within) == 0 || s.locals[path[0]]:
		return -1, nil
	case path[0] == "param" && !s.params[within[0]]:
		return 1, sortedKeys(s.params)
	case path[0] == "mode" && !s.modes[within[0]]:
		return 1, sortedKeys(s.modes)
	}
	t := s.traits[path[0]]
	for i, name := range within {
		if t == nil {
			return -1, nil
		}
		found, names, ok := member(t, name)
		if !ok {
			return i + 1, names
		}
		t = found
	}
	return -1, nil
}

// Names returns everything that may stand at the beginning of a path, sorted.
func (s *Schema) Names() []string {
	all := append(sortedKeys(s.traits), sortedKeys(s.labels)...)
	all = append(all, sortedKeys(s.locals)...)
	all = append(all, "node", "param", "mode")
	sort.Strings(all)
	return all
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// member returns the type of a member of t, and the names that t has when it has no such member. A nil type means that
// nothing is known and anything goes.
func member(t reflect.Type, name string) (found reflect.Type, known []string, ok bool) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface {
		return nil, nil, true
	}
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), nil, true
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous && key == "" {
				if inner, more, ok := member(f.Type, name); ok {
					return inner, nil, true
				} else {
					known = append(known, more...)
				}
				continue
			}
			if !f.IsExported() || key == "-" {
				continue
			}
			if key == "" {
				key = f.Name
			}
			if key == name {
				return f.Type, nil, true
			}
			known = append(known, key)
		}
		sort.Strings(known)
		return nil, known, false
	}
	return nil, nil, false
}
