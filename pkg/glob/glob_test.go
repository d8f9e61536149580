package glob_test

import (
	"fmt"
	"path"
	"slices"
	"testing"

	"vigo.dev/pkg/glob"
)

// TestMatching holds a list against what it stands for: trying each pattern in turn.
func TestMatching(t *testing.T) {
	t.Parallel()
	patterns := []string{"web*", "web1", "*", "db?", "web1", "[a", `web\1`, "", "w[a-e]b1", "a/b", "*/b"}
	l := glob.NewList(patterns)
	for _, name := range []string{"web1", "web2", "db1", "db12", "", "[a", "a/b", `web\1`, "nobody"} {
		if got, want := l.Matching(name), tried(patterns, name); !slices.Equal(got, want) {
			t.Errorf("%q matches the patterns at %v, want %v", name, got, want)
		}
	}
	if got := (glob.List{}).Matching("web1"); len(got) > 0 {
		t.Errorf("an empty list matches at %v", got)
	}
}

func FuzzMatching(f *testing.F) {
	f.Add("web*", "web1", "[", "web1")
	f.Fuzz(func(t *testing.T, a, b, c, name string) {
		patterns := []string{a, b, c, a}
		if got, want := glob.NewList(patterns).Matching(name), tried(patterns, name); !slices.Equal(got, want) {
			t.Errorf("%q matches %q at %v, want %v", name, patterns, got, want)
		}
	})
}

func tried(patterns []string, name string) (at []int) {
	for i, p := range patterns {
		if ok, err := path.Match(p, name); err == nil && ok {
			at = append(at, i)
		}
	}
	return at
}

// BenchmarkMatching asks a list of 20,000 names, and beside it each pattern in turn.
func BenchmarkMatching(b *testing.B) {
	patterns := make([]string, 20_000)
	for i := range patterns {
		patterns[i] = fmt.Sprintf("web%05d.example.com", i)
	}
	l := glob.NewList(patterns)
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			l.Matching("web15000.example.com")
		}
	})
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			tried(patterns, "web15000.example.com")
		}
	})
}
