package identity

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// Names are as the hint says, whatever they are made of.
func TestCheckName(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$`)
	rnd := rand.New(rand.NewPCG(5, 5))
	good := 0
	for range 50_000 {
		name := make([]byte, rnd.IntN(6))
		for i := range name {
			name[i] = "aZ09zA._-/\n\x00ä "[rnd.IntN(15)]
		}
		want := form.Match(name) && !strings.Contains(string(name), "..")
		if got := CheckName(string(name)) == nil; got != want {
			t.Fatalf("%q is a name: %v, want %v", name, got, want)
		}
		if want {
			good++
		}
	}
	if good < 100 {
		t.Errorf("only %d were names", good)
	}
	for n, want := range map[int]bool{1: true, 128: true, 129: false} {
		if got := CheckName(strings.Repeat("a", n)) == nil; got != want {
			t.Errorf("%d letters are a name: %v", n, got)
		}
	}
}
