package traits_test

import (
	"fmt"
	"strings"
	"testing"

	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/traits"
)

// What the site's own files say is bounded, in size and in number.
func TestExternalIsBounded(t *testing.T) {
	t.Parallel()
	large := `\"` + strings.Repeat("x", 256<<10) + `\"`
	text := "file /etc/vigo/traits.d/a.json \"" + large + "\"\n" +
		"file /etc/vigo/traits.d/b.sh mode=0755\n" +
		"command [\"/etc/vigo/traits.d/b.sh\"] stdout=\"" + large + "\" reads\n"
	for _, name := range []string{"aa", "ab", "ac", "ad", "ae"} { // four of them fit
		text += fmt.Sprintf("file /etc/vigo/traits.d/%s.json \"\\\"%s\\\"\"\n", name, strings.Repeat("x", 250<<10))
	}
	for i := range 60 {
		text += fmt.Sprintf("file /etc/vigo/traits.d/c%02d.json \"1\"\n", i)
	}
	m, err := hosttest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := traits.NewScheduler(traits.All(), clock).Gather(t.Context(), m.Host(), traits.Agent{})
	if n := len(got.Set["external"].(map[string]any)); n != 47 {
		t.Errorf("%d values, want 47: 50 files less the 2 that are too large and the 1 that is too much", n)
	}
	for _, want := range []string{"a.json: longer than", "b.sh: it printed more than 256 KiB", "ae.json: with it, all are more than 1024 KiB", "c59.json: there are more than 50"} {
		if !strings.Contains(got.Problems["external"], want) {
			t.Errorf("no problem %q in %s", want, got.Problems["external"])
		}
	}
}
