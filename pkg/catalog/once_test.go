package catalog_test

import (
	"reflect"
	"testing"
	"testing/fstest"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// A policy that is used once loses its modules while its catalog is built; the catalog is the same.
func TestACatalogOfAPolicyThatIsUsedOnce(t *testing.T) {
	t.Parallel()
	l := language()
	_, layers, err := policy.Read(fstest.MapFS{
		"fleet.yaml":            {Data: []byte("kind: Fleet\nname: acme\n")},
		"roles/all.yaml":        {Data: []byte("kind: Role\nmodules: [a, b]\n")},
		"modules/a/module.yaml": {Data: []byte("kind: Module\nresources:\n  - file: /a\n    content: x\n    requires: b/file:/b\n    notify: file:/c\n  - file: /c\n    content: z\n")},
		"modules/b/module.yaml": {Data: []byte("kind: Module\nresources:\n  - file: /b\n    content: y\n    when: node == \"n\"\n")},
	}, func(*policy.Policy, *policy.Content) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	build := func(once bool) (*resource.Catalog, int) {
		p, content, err := policy.FromLayers(layers)
		if err != nil {
			t.Fatal(err)
		}
		cat, err := l.Build(p, content, catalog.Input{Node: "n", Once: once})
		if err != nil {
			t.Fatal(err)
		}
		return cat, len(p.Modules)
	}
	want, kept := build(false)
	got, left := build(true)
	if kept != 2 || left != 0 {
		t.Errorf("of 2 modules %d are kept, and %d when it is used once", kept, left)
	}
	if len(want.Items) != 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
