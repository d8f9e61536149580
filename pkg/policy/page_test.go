package policy_test

import (
	"os"
	"regexp"
	"testing"

	"vigo.dev/pkg/policy"
)

// docs/policy.md says what each type of a parameter takes.
func TestTypesOfParametersAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range policy.ParamTypes() {
		if !regexp.MustCompile("(?m)^\\| (`[a-z]+`, )?`" + name + "`").Match(page) {
			t.Errorf("docs/policy.md has no row of the type %s", name)
		}
	}
}
