package manual

import (
	"fmt"
	"go/doc/comment"
	"reflect"
	"strings"

	"vigo.dev/pkg/resource"
)

// Text returns the reference of a kind for a terminal of 80 columns.
func (m *Manual) Text(name string) (string, error) {
	k, err := m.kind(name)
	if err != nil {
		return "", err
	}
	d := m.docs[k.Type().Name()]
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", strings.ToUpper(name))
	b.Write(plain(d.text, "  ", 78))
	b.WriteString("\nATTRIBUTES\n")
	m.textFields(&b, k.Type(), k.Fields, "  ")
	b.WriteString("\nEvery resource also has: ")
	for i, c := range commonOf(k) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.Key)
	}
	b.WriteString(".\n")
	return b.String(), nil
}

func plain(text, indent string, width int) []byte {
	var p comment.Parser
	pr := comment.Printer{TextPrefix: indent, TextCodePrefix: indent + "    ", TextWidth: width - len(indent)}
	return pr.Text(p.Parse(text))
}

func (m *Manual) textFields(b *strings.Builder, typ reflect.Type, fields []resource.Field, indent string) {
	for _, f := range fields {
		fmt.Fprintf(b, "\n%s%s  (%s)\n", indent, f.Key, facts(f))
		b.Write(plain(m.docs[typ.Name()].fields[f.Name], indent+"    ", 78))
		if f.Fields != nil {
			m.textFields(b, element(f.Type), f.Fields, indent+"    ")
		}
	}
}

// facts are what the tags say of an attribute.
func facts(f resource.Field) string {
	said := []string{typeName(f.Type)}
	switch {
	case f.Identity:
		said = append(said, "the name of the resource")
	case f.Required:
		said = append(said, "required")
	}
	if len(f.Enum) > 0 {
		said[0] = strings.Join(f.Enum, " or ")
	}
	if f.Secret {
		said = append(said, "never shown")
	}
	return strings.Join(said, ", ")
}

// typeName names the type of an attribute for people.
func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[resource.Mode]():
		return "quoted octal string"
	case reflect.TypeFor[resource.Duration]():
		return "duration"
	case reflect.TypeFor[resource.Argv]():
		return "command: a list, or one string"
	case reflect.TypeFor[resource.DataPath]():
		return "path: text, or a list of keys and numbers"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list of " + plural(typeName(t.Elem()))
	case reflect.Map:
		return "mapping of " + plural(typeName(t.Elem()))
	case reflect.Struct:
		return "mapping"
	}
	return "any value"
}

func plural(name string) string {
	if strings.HasSuffix(name, "y") || strings.Contains(name, " of ") || strings.Contains(name, " or ") {
		return name
	}
	return name + "s"
}

// Markdown returns the reference page of a kind.
func (m *Manual) Markdown(name string) (string, error) {
	k, err := m.kind(name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", name)
	b.WriteString(markdown(m.docs[k.Type().Name()].text))
	b.WriteString("\n## Attributes\n")
	m.markdownFields(&b, k.Type(), k.Fields, "")
	b.WriteString("\n## Attributes of every resource\n\n")
	for _, c := range commonOf(k) {
		fmt.Fprintf(&b, "- `%s`: %s\n", c.Key, c.Doc)
	}
	return b.String(), nil
}

// markdown renders a doc comment; its examples are YAML.
func markdown(text string) string {
	var p comment.Parser
	var b strings.Builder
	for _, block := range p.Parse(text).Content {
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		if code, ok := block.(*comment.Code); ok {
			fmt.Fprintf(&b, "```yaml\n%s```\n", code.Text)
			continue
		}
		var pr comment.Printer
		b.Write(pr.Markdown(&comment.Doc{Content: []comment.Block{block}}))
	}
	return b.String()
}

func (m *Manual) markdownFields(b *strings.Builder, typ reflect.Type, fields []resource.Field, path string) {
	for _, f := range fields {
		key := path + f.Key
		fmt.Fprintf(b, "\n### `%s`\n\n*%s*\n\n%s", key, facts(f), markdown(m.docs[typ.Name()].fields[f.Name]))
		if f.Fields != nil {
			m.markdownFields(b, element(f.Type), f.Fields, key+".")
		}
	}
}

// Index returns the page that lists all kinds.
func (m *Manual) Index() (string, error) {
	var b strings.Builder
	b.WriteString("# Resource types\n\n| type | |\n|---|---|\n")
	for _, name := range m.reg.Names() {
		s, err := m.Summary(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| [%s](%s.md) | %s |\n", name, name, strings.ReplaceAll(s, "|", `\|`))
	}
	return b.String(), nil
}
