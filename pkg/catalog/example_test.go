package catalog_test

import (
	"os"
	"reflect"
	"testing"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/trait"
)

// language knows the real resource types and, of the traits, what the example uses.
func language() catalog.Language {
	s := expr.NewSchema()
	s.Trait("os", reflect.TypeFor[struct {
		Family  string `json:"family"`
		Version string `json:"version"`
	}]())
	s.Trait("packages", reflect.TypeFor[map[string]struct {
		Version string `json:"version"`
	}]())
	s.Trait("memory", reflect.TypeFor[struct {
		Used float64 `json:"used_percent"`
	}]())
	return catalog.Language{Kinds: resources.Registry(), Schema: s, Guardrails: resources.Guardrails(resources.UsualAgent())}
}

func TestExamplePolicyCompilesAndBuilds(t *testing.T) {
	t.Parallel()
	fsys := os.DirFS("../../policies-example")
	l := language()
	_, layers, err := policy.Read(fsys, l.Check)
	if err != nil {
		t.Fatal(err)
	}
	p, content, err := policy.FromLayers(layers)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"web-1", "kiosk-1", "lab-1", "other"} {
		cat, err := l.Build(p, content, catalog.Input{Node: node, Labels: l.Labels(p, node), Traits: trait.Set{
			"os": map[string]any{"family": "debian", "version": "12"}, "packages": map[string]any{"sudo": map[string]any{"version": "1"}},
		}})
		if err != nil {
			t.Errorf("%s: %v", node, err)
			continue
		}
		t.Logf("%s: modules %v, %d resources", node, cat.Modules, len(cat.Items))
		for i, it := range cat.Items {
			for _, dep := range it.Requires {
				if dep >= i {
					t.Errorf("%s: %s comes before %s, which it requires", node, it.Name(), cat.Items[dep].Name())
				}
			}
		}
	}
}
