// Package manual writes the reference of the resource types and of the traits from their doc comments and tags: as text
// for the terminal, as Markdown, and as a JSON Schema for editors.
//
// It refuses to hold any prose about a type or trait itself; one without a doc comment is an error.
package manual

import (
	"fmt"
	"go/doc/comment"
	"io/fs"
	"reflect"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/resource"
)

// A Manual is the reference of the kinds of a registry.
type Manual struct {
	reg  *resource.Registry
	docs map[string]typeDoc // by name of the Go struct
}

// New reads the doc comments of all kinds from the Go files in the root of sources. A kind or attribute without one is
// an error.
func New(reg *resource.Registry, sources fs.FS) (*Manual, error) {
	docs, err := readDocs(sources)
	if err != nil {
		return nil, err
	}
	m := &Manual{reg: reg, docs: docs}
	for _, name := range reg.Names() {
		kind, _ := reg.Kind(name)
		if err := m.check(kind.Type(), kind.Fields); err != nil {
			return nil, fmt.Errorf("kind %s: %w", name, err)
		}
	}
	return m, nil
}

// check finds what is not documented.
func (m *Manual) check(typ reflect.Type, fields []resource.Field) error {
	d, ok := m.docs[typ.Name()]
	if !ok || d.text == "" {
		return fmt.Errorf("the struct %s has no doc comment", typ.Name())
	}
	for _, f := range fields {
		if d.fields[f.Name] == "" {
			return fmt.Errorf("the field %s.%s has no doc comment", typ.Name(), f.Name)
		}
		if f.Fields != nil {
			if err := m.check(element(f.Type), f.Fields); err != nil {
				return err
			}
		}
	}
	return nil
}

// element is the struct behind a list or pointer.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// kind finds a kind by name.
func (m *Manual) kind(name string) (resource.Kind, error) {
	k, ok := m.reg.Kind(name)
	if !ok {
		hint := fault.DidYouMean(name, m.reg.Names())
		if hint == "" {
			hint = "known types: " + strings.Join(m.reg.Names(), ", ")
		}
		return k, fault.WithHint(fmt.Errorf("there is no resource type %q", name), hint)
	}
	return k, nil
}

// Summary returns the first sentence about a kind, for lists.
func (m *Manual) Summary(name string) (string, error) {
	k, err := m.kind(name)
	if err != nil {
		return "", err
	}
	return sentence(m.docs[k.Type().Name()].text), nil
}

// Examples returns the YAML examples in the doc comment of a kind: parts of a module, from "resources:" on.
func (m *Manual) Examples(name string) ([]string, error) {
	k, err := m.kind(name)
	if err != nil {
		return nil, err
	}
	var found []string
	var p comment.Parser
	for _, block := range p.Parse(m.docs[k.Type().Name()].text).Content {
		if code, ok := block.(*comment.Code); ok && strings.HasPrefix(code.Text, "resources:") {
			found = append(found, code.Text)
		}
	}
	return found, nil
}
