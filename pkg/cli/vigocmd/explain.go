package vigocmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/manual"
	"vigo.dev/pkg/resources"
)

func newExplainCommand(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "explain [TYPE]",
		Short:   "Show the manual of a resource type, or list the types",
		Example: "  vigo explain\n  vigo explain file",
		Args:    cli.Args(0, 1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return resources.Registry().Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			reg := resources.Registry()
			m, err := manual.New(reg, resources.Sources())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				text, err := m.Text(args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(env.Stdout, text)
				return err
			}
			var rows [][]string
			for _, name := range reg.Names() {
				about, err := m.Summary(name)
				if err != nil {
					return err
				}
				rows = append(rows, []string{name, about})
			}
			return env.Columns([]string{"TYPE", "ABOUT"}, rows)
		},
	}
}

func newSchemaCommand(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the resources of a module, for editors",
		Example: "  vigo schema > module.schema.json",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			m, err := manual.New(resources.Registry(), resources.Sources())
			if err != nil {
				return err
			}
			schema, err := m.Schema()
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(schema)
			return err
		},
	}
}
