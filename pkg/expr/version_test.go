package expr_test

import (
	"cmp"
	"fmt"
	"testing"

	"pault.ag/go/debian/version"

	"vigo.dev/pkg/expr"
)

// version() puts versions in the order that dpkg does.
func TestVersionsCompareAsInDebian(t *testing.T) {
	t.Parallel()
	versions := []string{
		"0", "1", "1.0", "1.0~rc1", "1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-1~bpo12+1", "1.0a", "1.0.1", "1.1", "1.a", "1.10", "1.9",
		"1:0.9", "1:1.0", "2.0", "2.0+dfsg-1", "2.0-1", "10", "12.10", "12.9", "3.0.16-1~deb12u1", "3.0.17", "7.88.1-10+deb12u12", "7.88.1-10+deb12u8",
		"6.1.0-28-amd64", "6.1.0-9-amd64", "2024a-0+deb12u1", "20230311", "9.2p1", "9.2p1-2+deb12u3", "9.2",
	}
	for _, a := range versions {
		for _, b := range versions {
			va, err1 := version.Parse(a)
			vb, err2 := version.Parse(b)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			want := cmp.Compare(version.Compare(va, vb), 0)
			operator := map[int]string{-1: "<", 0: "==", 1: ">"}[want]
			cond, err := expr.Compile(fmt.Sprintf("version(%q) %s version(%q)", a, operator, b), schema())
			if err != nil {
				t.Fatal(err)
			}
			if holds, err := cond.Eval(nil); err != nil || !holds {
				t.Errorf("%s does not hold (%v)", cond, err)
			}
		}
	}
}
