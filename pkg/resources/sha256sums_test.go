package resources

import (
	"strings"
	"testing"
)

func TestDigestOfSums(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for text, want := range map[string]string{
		a + "  tool\n" + b + "  other\n":        a,
		b + " *other\r\n" + a + " *dist/tool\n": a,
		"SHA256 (tool) = " + a + "\n":           a,
		strings.ToUpper(a) + "  tool\n":         a,
		a + "\n":                                a,
		a + "  tool\n" + a + "  x/tool\n":       a,
		"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + a + "  tool\n-----BEGIN PGP SIGNATURE-----\n": a,
		"":                                  "",
		a + "\n" + b + "\n":                 "",
		a + "  tool\n" + b + "  other/tool": "",
		a + "  tool.exe\n":                  "",
		a[:63] + "  tool\n":                 "",
		"SHA512 (tool) = " + a + "\n":       "",
	} {
		got, err := digestOfSums(text, "tool")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func FuzzDigestOfSums(f *testing.F) {
	f.Add(strings.Repeat("a", 64)+"  tool\nSHA256 (tool) = "+strings.Repeat("b", 64), "tool")
	f.Fuzz(func(t *testing.T, text, name string) {
		digest, err := digestOfSums(text, name)
		if (err == nil) != downloadDigest.MatchString(digest) {
			t.Errorf("got %q, %v", digest, err)
		}
	})
}
