package converge

import (
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/redact"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// mask takes what must not be shown out of a result. The names of the fields stay. Of a sensitive resource that is every
// value and the reason; of one that holds secrets it is every value that may come from them, and in the rest the secrets
// themselves, in whatever form.
func mask(meta resource.Meta, secrets *redact.Redactor, res *report.Result) {
	if meta.Sensitive || meta.Tainted {
		masked := make([]change.Change, len(res.Changes))
		for i, c := range res.Changes {
			if masked[i] = change.Secret(c.Field); !meta.Sensitive && harmless(meta, c) {
				masked[i] = c
			}
		}
		res.Changes = masked
	}
	if meta.Sensitive && res.Outcome == report.Failed {
		res.Reason = "failed; the details are masked because the resource is sensitive"
	}
	redactResult(secrets, res)
}

// harmless says whether a change of a resource that holds secrets says nothing of them: its field is given by an attribute
// that holds none, or it only says that something comes or goes.
func harmless(meta resource.Meta, c change.Change) bool {
	if c.Diff != "" {
		return false
	}
	return slices.Contains(meta.Shown, c.Field)
}

// redactResult is the second net: it masks secrets that got into a text some other way, such as through the output of a
// program.
func redactResult(secrets *redact.Redactor, res *report.Result) {
	res.Reason = secrets.String(res.Reason)
	for i, c := range res.Changes {
		clean := change.Change{Field: secrets.String(c.Field), From: secrets.String(c.From), To: secrets.String(c.To), Diff: secrets.String(c.Diff)}
		if clean != c { // the slice may be that of a plan
			res.Changes = slices.Clone(res.Changes)
			res.Changes[i] = clean
		}
	}
}

// summary renders changes as one line for an error message; of a resource that holds secrets, the fields alone.
func summary(meta resource.Meta, changes []change.Change) string {
	parts := make([]string, len(changes))
	for i, c := range changes {
		if c.Diff != "" || (meta.Tainted || meta.Sensitive) && !harmless(meta, c) {
			parts[i] = c.Field
			continue
		}
		parts[i] = c.String()
	}
	return strings.Join(parts, "; ")
}
