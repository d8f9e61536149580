package agent

import "testing"

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version, lowest string
		want            bool
	}{
		{"1.2.3", "", false},
		{"1.2.3", "1.2.3", false},
		{"1.2.3", "1.2.4", true},
		{"1.10.0", "1.9.9", false},
		{"0.1.0-dev", "0.1.0", false}, // a build on the way to it
		{"0.1.0-dev", "0.2.0", true},
		{"dev", "9.0.0", false},
		{"1.2.3", "next", true},
	} {
		if got := older(c.version, c.lowest); got != c.want {
			t.Errorf("agent %s, lowest %q: %t, want %t", c.version, c.lowest, got, c.want)
		}
	}
}
