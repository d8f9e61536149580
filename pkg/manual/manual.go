// Package manual writes the reference of the resource types from their doc comments and tags: as text for the
// terminal, as Markdown, and as a JSON Schema for editors.
//
// It refuses to hold any prose about a type itself; a type or attribute without a doc comment is an error.
package manual

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/resource"
)

// A Manual is the reference of the kinds of a registry.
type Manual struct {
	reg  *resource.Registry
	docs map[string]structDoc // by name of the Go struct
}

// structDoc is what is said of a struct and of its fields, by Go name.
type structDoc struct {
	text   string
	fields map[string]string
}

// New reads the doc comments of all kinds from the Go files in the root of sources. A kind or attribute without one is
// an error.
func New(reg *resource.Registry, sources fs.FS) (*Manual, error) {
	m := &Manual{reg: reg, docs: map[string]structDoc{}}
	paths, err := fs.Glob(sources, "*.go")
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		src, err := fs.ReadFile(sources, path)
		if err != nil {
			return nil, fmt.Errorf("reading doc comments: %w", err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("reading doc comments: %w", err)
		}
		m.read(file)
	}
	for _, name := range reg.Names() {
		kind, _ := reg.Kind(name)
		if err := m.check(kind.Type(), kind.Fields); err != nil {
			return nil, fmt.Errorf("kind %s: %w", name, err)
		}
	}
	return m, nil
}

// read collects the structs of a file.
func (m *Manual) read(file *ast.File) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.TypeSpec)
			typ, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			text := spec.Doc.Text()
			if text == "" {
				text = gen.Doc.Text()
			}
			d := structDoc{text: text, fields: map[string]string{}}
			for _, field := range typ.Fields.List {
				said := field.Doc.Text()
				if said == "" {
					said = field.Comment.Text()
				}
				for _, name := range field.Names {
					d.fields[name.Name] = said
				}
			}
			m.docs[spec.Name.Name] = d
		}
	}
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
	text, _, _ := strings.Cut(m.docs[k.Type().Name()].text, "\n\n")
	sentence, _, _ := strings.Cut(strings.ReplaceAll(text, "\n", " ")+" ", ". ")
	return strings.TrimSuffix(strings.TrimSpace(sentence), ".") + ".", nil
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
