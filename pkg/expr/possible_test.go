package expr_test

import (
	"math/rand/v2"
	"testing"

	"vigo.dev/pkg/expr"
)

// What labels alone rule out is impossible, whatever traits say; everything else is possible.
func TestPossible(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"role": "web"}
	for src, want := range map[string]bool{
		`true`:                                         true,
		`false`:                                        false,
		`role == "web"`:                                true,
		`role == "db"`:                                 false,
		`role in ["db", "cache"]`:                      false,
		`glob("w*", role)`:                             true,
		`glob("d*", role)`:                             false,
		`os.family == "debian"`:                        true,
		`os.family != "debian"`:                        true,
		`not (os.family == "debian")`:                  true,
		`role == "db" and os.family == "debian"`:       false,
		`os.family == "debian" && role == "db"`:        false,
		`role == "db" or os.family == "debian"`:        true,
		`not (role == "web" or os.family == "x")`:      false,
		`not (role == "web" and os.family == "x")`:     true,
		`!(role == "db") and not has(os)`:              true,
		`environment == "prod"`:                        true,
		`role == "db" and environment == "prod"`:       false,
		`node == "web-1"`:                              true,
		`role == "db" or node == "web-1"`:              true,
		`os.family == "debian" ? role == "db" : false`: true, // more than can be told: kept
		`role == "web" ? false : true`:                 false,
		`any(["web"], # == role)`:                      true,
		`role == "db" and any(["web"], # == "web")`:    false,
		`role < 5`:                                     true, // a mistake: told where it is evaluated
	} {
		c, err := expr.Compile(src, schema())
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := c.Possible(labels); got != want {
			t.Errorf("%s: possible is %v, want %v", src, got, want)
		}
	}
}

// Whenever a condition holds for a node, it is possible for its labels, and for any part of them.
func TestWhatHoldsIsPossible(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	var condition func(depth int) string
	condition = func(depth int) string {
		if depth == 0 {
			return one(`role == "web"`, `role != "web"`, `environment == "prod"`, `role in ["db", "web"]`, `os.family == "debian"`, `os.family != "debian"`,
				`has(os)`, `glob("w*", role)`, `node == "n"`, `true`, `false`, `role == environment`)
		}
		switch random.IntN(4) {
		case 0:
			return "not (" + condition(depth-1) + ")"
		case 1:
			return "(" + condition(depth-1) + " and " + condition(depth-1) + ")"
		case 2:
			return "(" + condition(depth-1) + " ? " + condition(depth-1) + " : " + condition(depth-1) + ")"
		}
		return "(" + condition(depth-1) + " or " + condition(depth-1) + ")"
	}
	ruledOut := 0
	for range 3000 {
		src := condition(random.IntN(4))
		c, err := expr.Compile(src, schema())
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		labels := map[string]string{"role": one("web", "db")}
		if random.IntN(2) == 0 {
			labels["environment"] = one("prod", "test")
		}
		vars := map[string]any{"node": one("n", "m")}
		for name, value := range labels {
			vars[name] = value
		}
		if random.IntN(3) > 0 {
			vars["os"] = map[string]any{"family": one("debian", "suse")}
		}
		holds, err := c.Eval(vars)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		for _, known := range []map[string]string{labels, {"role": labels["role"]}, {}} {
			possible := c.Possible(known)
			if holds && !possible {
				t.Fatalf("%s holds for %v, and is ruled out by %v", src, vars, known)
			}
			if !possible {
				ruledOut++
			}
		}
	}
	if ruledOut == 0 {
		t.Error("nothing was ever ruled out")
	}
}
