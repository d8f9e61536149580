package dashboard

import (
	"fmt"
	"strings"

	"vigo.dev/pkg/report"
)

// saidAtOnce is how many values of one change of a trait are on the timeline.
const saidAtOnce = 5

// said is what a node said of itself anew, for its timeline.
func said(n report.NodeDetail) []moment {
	line := make([]moment, 0, len(n.Said))
	for _, e := range n.Said {
		var parts []string
		if e.Reason != "" {
			parts = append(parts, e.Reason)
		}
		for i, c := range e.Changes {
			if i == saidAtOnce {
				break
			}
			parts = append(parts, c.String())
		}
		if more := len(e.Changes) - saidAtOnce; more > 0 || e.More > 0 {
			parts = append(parts, fmt.Sprintf("and %d more", max(more, 0)+e.More))
		}
		text := strings.Join(parts, "; ")
		if e.Outcome != report.Changed {
			text = string(e.Outcome)
		}
		line = append(line, moment{e.At, "changed", "trait " + e.Subject, text})
	}
	return line
}
