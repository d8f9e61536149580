package catalog_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/trait"
)

// Each file of testdata/language is a small repository, a node, and the catalog or the mistake that the node gets.
func TestTheLanguage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/language/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			repo := fstest.MapFS{}
			last := len(a.Files) - 1
			in := catalog.Input{Node: "n1", Secrets: catalog.Placeholders()}
			for _, f := range a.Files[:last] {
				if f.Name == "node" {
					in = node(t, f.Data)
					continue
				}
				repo[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
			}
			got := built(t, repo, in)
			if *update {
				a.Files[last].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(a.Files[last].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// node reads what is said of a node: name, labels, traits.
func node(t *testing.T, text []byte) catalog.Input {
	t.Helper()
	var said struct {
		Labels map[string]string
		Traits map[string]any
	}
	if err := yaml.Unmarshal(text, &said); err != nil {
		t.Fatal(err)
	}
	in := catalog.Input{Node: "n1", Labels: said.Labels, Traits: trait.Set{}, Secrets: catalog.Placeholders()}
	for name, doc := range said.Traits {
		in.Traits[name] = doc
	}
	return in
}

// built packs a repository as the controller does, reads it as an agent does, and returns the catalog of the node as text.
func built(t *testing.T, repo fstest.MapFS, in catalog.Input) string {
	t.Helper()
	l := language()
	_, layers, err := policy.Read(repo, l.Check)
	if err != nil {
		return "refused when it is published:\n" + err.Error() + "\n"
	}
	p, content, err := policy.FromLayers(layers)
	if err != nil {
		t.Fatal(err)
	}
	if in.Labels == nil {
		in.Labels = l.Labels(p, in.Node)
	}
	cat, err := l.Build(p, content, in)
	if err != nil {
		return "refused by the node:\n" + err.Error() + "\n"
	}
	var out strings.Builder
	for _, it := range cat.Items {
		out.WriteString(shown(l, cat, it))
	}
	return out.String()
}

func shown(l catalog.Language, cat *resource.Catalog, it resource.Item) string {
	var out strings.Builder
	fmt.Fprint(&out, it.Name())
	if it.Meta.Alias != "" {
		fmt.Fprintf(&out, " = %s", it.Meta.Alias)
	}
	fmt.Fprintln(&out)
	kind, _ := l.Kinds.Kind(it.ID.Type)
	attrs := kind.Attributes(it.Resource)
	delete(attrs, kind.Name)
	if file, ok := it.Resource.(interface{ Text() (string, bool) }); ok && attrs["template"] != nil {
		attrs["template"], _ = file.Text()
	}
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		fmt.Fprintf(&out, "    %s: %s\n", key, compact(attrs[key]))
	}
	for _, dep := range it.Requires {
		fmt.Fprintf(&out, "    after %s\n", cat.Items[dep].Name())
	}
	for _, target := range it.Notifies {
		fmt.Fprintf(&out, "    notifies %s\n", cat.Items[target].Name())
	}
	if it.Meta.Tainted {
		fmt.Fprintf(&out, "    holds secrets, shows %v\n", it.Meta.Shown)
	}
	if it.Meta.Audit {
		fmt.Fprintln(&out, "    audit")
	}
	if it.Meta.Window.Name != "" {
		fmt.Fprintf(&out, "    window %s\n", it.Meta.Window.Name)
	}
	if len(it.Meta.Tags)+len(it.Meta.Controls) > 0 {
		fmt.Fprintf(&out, "    tags %v, controls %v\n", it.Meta.Tags, it.Meta.Controls)
	}
	return out.String()
}

func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
