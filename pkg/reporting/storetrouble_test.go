package reporting

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"vigo.dev/pkg/sqlstore"
)

// TestStoreTrouble: whoever looks is told the same: what is wrong with the store, since when, what is refused and what goes on.
func TestStoreTrouble(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"no room":                      fmt.Errorf("committing a group: %w", sqlstore.ErrFull),
		"the database does not answer": sqlstore.ErrUnreachable,
		"its disk takes nothing (a quota, read-only, or failing)": sqlstore.ErrDisk,
		"it is damaged":        sqlstore.ErrDamaged,
		"it cannot be written": errors.New("input/output error"),
	} {
		st := sqlstore.Stats{Failing: err, Since: noon}
		if got := storeTrouble(st); got != "store: "+want+" since 2026-11-25T12:00:00Z" {
			t.Errorf("%v is told as %q", err, got)
		}
		problems := storeProblems(st)
		if len(problems) != 1 || problems[0].Kind != "store" || !problems[0].First.Equal(noon) || !strings.HasPrefix(problems[0].Text, want+": refused are ") {
			t.Errorf("%v is the problem %+v", err, problems)
		}
	}
	if got := storeTrouble(sqlstore.Stats{}); got != "" || storeProblems(sqlstore.Stats{}) != nil {
		t.Errorf("a store that works is told as %q", got)
	}
}
