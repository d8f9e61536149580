//go:build linux

package machine

import (
	"strings"
	"testing"
)

// The name of a process may be anything, also what looks like the rest of the line: it is read to the last bracket, or the
// line is refused.
func FuzzProcessStat(f *testing.F) {
	f.Add("a) S 1 (b", "S 1 2 3 4 5 64 7 8 9 10 11 12 13 14 15 16 17 18 4711 20")
	f.Add("kthreadd", "S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 0")
	f.Fuzz(func(t *testing.T, name, rest string) {
		if is, _, err := parseStat([]byte(rest)); err != nil && (is.Name != "" || is.Started != 0) {
			t.Errorf("%+v of a line that is refused", is)
		}
		if strings.ContainsAny(rest, ")") {
			return
		}
		is, _, err := parseStat([]byte("1 (" + name + ") " + rest))
		if err == nil && is.Name != name {
			t.Errorf("the name is %q, want %q", is.Name, name)
		}
	})
}
