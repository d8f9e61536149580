package audit

import (
	"fmt"
	"slices"
	"testing"
)

// missing lists the numbers that a log is said to lack.
func missing(l Log) (numbers []int64) {
	for _, p := range l.Verify(authority.check) {
		if p.Kind == Missing {
			for n := p.First; n <= p.Last; n++ {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers
}

// A file that somebody hands over may jump a million numbers with each entry: what is remembered of a gap is where it begins
// and ends.
func TestWideGaps(t *testing.T) {
	t.Parallel()
	var l Log
	for i := range int64(5000) {
		l.Entries = append(l.Entries, Entry{Seq: 1 + i*maxGap})
	}
	problems := l.Verify(authority.check)
	if len(problems) != maxProblems {
		t.Errorf("%d problems", len(problems))
	}
	if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Kind == Altered && p.First == 1 }) {
		t.Errorf("entries that have no hash are not told: %v", problems)
	}
}

// Entries come in any order and number: what is missing are the numbers below the highest that never came.
func FuzzGaps(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Add([]byte{9, 5, 7, 1, 3, 6, 5})
	f.Fuzz(func(t *testing.T, order []byte) {
		var l Log
		var want []int64
		top := int64(0)
		for _, n := range order[:min(len(order), 30)] { // each has three problems at most, and a hundred are told
			n := int64(n%60) + 1
			l.Entries = append(l.Entries, Entry{Seq: n})
			top = max(top, n)
		}
		for n := int64(1); n <= top; n++ {
			if !slices.ContainsFunc(l.Entries, func(e Entry) bool { return e.Seq == n }) {
				want = append(want, n)
			}
		}
		if got := missing(l); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: missing %v, want %v", order, got, want)
		}
	})
}
