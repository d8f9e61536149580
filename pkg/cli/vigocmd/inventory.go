package vigocmd

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newInventoryCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var conn connection
	var labels []string
	var q report.Question
	var since time.Duration
	var trait string
	c := &cobra.Command{
		Use:   "inventory [CONDITION | @NAME]",
		Short: "Find nodes by what they have, and show or count what that is",
		Long: `Find nodes by what they have, and show or count what that is. A condition is one of the policy language, over labels and
traits (` + "`vigo explain`" + ` lists them); values are shown by their paths: environment, os.version, packages["libssl1.1"].version.
@NAME asks a question that was saved. With --since, what is shown is which values are others than they were then, of the nodes
for which the condition is true now.`,
		Example: `  vigo inventory 'version(packages.openssl.version) < version("3.0.17")' --show os.name,packages.openssl.version -o csv
  vigo inventory --count os.name
  vigo inventory 'os.family == "debian"' --count packages.openssl.version
  vigo inventory --since 2h 'environment == "production"' --trait packages
  vigo inventory save old-openssl 'version(packages.openssl.version) < version("3.0.17")' && vigo inventory @old-openssl`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if q.Labels, err = cli.ParseLabels(labels); err != nil {
				return err
			}
			if len(args) == 1 {
				q.Where = args[0]
			}
			if name, saved := strings.CutPrefix(q.Where, "@"); saved {
				if err := recall(c.Context(), client, name, &q); err != nil {
					return err
				}
			}
			if since > 0 {
				return changedSince(c.Context(), env, client, format, q, since, trait)
			}
			answer, err := cli.Wait(env, asking, func() (report.Inventory, error) { return client.Inventory(c.Context(), q) })
			if err != nil {
				return unreachable(err)
			}
			return showInventory(env, format, answer)
		},
	}
	conn.flags(c)
	f := c.Flags()
	f.StringSliceVar(&q.Show, "show", nil, "paths of values to show, separated by commas")
	f.StringVar(&q.Count, "count", "", "path whose values are counted, instead of nodes being listed")
	f.StringVar(&q.Name, "name", "", "only nodes whose name matches this glob")
	f.StringArrayVar(&labels, "label", nil, "only nodes with this label, as name=value; may be repeated")
	f.IntVar(&q.Limit, "limit", 0, "nodes to list at most (default: all); with --since values, at most 10000 (default: 1000)")
	ageVar(f, &since, "since", 0, "show what has changed within this time, such as 2h or 7d, instead of what is now")
	f.StringVar(&trait, "trait", "", "only changes of this trait, with --since")
	c.MarkFlagsMutuallyExclusive("since", "show")
	c.MarkFlagsMutuallyExclusive("since", "count")
	c.MarkFlagsMutuallyExclusive("show", "count")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML, cli.Name, csvFormat)
	c.AddCommand(newInventorySaveCommand(env), newInventorySavedCommand(env), newInventoryForgetCommand(env))
	return c
}

func showInventory(env *cli.Env, format cli.Format, answer report.Inventory) error {
	if done, err := env.Document(format, answer); done {
		return err
	}
	if answer.Lacking > 0 {
		fmt.Fprintf(env.Stderr, "vigo: note: the service has not read %d of the documents that nodes have: nodes may be missing here\n", answer.Lacking)
	}
	head := append([]string{"node", "presence", "seen"}, answer.Show...)
	rows := make([][]string, 0, len(answer.Nodes))
	for _, n := range answer.Nodes {
		row := []string{n.Node, string(n.Presence), span.Ago(env.Now(), n.Seen)}
		if format == csvFormat {
			row[2] = n.Seen.UTC().Format("2006-01-02T15:04:05Z")
		}
		for _, v := range n.Values {
			row = append(row, valueText(v))
		}
		rows = append(rows, row)
	}
	if answer.Counts != nil {
		head, rows = []string{"value", "nodes"}, nil
		for _, c := range answer.Counts {
			rows = append(rows, []string{valueText(c.Value), fmt.Sprint(c.Nodes)})
		}
	}
	switch format {
	case cli.Name:
		for _, row := range rows {
			fmt.Fprintln(env.Stdout, row[0])
		}
		return nil
	case csvFormat:
		return writeCSV(env, head, rows)
	}
	for i := range head[:min(3, len(head))] {
		head[i] = strings.ToUpper(head[i])
	}
	for _, row := range rows {
		for i := range row {
			row[i] = orDash(row[i])
		}
	}
	return env.Columns(head, rows)
}

// valueText is a value of a document as people read it: nothing is "", and what is inside of a list or mapping is JSON.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// noQuestion says which names there are.
func noQuestion(name string, list []report.SavedQuestion) error {
	var names []string
	for _, q := range list {
		names = append(names, q.Name)
	}
	return fault.WithHint(fmt.Errorf("there is no saved question %q", name), fault.DidYouMean(name, names))
}
