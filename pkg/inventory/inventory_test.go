package inventory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/trait"
)

// fleet is nodes with documents, kept as the report service keeps them.
type fleet struct {
	x      *inventory.Index
	docs   map[string]json.RawMessage
	facets map[string]map[string]string
	labels map[string]map[string]string
}

func newFleet() *fleet {
	return &fleet{x: inventory.New(), docs: map[string]json.RawMessage{}, facets: map[string]map[string]string{}, labels: map[string]map[string]string{}}
}

// Facets implements inventory.Source.
func (f *fleet) Facets(_ context.Context, digests []string) (map[string]json.RawMessage, error) {
	found := map[string]json.RawMessage{}
	for _, d := range digests {
		if doc, ok := f.docs[d]; ok {
			found[d] = doc
		}
	}
	return found, nil
}

// say has a node say something; documents arrive after it or before.
func (f *fleet) say(t testing.TB, node string, labels map[string]string, traits map[string]any) {
	t.Helper()
	facets := map[string]string{}
	for name, v := range traits {
		facet, err := trait.FacetOf(name, v)
		if err != nil {
			t.Fatal(err)
		}
		facets[name] = facet.Digest
		f.docs[facet.Digest] = facet.Doc
	}
	f.facets[node], f.labels[node] = facets, labels
	docs := f.x.Put(node, labels, facets)
	for i, d := range docs {
		docs[i].Doc = f.docs[d.Digest]
	}
	if err := f.x.Add(docs...); err != nil {
		t.Fatal(err)
	}
}

// slowly is the same search without an index.
func (f *fleet) slowly(t testing.TB, cond *expr.Cond) (found []string) {
	t.Helper()
	for node, facets := range f.facets {
		vars := map[string]any{"node": node}
		for name, value := range f.labels[node] {
			vars[name] = value
		}
		for name, digest := range facets {
			var v any
			if err := json.Unmarshal(f.docs[digest], &v); err != nil {
				t.Fatal(err)
			}
			vars[name] = v
		}
		holds, err := cond.Eval(vars)
		if err != nil {
			t.Fatal(err)
		}
		if holds {
			found = append(found, node)
		}
	}
	slices.Sort(found)
	return found
}

func schema() *expr.Schema {
	type doc struct {
		Family  string `json:"family"`
		Version string `json:"version"`
	}
	s := expr.NewSchema()
	s.Trait("os", reflect.TypeFor[doc]())
	s.Trait("packages", reflect.TypeFor[map[string]doc]())
	s.Trait("mounts", reflect.TypeFor[[]doc]())
	s.Label("env")
	return s
}

func compile(t testing.TB, src string) *expr.Cond {
	t.Helper()
	c, err := expr.Compile(src, schema())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var questions = []string{
	`os.family == "debian"`,
	`env == "prod" and os.version != "12"`,
	`version(packages.openssl.version) < version("3.0.5")`,
	`has(packages.openssl) and not has(packages["libx-1"])`,
	`any(mounts, .family == "nfs")`,
	`len(packages) > 3 and packages.openssl.version == "3.0.1"`,
	`glob("web-1*", node)`,
	`not glob("*1", node) and (glob("web-?", node) or glob("db-[12]*", node) and env == "prod")`,
	`node == "web-7" or glob("web-1", node)`,
	`len(packages) > 2 and env == "prod" and os.version == "12" and has(packages.vim) and any(mounts, .family == "nfs") and glob("*", node)`,
	`os.family == "none" or env == "test"`,
	`packages.nothing.version == "1"`,
}

// TestSearch finds what a search without an index finds, while nodes come, change and go.
func TestSearch(t *testing.T) {
	t.Parallel()
	f := newFleet()
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	for step := range 4000 {
		node := fmt.Sprintf("%s-%d", pick("web", "db"), rnd.IntN(60))
		if rnd.IntN(20) == 0 {
			f.x.Remove(node)
			delete(f.facets, node)
			delete(f.labels, node)
			continue
		}
		packages := map[string]any{}
		for range rnd.IntN(6) {
			packages[pick("openssl", "libx-1", "bash", "vim", "zlib")] = map[string]string{"version": fmt.Sprintf("3.0.%d", rnd.IntN(9))}
		}
		traits := map[string]any{"packages": packages, "mounts": []any{map[string]string{"family": pick("nfs", "ext4")}}}
		if rnd.IntN(4) > 0 {
			traits["os"] = map[string]string{"family": pick("debian", "suse"), "version": fmt.Sprint(11 + rnd.IntN(3)), "noise": fmt.Sprint(step)}
		}
		f.say(t, node, map[string]string{"env": pick("prod", "test")}, traits)
		if step%400 != 399 {
			continue
		}
		for _, q := range questions {
			cond := compile(t, q)
			got, err := f.x.Search(t.Context(), cond, f)
			if err != nil {
				t.Fatal(err)
			}
			if want := f.slowly(t, cond); !slices.Equal(got, want) {
				t.Fatalf("step %d: %s: found %v, want %v", step, q, got, want)
			}
		}
	}
	if len(f.x.Lacking()) != 0 || f.x.Nodes() != len(f.facets) {
		t.Errorf("%d nodes, %d documents are lacking", f.x.Nodes(), len(f.x.Lacking()))
	}
}

// TestShow tells values by their paths, and counts them.
func TestShow(t *testing.T) {
	t.Parallel()
	f := newFleet()
	for i := range 5 {
		f.say(t, fmt.Sprint("web-", i), map[string]string{"env": "prod"}, map[string]any{
			"os":       map[string]any{"family": "debian", "version": fmt.Sprint(11 + i%2), "deep": map[string]any{"list": []int{7, 8 + i}}},
			"packages": map[string]any{"libssl1.1": map[string]string{"version": "1.1.1"}},
			"mounts":   []any{map[string]string{"family": "ext4"}},
		})
	}
	var paths []inventory.Path
	for _, text := range []string{"env", "node", "os.version", `packages["libssl1.1"].version`, "os.deep.list[1]", "mounts[0].family", "os.nothing", "env.x"} {
		p, err := inventory.ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	table, err := f.x.Show(t.Context(), []string{"gone", "web-1", "web-4"}, paths, f)
	if err != nil {
		t.Fatal(err)
	}
	want := "[[<nil> <nil> <nil> <nil> <nil> <nil> <nil> <nil>] [prod web-1 12 1.1.1 9 ext4 <nil> <nil>] [prod web-4 11 1.1.1 12 ext4 <nil> <nil>]]"
	if got := fmt.Sprint(table); got != want {
		t.Errorf("shows %s\nwant  %s", got, want)
	}
	counts, err := f.x.Count(t.Context(), []string{"gone", "web-0", "web-1", "web-2"}, paths[2], f)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(counts); got != "[{11 2} {<nil> 1} {12 1}]" {
		t.Errorf("counts %s", got)
	}
}

// TestParsePath says what is wrong.
func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", ".", "os.", "os..x", "os[", `os["x"`, `os["x"]y`, strings.Repeat("x", 600)} {
		if p, err := inventory.ParsePath(bad); err == nil {
			t.Errorf("%.20q is taken for %v", bad, p)
		}
	}
}

// FuzzParsePath never fails in another way than by its error.
func FuzzParsePath(f *testing.F) {
	f.Add(`packages["libssl1.1"].version`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := inventory.ParsePath(text)
		if err == nil && (p.Name == "" || slices.Contains(p.Keys, "")) {
			t.Errorf("%q has an empty name", text)
		}
	})
}
