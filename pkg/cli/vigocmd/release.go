package vigocmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
)

func newReleaseCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:   "release NAME...",
		Short: "Let nodes out of quarantine",
		Long: `Let nodes out of quarantine, in which a rule of alerts has put them. Who was told that they are in it is told that they are out.
A node that the rule still finds is not put in again for that: it has to be well first.`,
		Example: "  vigo node release web-1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			var errs []error
			for _, name := range args {
				if err := client.Release(c.Context(), name); err != nil {
					errs = append(errs, fmt.Errorf("releasing %s: %w", name, err))
					continue
				}
				if _, err := fmt.Fprintf(env.Stdout, "%s is out of quarantine\n", name); err != nil {
					return err
				}
			}
			return unreachable(errors.Join(errs...))
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	return c
}
