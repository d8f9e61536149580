package catalog

import (
	"strings"
	"testing"
)

// A hostile or mistaken template ends with an error, however little it writes.
func TestTemplatesEnd(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a long loop":       `{{ range 1000000000 }}{{ end }}`,
		"loops in loops":    `{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}`,
		"inside of if":      `{{ if true }}{{ range 1000000000 }}{{ end }}{{ end }}`,
		"in else":           `{{ if false }}{{ else }}{{ range 1000000000 }}{{ end }}{{ end }}`,
		"doubling by names": `{{ define "a" }}{{ if gt (len .) 1 }}{{ template "a" (slice . 1) }}{{ template "a" (slice . 1) }}{{ end }}{{ end }}{{ template "a" "` + strings.Repeat("x", 60) + `" }}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := env{vars: map[string]any{}}.text("t", text)
			if err == nil || !strings.Contains(err.Error(), errTooManySteps.Error()) {
				t.Errorf("got %v, want %v", err, errTooManySteps)
			}
		})
	}
	if _, err := (env{}).value(`{{ range 1000000000 }}{{ end }}`); err == nil {
		t.Error("a value that loops is rendered")
	}
}

func TestCountingIsNotSeen(t *testing.T) {
	t.Parallel()
	const text = `{{ define "row" }}<{{ . }}>{{ end }}{{ range $i, $e := .list }}{{ if $i }}, {{ end }}{{ template "row" $e }}{{ else }}none{{ end }}`
	for want, list := range map[string][]any{"<a>, <b>": {"a", "b"}, "none": {}} {
		got, err := env{vars: map[string]any{"list": list}}.text("t", text)
		if err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if _, err := (env{}).text("t", `{{ step }}`); err == nil {
		t.Error("a template can call the counting function")
	}
}
