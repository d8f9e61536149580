package inventory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// TestPostings: whatever documents come and go, the values of those that are there are what they say.
func TestPostings(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 3))
	s, want := newSection("a"), map[string]string{}
	for n := range 2000 {
		digest := fmt.Sprint("d", rnd.IntN(60))
		if _, there := want[digest]; !there {
			want[digest] = fmt.Sprintf(`"v%d"`, rnd.IntN(30))
			if err := s.add(digest, []byte(`{"key":`+want[digest]+`}`)); err != nil {
				t.Fatal(err)
			}
			s.use(s.ids[digest], 1)
		} else if rnd.IntN(2) == 0 {
			s.use(s.ids[digest], -1)
			delete(want, digest)
			s.sweep()
		}
		if n%10 != 0 {
			continue
		}
		of, list := s.values("key")
		got := map[string]string{}
		for digest, id := range s.ids {
			got[digest] = list[of[id]]
		}
		if !maps.Equal(got, want) {
			t.Fatalf("after %d steps: %v, want %v", n, got, want)
		}
	}
}

// BenchmarkAlone takes apart documents of which each has values that no other has, as names and addresses are.
func BenchmarkAlone(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := newSection("a")
		for i := range 10_000 {
			if err := s.add(fmt.Sprint("d", i), fmt.Appendf(nil, `{"short":"web-%d","full":"web-%d.example.com"}`, i, i)); err != nil {
				b.Fatal(err)
			}
		}
	}
}
