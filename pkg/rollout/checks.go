package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// compare takes over what is known of the nodes that do not have the candidate. When so many have it that too few are left to
// compare with, the last values stay.
func (m *machine) compare() {
	if len(m.in.Control) == 0 {
		return
	}
	if m.s.Control == nil {
		m.s.Control = map[string]float64{}
	}
	maps.Copy(m.s.Control, m.in.Control)
}

// unsure says which checks cannot be looked at, and why.
func (m *machine) unsure() string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(m.in.Unsure)) {
		texts = append(texts, name+": "+m.in.Unsure[name])
	}
	return strings.Join(texts, "; ")
}

// byChecksAlone is how many nodes count as failed for nothing but checks with limits of their own.
func (m *machine) byChecksAlone() (n int) {
	own := map[string]bool{}
	for _, c := range m.s.Spec.Checks {
		own[c.Name] = c.Abort.set()
	}
	for _, p := range m.s.Nodes {
		if p.Word == Failed && p.Check != "" && own[p.Check] {
			n++
		}
	}
	return n
}

// abortByChecks looks at the limits of the checks that have one.
func (m *machine) abortByChecks(adopters int) {
	for i, c := range m.s.Spec.Checks {
		if !c.Abort.set() {
			continue
		}
		failed := 0
		for _, p := range m.s.Nodes {
			if p.Word == Failed && m.struck(&p, i) {
				failed++
			}
		}
		if c.Abort.passed(failed, adopters) {
			m.abort(AbortCheck(c.Name), "", fmt.Sprintf("%d of %d failed", failed, adopters))
			return
		}
	}
}

// cause is a check if most of those that failed did so because of it.
func (m *machine) cause(failed int) Reason {
	by := map[string]int{}
	for _, p := range m.s.Nodes {
		if p.Word == Failed && p.Check != "" {
			by[p.Check]++
		}
	}
	for name, n := range by {
		if 2*n > failed {
			return AbortCheck(name)
		}
	}
	return AbortFailed
}

// AbortCheck is the reason of an abort by a check.
func AbortCheck(name string) Reason { return Reason("abort:check:" + name) }

// IsAbort reports whether a reason is that of a rule.
func (r Reason) IsAbort() bool { return strings.HasPrefix(string(r), "abort:") }
