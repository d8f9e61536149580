package manual_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/manual"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
)

const traitsReference = "../../docs/reference/traits.md"

func openTraits(t *testing.T) *manual.TraitManual {
	t.Helper()
	m, err := manual.NewTraits(traits.Kinds(), traits.Sources())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The reference is generated; with -update it is rewritten.
func TestTraitsReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	want := openTraits(t).Markdown()
	if *update {
		if err := os.WriteFile(traitsReference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(traitsReference)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is out of date: run go test ./pkg/manual -update\n%s", traitsReference, diff)
	}
}

// Every trait shows at least one condition that uses it, and every one compiles and can be evaluated over what is
// collected in the fixture of the trait.
func TestExampleConditionsHold(t *testing.T) {
	t.Parallel()
	m := openTraits(t)
	schema := expr.NewSchema()
	traits.Schema(schema)
	for _, name := range m.Names() {
		conditions, err := m.Conditions(name)
		if err != nil {
			t.Error(err)
		}
		used := false
		for _, src := range conditions {
			cond, err := expr.Compile(src, schema)
			if err != nil {
				t.Errorf("%s: %q: %v %v", name, src, err, fault.Hints(err))
				continue
			}
			for _, at := range cond.Traits() {
				used = used || at == name
			}
			if _, err := cond.Eval(map[string]any{name: collected(t, name)}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !used {
			t.Errorf("the doc comment of the trait %s has no example: a code line \"when: …\" that uses it", name)
		}
	}
}

// collected returns what package traits expects of the fixture of a trait.
func collected(t *testing.T, name string) any {
	t.Helper()
	if name == "agent" { // given by the agent, not collected
		return map[string]any{"version": "1.0.0", "pending_refreshes": 0.0, "spooled": 0.0}
	}
	data, err := os.ReadFile(filepath.Join("../traits/testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Trait any }
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Trait
}

func TestTraitText(t *testing.T) {
	t.Parallel()
	m := openTraits(t)
	for _, name := range m.Names() {
		text, err := m.Text(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"TRAIT " + strings.ToUpper(name), "Collected every ", "when: "} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
	}
	_, err := m.Text("servces")
	if hints := fault.Hints(err); len(hints) != 1 || hints[0] != `did you mean "services"?` {
		t.Errorf("misspelt trait: %v, hints %v", err, hints)
	}
}

type doubtful struct {
	N int `json:"n"`
}

func TestUndocumentedTraitIsAnError(t *testing.T) {
	t.Parallel()
	kinds := []trait.Kind{{Name: "d", Class: trait.Stable, Type: reflect.TypeFor[doubtful]()}}
	for want, src := range map[string]string{
		"the type doubtful has no doc comment":    "package traits\ntype doubtful struct {}\n",
		"the field doubtful.N has no doc comment": "package traits\n// Doubtful is.\ntype doubtful struct {\nN int\n}\n",
		"reading doc comments: a.go:1:1":          "nonsense",
	} {
		_, err := manual.NewTraits(kinds, fstest.MapFS{"a.go": {Data: []byte(src)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}
