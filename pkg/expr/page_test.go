package expr

import (
	"os"
	"strings"
	"testing"
)

// docs/policy.md says what each function of conditions does.
func TestFunctionsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range functionNames {
		if !strings.Contains(string(page), "| `"+name+"(") {
			t.Errorf("docs/policy.md has no row of the function %s", name)
		}
	}
}
