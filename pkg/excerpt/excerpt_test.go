package excerpt_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"vigo.dev/pkg/excerpt"
)

func TestSaid(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 200)
	for _, tt := range []struct{ name, output, want string }{
		{"nothing", "", ""},
		{"blank lines", "\n \n\t\n", ""},
		{"one line", "no such file\n", "no such file"},
		{"several lines", "  first\r\n\n  second\nthird", "first; second; third"},
		{"what is not text", "a\xffb\n", "a?b"},
		{"earlier lines that are too many", long + "\nlast", "…; last"},
		{"a last line that is too long", long + "last\n", "… " + strings.Repeat("word ", 99) + "last"},
		{"a word that is too long", strings.Repeat("x", 600), "…"},
	} {
		if got := excerpt.Said([]byte(tt.output)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		most int
		want string
	}{
		{"", 0, ""}, {"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"aé", 2, "a…"},
	} {
		if got := excerpt.Of(tt.text, tt.most); got != tt.want {
			t.Errorf("the first %d bytes of %q: got %q, want %q", tt.most, tt.text, got, tt.want)
		}
	}
}

// Whatever a program says, an excerpt is short, one line and text; and a word in it is one that was said.
func FuzzSaid(f *testing.F) {
	f.Add([]byte("E: Unable to locate package x\n"))
	f.Add([]byte(strings.Repeat("a secret ", 100) + "\nend"))
	f.Add([]byte("…\u2009\xe2"))
	f.Fuzz(func(t *testing.T, output []byte) {
		got := excerpt.Said(output)
		if len(got) > 510 || strings.Contains(got, "\n") || !utf8.ValidString(got) {
			t.Fatalf("%d bytes: %q", len(got), got)
		}
		said := " " + strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(output), "?"), func(r rune) bool { return r == ' ' || r == '\n' }), " ") + " "
		for line := range strings.SplitSeq(got, "; ") {
			for word := range strings.SplitSeq(line, " ") {
				if word = strings.TrimSpace(word); word != "" && word != "…" && !strings.Contains(said, word) {
					t.Errorf("%q was not said", word)
				}
			}
		}
		own := bytes.Contains(output, []byte("…")) // the sign may be the program's
		if first, _, _ := strings.Cut(got, " "); !own && strings.HasPrefix(got, "…") && strings.Trim(first, "…;") != "" {
			t.Errorf("an excerpt begins within a word: %.40q", got)
		}
	})
}
