package inventory

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"vigo.dev/pkg/expr"
)

// TestNumbers: those of the nodes that were asked for and have one, from their traits and from what is known beside them.
func TestNumbers(t *testing.T) {
	t.Parallel()
	schema := expr.NewSchema()
	schema.Trait("load", reflect.TypeFor[struct {
		One float64 `json:"one"`
	}]())
	schema.Trait("run", reflect.TypeFor[struct {
		Failed  int     `json:"failed"`
		Seconds float64 `json:"seconds"`
	}]())
	x := New()
	for i := range 5 {
		digest := fmt.Sprint("load-", i)
		x.Put(fmt.Sprint("n", i), nil, map[string]string{"load": digest})
		if err := x.Add(Document{Trait: "load", Digest: digest, Doc: fmt.Appendf(nil, `{"one":%d}`, i)}); err != nil {
			t.Fatal(err)
		}
	}
	x.Put("bare", nil, nil)
	run := Known{Name: "run", Doc: func(node string) string {
		if node == "n3" {
			return ""
		}
		return fmt.Sprintf(`{"failed":0,"seconds":%d}`, 10*len(node))
	}}
	for src, want := range map[string][]float64{
		"load.one":                             {1, 3, 4},
		"run.seconds":                          {20, 20, 40},
		"load.one + run.seconds + run.failed":  {21, 24},
		`load.one * (node == "n4" ? 10 : 0.5)`: {0.5, 1.5, 40},
	} {
		n, err := expr.CompileNumber(src, schema)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Numbers(t.Context(), n, []string{"n1", "n3", "n4", "bare", "gone"}, nil, run)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", src, got, err, want)
		}
	}
	cond, err := expr.Compile("run.seconds > 5 and run.failed == 0 and load.one >= 2", schema)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := x.Among(t.Context(), cond, []string{"bare", "n1", "n4", "n9"}, nil, run); err != nil || !slices.Equal(found, []string{"n4"}) {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err := x.Search(t.Context(), cond, nil, run); err != nil || !slices.Equal(found, []string{"n2", "n4"}) {
		t.Errorf("found %v, %v", found, err)
	}
}
