package vigocmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/change"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
)

func newHistoryCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var conn connection
	var since time.Duration
	q := report.HistoryQuery{Limit: 100}
	c := &cobra.Command{
		Use:   "history [NODE] [--resource TYPE:NAME]",
		Short: "Show what changed and drifted, on one node or of one resource",
		Long: `Show what changed and drifted, newest first: what runs changed or repaired, what began to fail or to differ and when that
ended, and what nodes say of themselves that they did not say before. What stays as it is is shown once.

--resource is TYPE:NAME, or MODULE/TYPE:NAME, and may be a glob; without NODE it is looked for on all nodes.`,
		Example: `  vigo history web-1 --since 24h
  vigo history --resource service:nginx
  vigo history web-1 --resource 'file:/etc/nginx/*' -o csv`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				q.Node = args[0]
			}
			if since > 0 {
				q.Since = env.Now().Add(-since)
			}
			h, err := cli.Wait(env, asking, func() (report.History, error) { return readHistory(c.Context(), client, q) })
			if err != nil {
				return unreachable(err)
			}
			return showHistory(env, format, q, h)
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	f := c.Flags()
	f.StringVar(&q.Resource, "resource", "", "only of this resource, as TYPE:NAME or MODULE/TYPE:NAME; may be a glob")
	ageVar(f, &since, "since", 0, "only of the last so long, such as 24h or 7d")
	f.IntVar(&q.Limit, "limit", 100, "entries at most; 0: all that are kept")
	f.StringVar(&q.Before, "before", "", "only what is behind the page that ended with this, as the command says then")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML, csvFormat)
	return c
}

// readHistory reads as many pages as are asked for.
func readHistory(ctx context.Context, client *api.OperatorClient, q report.HistoryQuery) (report.History, error) {
	want := q.Limit
	all := report.History{Entries: []report.HistoryEntry{}}
	for {
		q.Limit = report.MaxHistory
		if want > 0 {
			q.Limit = min(want-len(all.Entries), report.MaxHistory)
		}
		page, err := client.History(ctx, q)
		if err != nil {
			return all, err
		}
		all.Entries = append(all.Entries, page.Entries...)
		all.Next, all.Dropped, q.Before = page.Next, page.Dropped, page.Next
		if page.Next == "" || want > 0 && len(all.Entries) >= want {
			return all, nil
		}
	}
}

func showHistory(env *cli.Env, format cli.Format, q report.HistoryQuery, h report.History) error {
	if done, err := env.Document(format, h); done {
		return err
	}
	head := []string{"TIME", "NODE", "WHAT", "OUTCOME", "DETAIL"}
	rows := make([][]string, 0, len(h.Entries))
	for _, e := range h.Entries {
		what := strings.TrimPrefix(e.Module+"/"+e.Subject, "/")
		switch e.Kind {
		case report.HistoryTrait:
			what = "trait " + e.Subject
		case report.HistoryRun:
			what = "run"
		}
		if format == csvFormat {
			rows = append(rows, []string{e.At.UTC().Format(time.RFC3339), e.Node, e.Kind, e.Module, e.Subject, string(e.Outcome), e.Run, e.Commit, detailText(e, 0)})
			continue
		}
		rows = append(rows, []string{e.At.Local().Format(time.DateTime), e.Node, what, string(e.Outcome), orDash(detailText(e, 3))})
	}
	if format == csvFormat {
		return writeCSV(env, []string{"time", "node", "kind", "module", "subject", "outcome", "run", "commit", "detail"}, rows)
	}
	sayDropped(env, h.Dropped)
	if h.Next != "" {
		env.Say("vigo: note: there is more: --limit, --since, or --before %s", h.Next)
	}
	return env.Columns(head, rows)
}

// sayDropped tells that an answer is not all that happened.
func sayDropped(env *cli.Env, until time.Time) {
	if !until.IsZero() {
		env.Say("vigo: note: what was before %s is not all there: there was too much to keep it (--retain of the service)", until.Local().Format(time.DateTime))
	}
}

// detailText is what an entry says in one line; most is how many changes of it are told, 0: all.
func detailText(e report.HistoryEntry, most int) string {
	var parts []string
	if e.Reason != "" {
		reason, _, _ := strings.Cut(e.Reason, "\n")
		parts = append(parts, reason)
	}
	shown := e.Changes
	if most > 0 && len(shown) > most {
		shown = shown[:most]
	}
	for _, c := range shown {
		parts = append(parts, changeText(c))
	}
	if more := len(e.Changes) - len(shown) + e.More; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// changeText is a change without the lines of its diff.
func changeText(c change.Change) string {
	if c.Diff == "" {
		return strings.ReplaceAll(c.String(), "\n", " ")
	}
	lost, got := 0, 0
	for line := range strings.Lines(c.Diff) {
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
		case strings.HasPrefix(line, "-"):
			lost++
		case strings.HasPrefix(line, "+"):
			got++
		}
	}
	return fmt.Sprintf("%s: +%d -%d lines", c.Field, got, lost)
}
