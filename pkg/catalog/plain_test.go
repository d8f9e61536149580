package catalog

import (
	"reflect"
	"testing"
)

// What is rendered without a template is what the template would have made.
func TestPlainPathsAreAsTemplates(t *testing.T) {
	t.Parallel()
	e := env{vars: map[string]any{"a": "x", "n": 3.0, "big": 1e21, "yes": true, "nil": nil, "m": map[string]any{"a": "{{ .n }}", "list": []any{"b"}}}}
	for _, text := range []string{"{{ .a }}", "{{.a}}-{{ .m.a }}", "{{ .n }}", "{{ .big }} ", "{{ .yes }}!", "{{ .nil }} ", "{{ .gone }}", "{{ .m }} ", "{{ .m.list }}", "{{ .m.gone }} ",
		"{{ .a.b }} ", "{{- .a -}} ", "{{ .a | upper }} ", "}}{{ .a }}{{", "{{ . }} ", "{{ .0 }} ", "{{ .a", "{{ .a }}{{ \"{{\" }}", "{{/* x */}} "} {
		fast, ok := e.plain(text)
		want, err := e.text("t", text)
		if ok && (err != nil || fast != want) {
			t.Errorf("%q: %q, and the template %q, %v", text, fast, want, err)
		}
		got, err := e.value(text)
		slow, slowErr := e.value("{{ \"\" }}" + text)
		if m := oneAction.FindStringSubmatch(text); m != nil {
			slow, slowErr = e.action(m[1])
		}
		if (err == nil) != (slowErr == nil) || err == nil && !reflect.DeepEqual(got, slow) {
			t.Errorf("%q: %#v, %v, and the template %#v, %v", text, got, err, slow, slowErr)
		}
	}
}
