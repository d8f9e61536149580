package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDataPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw  any
		want DataPath
	}{
		{"", nil},
		{"a", DataPath{{Key: "a"}}},
		{"a.b-c[2].d/e", DataPath{{Key: "a"}, {Key: "b-c"}, {Kind: ByIndex, Index: 2}, {Key: "d/e"}}},
		{`a."b.c".d`, DataPath{{Key: "a"}, {Key: "b.c"}, {Key: "d"}}},
		{"users[name=web 1].role", DataPath{{Key: "users"}, {Kind: ByMatch, Key: "name", Is: "web 1"}, {Key: "role"}}},
		{"[0][1]", DataPath{{Kind: ByIndex}, {Kind: ByIndex, Index: 1}}},
		{[]any{"a.b", 1, float64(2)}, DataPath{{Key: "a.b"}, {Kind: ByIndex, Index: 1}, {Kind: ByIndex, Index: 2}}},
	} {
		var got DataPath
		if err := got.DecodeValue(c.raw); err != nil {
			t.Errorf("%v: %v", c.raw, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v:\n%s", c.raw, diff)
		}
		if again, err := ParseDataPath(got.String()); err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("%v: is written as %s and read as %v, %v", c.raw, got, again, err)
		}
	}
	for _, bad := range []any{"a..b", "a.", ".a", "a b", `"a`, "a[", "a[x]", "a[-1]", "a]b", 1, []any{true}, []any{-1}} {
		var got DataPath
		if err := got.DecodeValue(bad); err == nil {
			t.Errorf("%v is read as %v", bad, got)
		}
	}
}
