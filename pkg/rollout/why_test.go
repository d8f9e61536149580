package rollout

import "testing"

// TestEveryWhyHasASentence: nobody reads a code word at 3 a.m.
func TestEveryWhyHasASentence(t *testing.T) {
	t.Parallel()
	seen := map[string]Why{}
	for _, w := range Whys() {
		text := w.Text("early")
		if other, twice := seen[text]; twice || text == string(w) {
			t.Errorf("%s says %q, as %s does", w, text, other)
		}
		seen[text] = w
	}
}
