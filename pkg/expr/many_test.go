package expr

import (
	"fmt"
	"path"
	"reflect"
	"testing"
)

// TestForMany: without its patterns, a condition has the same outcome.
func TestForMany(t *testing.T) {
	t.Parallel()
	s := NewSchema()
	s.Trait("os", reflect.TypeFor[struct {
		Family string `json:"family"`
	}]())
	s.Label("env")
	for src, want := range map[string]string{
		`glob("web-*", node)`:                                            `["web-*"] []`,
		`glob("web-*", node) and os.family == "debian"`:                  `["web-*"] [{os family}]`,
		`not glob("db-?", node) or (glob("web-*", node) and env == "x")`: `["db-?" "web-*"] [{env }]`,
		`glob("web-*", node) or glob("web-*", node)`:                     `["web-*"] []`,
		`glob("p*", env) and node == "web-1"`:                            `[] [{env } {node }]`,
		`glob("web-*", node) and node != "web-1"`:                        `["web-*"] [{node }]`,
		`glob(env, node)`:                                                `[] [{env } {node }]`,
		`glob("[", node)`:                                                `[] [{node }]`,
		`env == "x"`:                                                     `[] [{env }]`,
		`any(["a"], glob("web-*", node))`:                                `["web-*"] []`,
		`glob("web-*", node) == (env == "x")`:                            `["web-*"] [{env }]`,
	} {
		c, err := Compile(src, s)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.ForMany()
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := fmt.Sprintf("%q %v", m.Patterns, m.Reads); got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
		for _, node := range []string{"web-1", "web-2", "db-1", ""} {
			for _, env := range []any{nil, "x", "web-?"} {
				vars := map[string]any{"node": node, "os": map[string]any{"family": "debian"}, "env": env}
				want, wrong := c.Eval(vars)
				for i, p := range m.Patterns {
					vars[Matched(i)], _ = path.Match(p, node)
				}
				if got, err := m.Eval(vars); got != want || (err == nil) != (wrong == nil) {
					t.Errorf("%s of %q, %v: %v, %v; want %v, %v", src, node, env, got, err, want, wrong)
				}
			}
		}
	}
}
