package vigocmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

func newStatusCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var watch bool
	var conn connection
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the fleet is: presence, compliance, channels, problems",
		Long: `Show how the fleet is in at most 25 lines: presence, compliance, channels, hubs, problems, worst first. With -o wide all
of it, and more of each; with -o name only the names of the nodes and channels that have problems.

FLEET has the nodes by presence, the check-ins of a second, and the newest pointer with its age;
with -o wide also how many nodes were retired and are not forgotten yet. In the lines of channels,
STABLE is the commit the channel runs, CANDIDATE the one that is to follow, ROLLOUT how far that is, and NODES how many nodes
have the stable bundle, the candidate, and an older one; a dash stands for what is not known or not there.

EXIT STATUS
  0  the fleet is well    1  there are problems    2  the service cannot be reached`,
		Example: "  vigo status\n  vigo status --watch\n  vigo status -o json | jq .presences",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			return repeat(c.Context(), env, watch, func(ctx context.Context) error {
				st, err := cli.Wait(env, asking, func() (report.Status, error) { return client.Status(ctx, 1000) })
				if err != nil {
					return unreachable(err)
				}
				done, err := env.Document(format, st)
				switch {
				case err != nil:
					return err
				case format == cli.Name:
					printTroubled(env, st)
				case !done:
					printStatus(env, st, format == cli.Wide)
				}
				if !st.Healthy() {
					return cli.Quiet(fault.Failure)
				}
				return nil
			})
		},
	}
	conn.flags(c)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every two seconds, until interrupted")
	cli.FormatFlag(c, &format, cli.Table, cli.Wide, cli.JSON, cli.YAML, cli.Name)
	return c
}

// repeat shows something once, or for ever: a failure in between is shown and does not end the watch.
func repeat(ctx context.Context, env *cli.Env, watch bool, show func(context.Context) error) error {
	if !watch {
		return show(ctx)
	}
	for {
		if env.Colour {
			fmt.Fprint(env.Stdout, "\x1b[H\x1b[2J")
		}
		if err := show(ctx); err != nil {
			env.PrintError(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}
