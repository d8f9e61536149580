package expr_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"vigo.dev/pkg/expr"
)

func loads() *expr.Schema {
	s := expr.NewSchema()
	s.Label("role")
	s.Trait("load", reflect.TypeFor[struct {
		One  float64 `json:"one"`
		Five float64 `json:"five"`
	}]())
	return s
}

// TestCheckCompares: control(…) stands for what the others have.
func TestCheckCompares(t *testing.T) {
	t.Parallel()
	c, err := expr.CompileCheck(`load.one <= 1.5 * control(load.one) or role == "batch" and control(load.five * 2) > 1 and control(load.one) < 9`, loads())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Terms) != 2 || c.Terms[0].String() != "load.one" || c.Terms[1].String() != "load.five * 2" {
		t.Fatalf("terms are %v", c.Terms)
	}
	if v, ok := c.Terms[1].Eval(map[string]any{"load": map[string]any{"five": 1.5}}); !ok || v != 3 {
		t.Errorf("the second term is %g, %t", v, ok)
	}
	if v, ok := c.Terms[0].Eval(map[string]any{}); ok {
		t.Errorf("a load that is not there is %g", v)
	}
	for _, try := range []struct {
		control, has float64
		want         bool
	}{{1, 1.5, true}, {1, 1.6, false}, {-1, -1.5, true}, {1e7, 1.4e7, true}, {0, 0.1, false}} {
		cond, err := c.With([]float64{try.control, 0})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := cond.Eval(map[string]any{"load": map[string]any{"one": try.has}, "role": "web"}); err != nil || got != try.want {
			t.Errorf("%g beside %g: %t, %v", try.has, try.control, got, err)
		}
	}
}

// TestCheckIsRefused for what could never be evaluated, and control(…) everywhere else.
func TestCheckIsRefused(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`load.one < control(load.ono)`:                    `has no "ono"`,
		`load.one < control(control(load.one))`:           "not inside of itself",
		`load.one < control(5)`:                           "looks at nothing of a node",
		`load.one < control(role == "x")`:                 "inside of control",
		`load.one < control()`:                            "control",
		`control(load.one)`:                               "",
		`load.one < control(load.one, load.five)`:         "control",
		`lood.one < control(load.one)`:                    `no trait or label "lood"`,
		strings.Repeat("load.one == 1 and ", 9) + terms(): "at most 8",
	} {
		_, err := expr.CompileCheck(src, loads())
		var e *expr.Error
		if !errors.As(err, &e) || !strings.Contains(e.Msg, want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
	if _, err := expr.Compile(`load.one < control(load.one)`, loads()); err == nil || !strings.Contains(err.Error(), "checks of rollouts only") {
		t.Errorf("a condition that is no check may compare: %v", err)
	}
	labels := expr.NewSchema()
	labels.Label("control")
	if _, err := expr.Compile(`control == "cis"`, labels); err != nil {
		t.Errorf("a label may be called control: %v", err)
	}
}

func terms() string {
	var all []string
	for i := range 9 {
		all = append(all, "control(load.one + "+string(rune('0'+i))+") > 0")
	}
	return strings.Join(all, " and ")
}
