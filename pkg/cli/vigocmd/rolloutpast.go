package vigocmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

func newRolloutHistoryCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	var limit int
	c := &cobra.Command{
		Use:     "history CHANNEL",
		Short:   "List the rollouts of a channel, newest first, with how each ended and who approved",
		Example: "  vigo rollout history production\n  vigo rollout history production --limit 5 -o json",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.RolloutHistory(c.Context(), args[0], limit)
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			rows := make([][]string, len(list))
			for i, r := range list {
				rows[i] = []string{r.Began.Local().Format(time.DateTime), orDash(short(r.Commit)), string(r.Phase), becauseOf(r), r.Since.Local().Format(time.DateTime), orDash(strings.Join(agreed(r), ", "))}
			}
			return env.Columns([]string{"BEGAN", "COMMIT", "PHASE", "WHY", "SINCE", "APPROVED BY"}, rows)
		},
	}
	conn.flags(c)
	c.Flags().IntVar(&limit, "limit", 20, "at most this many, the newest; the service keeps 100")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// becauseOf says in a line why a rollout is where it is.
func becauseOf(r report.RolloutStatus) string {
	text := string(r.Reason)
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	if r.By != "" {
		text += ", by " + r.By
	}
	return text
}

// agreed are those who approved a stage.
func agreed(r report.RolloutStatus) []string {
	var list []string
	for _, st := range r.Stages {
		for _, who := range st.Approved {
			if !slices.Contains(list, who) {
				list = append(list, who)
			}
		}
	}
	return list
}

func newRolloutNodesCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	var word string
	var limit int
	c := &cobra.Command{
		Use:   "nodes CHANNEL",
		Short: "List the nodes that a rollout has reached, and why each is where it is",
		Long: `List the nodes that a rollout has drawn, let in or given the new bundle, with the word of each and why. Nodes whose turn
is yet to come are counted, and not listed; vigo rollout explain NODE says of any node where it is.`,
		Example: "  vigo rollout nodes production --word failed\n  vigo rollout nodes production --limit 1000 -o json",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.RolloutNodes(c.Context(), args[0], rollout.Word(word), min(limit, api.MaxRolloutNodes))
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			rows := make([][]string, len(list.Nodes))
			for i, n := range list.Nodes {
				rows[i] = []string{n.Node, string(n.Word), cmp.Or(n.Stage, "-"), n.Text}
			}
			if err := env.Columns([]string{"NODE", "WORD", "STAGE", "WHY"}, rows); err != nil {
				return err
			}
			if more := list.Matched - len(list.Nodes); more > 0 {
				_, err = fmt.Fprintf(env.Stdout, "and %d more\n", more)
			}
			return err
		},
	}
	conn.flags(c)
	c.Flags().StringVar(&word, "word", "", "only nodes of this word, such as failed or lost")
	c.Flags().IntVar(&limit, "limit", 100, "at most this many, by name")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}
