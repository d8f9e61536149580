package converge

import (
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// mask takes every value out of the result of a sensitive resource; the names of the fields stay.
func mask(meta resource.Meta, res *report.Result) {
	if !meta.Sensitive {
		return
	}
	masked := make([]change.Change, len(res.Changes))
	for i, c := range res.Changes {
		masked[i] = change.Secret(c.Field)
	}
	res.Changes = masked
	if res.Outcome == report.Failed {
		res.Reason = "failed; the details are masked because the resource is sensitive"
	}
}

// summary renders changes as one line for an error message.
func summary(changes []change.Change) string {
	parts := make([]string, len(changes))
	for i, c := range changes {
		if c.Diff != "" {
			parts[i] = c.Field
			continue
		}
		parts[i] = c.String()
	}
	return strings.Join(parts, "; ")
}
