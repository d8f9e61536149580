package vigocmd

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newRebootCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "reboot",
		Short: "See which nodes reboot in turn, and free the place of one that is not back",
		Long: `See which nodes reboot in turn, and free the place of one that is not back. Nodes take turns where fleet.yaml has reboots:
at most so many of a group are down for a reboot at once. A node has its place until it is back and its first run shows that it is
well. One that is not back in time is overdue and keeps its place: others wait, until it is well, retired or released.`,
		Example: `  vigo reboot list
  vigo reboot release db-2`,
	}
	c.AddCommand(newRebootListCommand(env), newRebootReleaseCommand(env))
	return c
}

func newRebootListCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	c := &cobra.Command{
		Use:   "list",
		Short: "List the nodes that reboot, are overdue, or wait for their turn",
		Example: `  vigo reboot list
  vigo reboot list -o json`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.Reboots(c.Context())
			if err != nil {
				return unreachable(err)
			}
			return showReboots(env, format, list)
		},
	}
	conn.flags(c)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML, cli.Name)
	return c
}

func showReboots(env *cli.Env, format cli.Format, list []report.Reboot) error {
	if done, err := env.Document(format, list); done {
		return err
	}
	var rows [][]string
	for _, r := range list {
		if format == cli.Name {
			fmt.Fprintln(env.Stdout, r.Node)
			continue
		}
		since, until := r.Asked, "-"
		if r.State != report.RebootWaits {
			since, until = r.Since, stamp(r.Until)
		}
		rows = append(rows, []string{r.Node, r.State, r.Group, span.Ago(env.Now(), since), until, cmp.Or(r.Text, orDash(r.Why))})
	}
	if format == cli.Name {
		return nil
	}
	return env.Columns([]string{"NODE", "STATE", "GROUP", "SINCE", "BACK BY", "WHY"}, rows)
}

func newRebootReleaseCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:   "release NODE...",
		Short: "Free the place of a node, whatever it does: the next one of its group may reboot",
		Long: `Free the place of a node, whatever it does: the next one of its group may reboot. For a machine that will not come back soon,
when the others can do without it. Nothing is done to the machine.`,
		Example: `  vigo reboot release db-2`,
		Args:    cli.Args(1, 1000),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := client.ReleaseReboot(c.Context(), name); err != nil {
					return unreachable(fmt.Errorf("releasing %s: %w", name, err))
				}
			}
			return nil
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	return c
}

// reboots says how many nodes reboot in turn.
func (v *statusView) reboots() {
	r := v.Reboots
	if r.Now+r.Waiting == 0 {
		return
	}
	line := fmt.Sprintf("%s   %s now", v.head("REBOOTS"), grouped(r.Now))
	if r.Overdue > 0 {
		line += fmt.Sprintf("  %s of them overdue", grouped(r.Overdue))
	}
	if r.Waiting > 0 {
		line += fmt.Sprintf("  %s wait", grouped(r.Waiting))
	}
	v.say("%s", line)
}
