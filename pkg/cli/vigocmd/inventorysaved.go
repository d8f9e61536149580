package vigocmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

// recall puts a saved question in the place of its name. What is shown can be said anew.
func recall(ctx context.Context, client *api.OperatorClient, name string, q *report.Question) error {
	list, err := client.Questions(ctx)
	if err != nil {
		return unreachable(err)
	}
	for _, saved := range list {
		if saved.Name != name {
			continue
		}
		q.Where = saved.Where
		if q.Show == nil && q.Count == "" {
			q.Show = saved.Show
		}
		return nil
	}
	return noQuestion(name, list)
}

func newInventorySaveCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var q report.SavedQuestion
	c := &cobra.Command{
		Use:     "save NAME CONDITION",
		Short:   "Keep a question under a name, for everybody of the fleet",
		Example: `  vigo inventory save old-openssl 'version(packages.openssl.version) < version("3.0.17")' --show packages.openssl.version`,
		Args:    cli.Args(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			q.Name, q.Where = args[0], args[1]
			return unreachable(client.PutQuestion(c.Context(), q))
		},
	}
	conn.flags(c)
	c.Flags().StringSliceVar(&q.Show, "show", nil, "paths of values to show, separated by commas")
	c.Flags().StringVar(&q.Note, "note", "", "what it is for")
	return c
}

func newInventorySavedCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	c := &cobra.Command{
		Use:     "saved",
		Short:   "List the questions that are kept under a name",
		Example: "  vigo inventory saved -o json",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.Questions(c.Context())
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			rows := make([][]string, 0, len(list))
			for _, q := range list {
				rows = append(rows, []string{q.Name, q.By, span.Ago(env.Now(), q.At), orDash(strings.Join(q.Show, ",")), q.Where, q.Note})
			}
			return env.Columns([]string{"NAME", "BY", "SAVED", "SHOWS", "CONDITION", "NOTE"}, rows)
		},
	}
	conn.flags(c)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func newInventoryForgetCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "forget NAME",
		Short:   "Forget a saved question",
		Example: "  vigo inventory forget old-openssl",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			return unreachable(client.RemoveQuestion(c.Context(), args[0]))
		},
	}
	conn.flags(c)
	return c
}
