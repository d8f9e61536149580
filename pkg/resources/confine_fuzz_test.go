package resources

import (
	"slices"
	"strings"
	"testing"
)

// Whatever the kernel lists, each profile that is read from it is a line of the list, and is told from those it is not.
func FuzzAppArmorList(f *testing.F) {
	f.Add("/usr/bin/man (enforce)\nman_filter (complain)\n:ns://x y (z) (kill)\n", "man_filter")
	f.Add(" (enforce)\n(x)\nno mode\n", "")
	f.Fuzz(func(t *testing.T, list, name string) {
		lines := strings.Split(list, "\n")
		state := parseAppArmor(list)
		for is, mode := range state {
			if !slices.Contains(lines, is+" ("+mode+")") {
				t.Fatalf("%q is in mode %q, which the list does not say: %q", is, mode, list)
			}
		}
		if have := state.have([]string{name, name}); len(have) > 1 || len(have) == 1 && !strings.Contains(list, name+" (") {
			t.Fatalf("%q is said to be in %q: %q", name, list, have)
		}
	})
}
