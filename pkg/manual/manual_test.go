package manual_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/manual"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/resources"
)

var update = flag.Bool("update", false, "rewrite the checked-in reference")

const reference = "../../docs/reference/resources"

// The reference is generated; with -update it is rewritten.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	m := open(t)
	pages := map[string]string{}
	var err error
	if pages["README.md"], err = m.Index(); err != nil {
		t.Fatal(err)
	}
	for _, name := range resources.Registry().Names() {
		if pages[name+".md"], err = m.Markdown(name); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := m.DocumentSchema("")
	if err != nil {
		t.Fatal(err)
	}
	pages["../schema.json"] = string(schema) + "\n"
	for name, want := range pages {
		path := filepath.Join(reference, name)
		if *update {
			if err := os.MkdirAll(reference, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v: run go test ./pkg/manual -update", err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is out of date: run go test ./pkg/manual -update\n%s", path, diff)
		}
	}
	entries, err := os.ReadDir(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("%s is about no type", filepath.Join(reference, e.Name()))
		}
	}
}

func open(t *testing.T) *manual.Manual {
	t.Helper()
	m, err := manual.New(resources.Registry(), resources.Sources())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every type shows at least one example, and every example is a declaration that is accepted.
func TestExamplesAreAccepted(t *testing.T) {
	t.Parallel()
	m, reg := open(t), resources.Registry()
	for _, name := range reg.Names() {
		examples, err := m.Examples(name)
		if err != nil {
			t.Fatal(err)
		}
		own := false
		for _, text := range examples {
			var module struct{ Resources []yaml.Node }
			if err := yaml.Unmarshal([]byte(text), &module); err != nil {
				t.Errorf("%s: %v in\n%s", name, err, text)
			}
			for _, entry := range module.Resources {
				own = own || entry.Content[0].Value == name
				for _, p := range accept(t, reg, entry) {
					t.Errorf("%s: %v in\n%s", name, p, text)
				}
			}
		}
		if !own {
			t.Errorf("the doc comment of %s has no example: a block \"resources:\" with an entry \"- %s: …\"", name, name)
		}
	}
}

// accept decodes one example; its type is its first key.
func accept(t *testing.T, reg *resource.Registry, entry yaml.Node) fault.Problems {
	t.Helper()
	var attrs map[string]any
	if err := entry.Decode(&attrs); err != nil {
		t.Fatal(err)
	}
	first := entry.Content[0].Value
	kind, ok := reg.Kind(first)
	if !ok {
		return fault.Problems{{Msg: "an example of no type: " + first}}
	}
	identity, _ := attrs[first].(string)
	delete(attrs, first)
	for _, c := range manual.Common() {
		delete(attrs, c.Key)
	}
	_, problems := kind.Decode(identity, attrs)
	return problems
}

func TestUndocumentedFieldIsAnError(t *testing.T) {
	t.Parallel()
	for want, src := range map[string]string{
		"the struct Symlink has no doc comment":       "package resources\ntype Symlink struct {}\n",
		"the field Symlink.Path has no doc comment":   "package resources\n// Symlink is.\ntype Symlink struct {\nPath string\n}\n",
		"reading doc comments: a.go:1:1: expected":    "nonsense",
		"the field Symlink.Target has no doc comment": "package resources\n// Symlink is.\ntype Symlink struct {\n// Path.\nPath string\n// E.\nEnsure string\nTarget string\n}\n",
	} {
		reg := resource.NewRegistry(resource.KindOf[resources.Symlink]("symlink"))
		_, err := manual.New(reg, fstest.MapFS{"a.go": {Data: []byte(src)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTextFitsTheTerminal(t *testing.T) {
	t.Parallel()
	m := open(t)
	for _, name := range resources.Registry().Names() {
		text, err := m.Text(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains([]byte(text), []byte("ATTRIBUTES")) {
			t.Errorf("%s has no attributes:\n%s", name, text)
		}
	}
	_, err := m.Text("fiel")
	if hints := fault.Hints(err); len(hints) != 1 || hints[0] != `did you mean "file"?` {
		t.Errorf("misspelt type: %v, hints %v", err, hints)
	}
}
