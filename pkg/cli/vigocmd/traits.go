package vigocmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newTraitsCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var conn connection
	var where string
	c := &cobra.Command{
		Use:   "traits [NAME-GLOB] [--where CONDITION]",
		Short: "Show what nodes say of themselves, or find nodes by it",
		Example: `  vigo traits web-1 -o yaml
  vigo traits --where 'os.family == "debian" and version(packages.openssl.version) < version("3.0.17")' -o name`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			var q report.Query
			if len(args) == 1 {
				q.Name = args[0]
			}
			list, err := cli.Wait(env, asking, func() ([]report.Traits, error) { return client.Traits(c.Context(), q, where) })
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			if format == cli.Name {
				for _, n := range list {
					fmt.Fprintln(env.Stdout, n.Node)
				}
				return nil
			}
			rows := make([][]string, len(list))
			for i, n := range list {
				rows[i] = []string{n.Node, span.Ago(env.Now(), n.Seen), fmt.Sprint(len(n.Traits)), traitWord(n.Traits, "os", "name"), traitWord(n.Traits, "kernel", "release")}
			}
			return env.Columns([]string{"NODE", "SEEN", "TRAITS", "OS", "KERNEL"}, rows)
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	c.Flags().StringVar(&where, "where", "", "condition over labels and traits")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML, cli.Name)
	return c
}

func traitWord(traits map[string]any, name, field string) string {
	doc, _ := traits[name].(map[string]any)
	word, _ := doc[field].(string)
	return orDash(word)
}
