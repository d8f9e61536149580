package api

import (
	"fmt"
	"testing"

	"vigo.dev/pkg/fault"
)

// TestHintsGoOverTheWire: of a refusal, and of what is around one that has none of its own.
func TestHintsGoOverTheWire(t *testing.T) {
	t.Parallel()
	around := fmt.Errorf("looking: %w", fault.WithHint(Refuse(ErrNotFound, "there is no node x"), `did you mean "y"?`))
	if e := wireError(around); e.Advice != `did you mean "y"?` || e.Code != ErrNotFound.Code || e.Message != "there is no node x" {
		t.Errorf("%+v", e)
	}
	if e := wireError(fault.WithHint(ErrRetired, "another")); e.Advice != ErrRetired.Advice {
		t.Errorf("%+v", e)
	}
	if ErrNotFound.Advice != "" {
		t.Error("the sentinel was changed")
	}
}
