package manual

import (
	"fmt"
	"go/doc/comment"
	"io/fs"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trait"
)

// A TraitManual is the reference of traits.
type TraitManual struct {
	kinds []trait.Kind
	docs  map[string]typeDoc // by name of the Go type
}

// NewTraits reads the doc comments of traits from the Go files in the root of sources. A trait or field without one is
// an error.
func NewTraits(kinds []trait.Kind, sources fs.FS) (*TraitManual, error) {
	docs, err := readDocs(sources)
	if err != nil {
		return nil, err
	}
	m := &TraitManual{kinds: kinds, docs: docs}
	for _, k := range kinds {
		if m.docs[k.Type.Name()].text == "" {
			return nil, fmt.Errorf("trait %s: the type %s has no doc comment", k.Name, k.Type.Name())
		}
		if err := m.check(k.Type); err != nil {
			return nil, fmt.Errorf("trait %s: %w", k.Name, err)
		}
	}
	return m, nil
}

func (m *TraitManual) check(t reflect.Type) error {
	t, _ = inside(t)
	for _, f := range jsonFields(t) {
		if m.docs[t.Name()].fields[f.goName] == "" {
			return fmt.Errorf("the field %s.%s has no doc comment", t.Name(), f.goName)
		}
		if err := m.check(f.typ); err != nil {
			return err
		}
	}
	return nil
}

// Names returns the names of the traits.
func (m *TraitManual) Names() []string {
	names := make([]string, 0, len(m.kinds))
	for _, k := range m.kinds {
		names = append(names, k.Name)
	}
	return names
}

func (m *TraitManual) kind(name string) (trait.Kind, error) {
	for _, k := range m.kinds {
		if k.Name == name {
			return k, nil
		}
	}
	hint := fault.DidYouMean(name, m.Names())
	if hint == "" {
		hint = "known traits: " + strings.Join(m.Names(), ", ")
	}
	return trait.Kind{}, fault.WithHint(fmt.Errorf("there is no trait %q", name), hint)
}

// Summary returns the first sentence about a trait, for lists.
func (m *TraitManual) Summary(name string) (string, error) {
	k, err := m.kind(name)
	if err != nil {
		return "", err
	}
	return sentence(m.docs[k.Type.Name()].text), nil
}

// Conditions returns the example conditions in the doc comment of a trait: the lines "when: …" of its code
// blocks.
func (m *TraitManual) Conditions(name string) ([]string, error) {
	k, err := m.kind(name)
	if err != nil {
		return nil, err
	}
	var found []string
	var p comment.Parser
	for _, block := range p.Parse(m.docs[k.Type.Name()].text).Content {
		code, ok := block.(*comment.Code)
		if !ok {
			continue
		}
		for line := range strings.Lines(code.Text) {
			var example struct{ When string }
			if err := yaml.Unmarshal([]byte(line), &example); err != nil {
				return nil, fmt.Errorf("trait %s: reading the example %q: %w", name, line, err)
			}
			if example.When != "" {
				found = append(found, example.When)
			}
		}
	}
	return found, nil
}

// Text returns the reference of a trait for a terminal of 80 columns.
func (m *TraitManual) Text(name string) (string, error) {
	k, err := m.kind(name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "TRAIT %s\n\n", strings.ToUpper(name))
	b.Write(plain(m.docs[k.Type.Name()].text, "  ", 78))
	fmt.Fprintf(&b, "\n  Collected %s.\n", pace(k.Class))
	if rows := m.fields(k.Name, k.Type); len(rows) > 0 {
		b.WriteString("\nFIELDS\n")
		for _, r := range rows {
			fmt.Fprintf(&b, "\n  %s  (%s)\n", r.path, r.typ)
			b.Write(plain(r.text, "      ", 78))
		}
	}
	return b.String(), nil
}

// Markdown returns the reference page of all traits.
func (m *TraitManual) Markdown() string {
	var b strings.Builder
	b.WriteString("# Traits\n\nWhat a machine says of itself. Conditions (`when:`) and templates use traits by these names: `cpu.cores > 2`,\n" +
		"`{{ .os.codename }}`. A trait that does not apply to a machine is absent there, and a comparison with it is false;\n" +
		"`vigo-agent traits` shows what there is. `[\"…\"]` stands for any name: `packages[\"…\"].version` is\n" +
		"`packages.curl.version`, or `packages[\"libstdc++6\"].version` where the name is no word.\n\n| trait | | collected |\n|---|---|---|\n")
	for _, k := range m.kinds {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", k.Name, k.Name, strings.ReplaceAll(sentence(m.docs[k.Type.Name()].text), "|", `\|`), pace(k.Class))
	}
	for _, k := range m.kinds {
		fmt.Fprintf(&b, "\n## %s\n\n%s", k.Name, markdown(m.docs[k.Type.Name()].text))
		rows := m.fields(k.Name, k.Type)
		if len(rows) > 0 {
			b.WriteString("\n| field | type | |\n|---|---|---|\n")
		}
		for _, r := range rows {
			text := strings.ReplaceAll(strings.Join(strings.Fields(r.text), " "), "|", `\|`)
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.path, r.typ, text)
		}
	}
	return b.String()
}

func pace(c trait.Class) string {
	switch c {
	case trait.Volatile:
		return "every run, and not sent to the service"
	case trait.Stable:
		return "every five minutes"
	}
	return "every hour"
}

// A fieldRow is one field of a trait, with the path that leads to it.
type fieldRow struct{ path, typ, text string }

func (m *TraitManual) fields(path string, t reflect.Type) []fieldRow {
	t, step := inside(t)
	var rows []fieldRow
	for _, f := range jsonFields(t) {
		at := path + step + "." + f.key
		rows = append(rows, fieldRow{at, typeName(f.typ), m.docs[t.Name()].fields[f.goName]})
		rows = append(rows, m.fields(at, f.typ)...)
	}
	return rows
}

// inside returns the struct behind mappings and lists, and how a path gets there.
func inside(t reflect.Type) (reflect.Type, string) {
	switch t.Kind() {
	case reflect.Pointer:
		return inside(t.Elem())
	case reflect.Map:
		last, step := inside(t.Elem())
		return last, `["…"]` + step
	case reflect.Slice:
		last, step := inside(t.Elem())
		return last, "[0]" + step
	}
	return t, ""
}

type jsonField struct {
	goName, key string
	typ         reflect.Type
}

// jsonFields returns the fields of a struct that its documents have; none of what is no struct.
func jsonFields(t reflect.Type) []jsonField {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var fields []jsonField
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && key != "" && key != "-" {
			fields = append(fields, jsonField{f.Name, key, f.Type})
		}
	}
	return fields
}
