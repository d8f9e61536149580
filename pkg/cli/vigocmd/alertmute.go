package vigocmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newAlertMuteCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	var m report.Mute
	var last time.Duration
	c := &cobra.Command{
		Use:   "mute [NAME]",
		Short: "Tell nobody of a node, hub or group, or of a rule, for some time",
		Long: `Tell nobody of what NAME matches, a glob of nodes, hubs, channels or groups as ` + "`vigo alert list`" + ` shows them, or of a rule, for
some time. Alerts are found all the same. When a mute ends, what is still so is told; that something is over is told also while
it is muted, if it was told that it began.`,
		Example: `  vigo alert mute 'db-*' --last 2h --reason 'moving the database, CHG-1234'
  vigo alert mute --rule disk.full --last 8h --reason 'new disks come tomorrow'`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				m.Group = args[0]
			}
			m.Until = env.Now().Add(last)
			made, err := client.PutMute(c.Context(), m)
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, made); done {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "muted until %s; vigo alert unmute %s ends it\n", made.Until.UTC().Format("2006-01-02 15:04 UTC"), made.ID)
			return err
		},
	}
	conn.flags(c)
	f := c.Flags()
	f.StringVar(&m.Rule, "rule", "", "only alerts of rules that this glob matches")
	f.StringVar(&m.Reason, "reason", "", "why, for those who ask themselves")
	ageVar(f, &last, "last", 0, "how long, such as 2h or 3d; at most 90 days")
	for _, name := range []string{"reason", "last"} {
		cobra.CheckErr(c.MarkFlagRequired(name))
	}
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func newAlertUnmuteCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "unmute ID",
		Short:   "End a mute before its time",
		Example: "  vigo alert list --mutes; vigo alert unmute k3v7q2ab",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			return unreachable(client.RemoveMute(c.Context(), args[0]))
		},
	}
	conn.flags(c)
	return c
}

func newAlertTestCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:   "test RECEIVER",
		Short: "Send a receiver a notice that says it is a test",
		Long: `Send a receiver a notice that says it is a test, and wait until it has taken it. ` + "`vigo alert list --receivers`" + ` shows which
there are.`,
		Example: "  vigo alert test pager",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if err := client.TestReceiver(c.Context(), args[0]); err != nil {
				return unreachable(err)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s has taken it\n", args[0])
			return err
		},
	}
	conn.flags(c)
	return c
}

func newAlertDeadCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	var retry, drop string
	c := &cobra.Command{
		Use:   "dead",
		Short: "List notices that could not be delivered within a day, or try one again",
		Example: `  vigo alert dead
  vigo alert dead --retry told_5f0c2a9be1d4`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			switch {
			case err != nil:
				return err
			case retry != "":
				return unreachable(client.RetryNotice(c.Context(), retry))
			case drop != "":
				return unreachable(client.DropNotice(c.Context(), drop))
			}
			list, err := client.DeadNotices(c.Context(), 1000)
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			rows := make([][]string, 0, len(list))
			for _, d := range list {
				what := fmt.Sprintf("%d alerts", len(d.Transitions))
				if len(d.Transitions) == 1 {
					what = d.Transitions[0].Kind + " " + d.Transitions[0].Key
				}
				rows = append(rows, []string{d.ID, d.To, span.Ago(env.Now(), d.At), fmt.Sprint(d.Tries), what, d.Error})
			}
			return env.Columns([]string{"ID", "RECEIVER", "WRITTEN", "TRIES", "WHAT", "ERROR"}, rows)
		},
	}
	conn.flags(c)
	c.Flags().StringVar(&retry, "retry", "", "ID of a notice to try again, from the beginning")
	c.Flags().StringVar(&drop, "drop", "", "ID of a notice to forget")
	c.MarkFlagsMutuallyExclusive("retry", "drop")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}
