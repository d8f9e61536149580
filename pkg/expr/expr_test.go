package expr_test

import (
	"reflect"
	"strings"
	"testing"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
)

type osTrait struct {
	Family  string `json:"family"`
	Version string `json:"version"`
}

type serviceTrait struct {
	Running bool `json:"running"`
}

func schema() *expr.Schema {
	s := expr.NewSchema()
	s.Trait("os", reflect.TypeFor[osTrait]())
	s.Trait("services", reflect.TypeFor[map[string]serviceTrait]())
	s.Trait("load", reflect.TypeFor[map[string]float64]())
	s.Label("role")
	s.Label("environment")
	s.Param("port")
	s.Mode("disaster_recovery")
	return s
}

func TestEval(t *testing.T) {
	t.Parallel()
	vars := map[string]any{
		"node": "web-1.example.com", "role": "web", "environment": nil,
		"os":       map[string]any{"family": "debian", "version": "12.7"},
		"services": map[string]any{"nginx": map[string]any{"running": true}},
		"param":    map[string]any{"port": 8080.0}, "mode": map[string]any{"disaster_recovery": false},
		"address": "192.0.2.7/24",
	}
	for src, want := range map[string]bool{
		`role == "web" and os.family == "debian"`:           true,
		`os.family in ["debian", "redhat"]`:                 true,
		`services.nginx.running`:                            true,
		`services.apache.running`:                           false,
		`has(services.apache)`:                              false,
		`not has(services.apache)`:                          true,
		`load.one > 4`:                                      false,
		`environment == "staging"`:                          false,
		`version(os.version) >= version("12")`:              true,
		`version(os.version) < version("12.10")`:            true,
		`version("3.0.17~rc1") < version("3.0.17")`:         true,
		`cidr("192.0.2.0/24", "192.0.2.9")`:                 true,
		`glob("web-*", node)`:                               true,
		`bucket(node) >= 0 and bucket(node) < 100`:          true,
		`param.port == 8080 and not mode.disaster_recovery`: true,
	} {
		c, err := expr.Compile(src, schema())
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := c.Eval(vars); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", src, got, err, want)
		}
	}
}

func TestMistakesAreFoundWhenCompiling(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`os.famly == "debian"`:   `the trait os has no "famly" | did you mean "family"?`,
		`oss.family == "debian"`: `there is no trait or label "oss" | did you mean "os"?`,
		`rol == "web"`:           `there is no trait or label "rol" | did you mean "role"?`,
		`param.prot == 1`:        `there is no parameter "prot" | did you mean "port"?`,
		`role = "web"`:           `this is not a condition`,
		`role == "web`:           `this is not a condition`,
		`1 + 2`:                  `this is not a condition`,
		`mode.x`:                 `there is no mode "x"`,
	} {
		_, err := expr.Compile(src, schema())
		if err == nil {
			t.Errorf("%s: no error", src)
			continue
		}
		got := err.Error() + " | " + strings.Join(fault.Hints(err), " ")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", src, got, want)
		}
	}
}

func TestLabelsOnly(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]bool{
		`role == "web" and glob("web-*", node)`: true,
		`os.family == "debian"`:                 false,
		`param.port == 1`:                       false,
	} {
		c, err := expr.Compile(src, schema())
		if err != nil || c.LabelsOnly() != want {
			t.Errorf("%s: LabelsOnly = %v, %v", src, c.LabelsOnly(), err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`os.family == "debian" and role in ["a"]`)
	f.Add(`all(services, {.running})`)
	f.Fuzz(func(t *testing.T, src string) {
		c, err := expr.Compile(src, schema())
		if err != nil {
			return
		}
		_, _ = c.Eval(map[string]any{"node": "n"}) // on nothing it may fail; it must only not panic
	})
}
