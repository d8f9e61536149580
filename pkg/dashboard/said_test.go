package dashboard

import (
	"fmt"
	"testing"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
)

// What a node said of itself anew is on its timeline, between its runs, in one line each.
func TestSaid(t *testing.T) {
	t.Parallel()
	many := make([]change.Change, 7)
	for i := range many {
		many[i] = change.Change{Field: fmt.Sprint("p", i), From: "1", To: "2"}
	}
	line := timeline(report.NodeDetail{
		Runs: []report.Run{{Started: noon.Add(1), Error: "x"}},
		Said: []report.HistoryEntry{
			{At: noon.Add(3), Subject: "packages", Outcome: report.Changed, Changes: many, More: 10},
			{At: noon.Add(2), Subject: "os", Outcome: report.Changed, Changes: many[:1]},
			{At: noon, Subject: "users", Outcome: report.Appeared},
		},
	})
	got := ""
	for _, m := range line {
		got += m.Kind + ": " + m.Text + "\n"
	}
	want := "trait packages: p0: 1 -> 2; p1: 1 -> 2; p2: 1 -> 2; p3: 1 -> 2; p4: 1 -> 2; and 12 more\n" +
		"trait os: p0: 1 -> 2\nrun: nothing in 0s, commit –: x\ntrait users: appeared\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
