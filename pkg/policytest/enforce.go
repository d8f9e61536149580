package policytest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// Noon is the time of a test that names none: Thursday, 1 January 2026.
const Noon = "2026-01-01T12:00:00Z"

// enforced converges the host of a test twice and compares what was done, and what the host is afterwards. The second time
// there must be nothing to do.
func enforced(cat *resource.Catalog, t Test, seen *cover) []string {
	m, err := hosttest.Parse([]byte(t.Given.Host))
	if err != nil {
		return []string{err.Error()}
	}
	if t.Given.Now == "" {
		t.Given.Now = Noon
	}
	now, err := time.Parse(time.RFC3339, t.Given.Now)
	if err != nil {
		return []string{fmt.Sprintf("given.now: %q is not a time such as %s", t.Given.Now, Noon)}
	}
	j := memory{}
	options := converge.Options{Journal: j, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	first := converge.Run(context.Background(), cat, m.Host(), options)
	for _, it := range cat.Items {
		if slices.ContainsFunc(first.Results, func(r report.Result) bool { return r.ID == it.Name() }) {
			seen.resources[it.Pos] = true
		}
	}
	var failures []string
	if got := done(first); t.Expect.Diff != nil && strings.TrimSpace(got) != strings.TrimSpace(*t.Expect.Diff) {
		failures = append(failures, fmt.Sprintf("diff: want\n%s\ngot\n%s", strings.TrimSpace(*t.Expect.Diff), got))
	}
	if first.Counts.Failed > 0 && t.Expect.Diff == nil {
		failures = append(failures, "it fails on the host:\n"+done(first))
	}
	failures = append(failures, lacks(m.String(), t.Expect.After)...)
	second := converge.Run(context.Background(), cat, m.Host(), options)
	if n := second.Counts; n.Changed+n.Corrected+n.Refreshed > 0 {
		failures = append(failures, "a second run is not quiet:\n"+done(second))
	}
	return failures
}

// done is a run as text: each resource that is not ok, with what changed or why not.
func done(r report.Run) string {
	var b strings.Builder
	for _, res := range r.Results {
		_, id, _ := strings.Cut(res.ID, "/")
		fmt.Fprintf(&b, "%s %s\n", res.Outcome, id)
		if res.Reason != "" {
			fmt.Fprintf(&b, "    %s\n", indent(res.Reason))
		}
		for _, c := range res.Changes {
			fmt.Fprintf(&b, "    %s\n", indent(c.String()))
		}
		if res.Refresh != "" {
			fmt.Fprintf(&b, "    refresh %s\n", res.Refresh)
		}
	}
	return b.String()
}

func indent(s string) string { return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") }

// lacks names the wanted lines that are not among those of the host.
func lacks(host, want string) []string {
	var failures []string
	lines := strings.Split(host, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	for line := range strings.SplitSeq(want, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || slices.Contains(lines, line) {
			continue
		}
		word, _, _ := strings.Cut(line, " ")
		hint := fault.DidYouMean(line, lines)
		if hint == "" {
			hint = "it has:\n" + strings.Join(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, word+" ") }), "\n")
		}
		failures = append(failures, fmt.Sprintf("after: the host has no line %q; %s", line, hint))
	}
	return failures
}

// memory is a journal that is kept for two runs.
type memory map[string]string

const owes = "owes "

// Pending implements [converge.Journal].
func (m memory) Pending(name string) bool { return m[owes+name] != "" }

// Notify implements [converge.Journal].
func (m memory) Notify(by string, targets []string) error {
	for _, name := range targets {
		m[owes+name] = by
	}
	return nil
}

// Settle implements [converge.Journal].
func (m memory) Settle(targets []string) error {
	for _, name := range targets {
		delete(m, owes+name)
	}
	return nil
}

// Enforced implements [converge.Journal].
func (m memory) Enforced(name string) string { return m[name] }

// Finish implements [converge.Journal].
func (m memory) Finish(enforced map[string]string) error {
	for name, digest := range enforced {
		m[name] = digest
	}
	return nil
}
