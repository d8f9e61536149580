package vigocmd

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
)

func newMaintenanceCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	var m report.Maintenance
	var last time.Duration
	var from, end string
	var often recurring
	c := &cobra.Command{
		Use:   "maintenance [NAME-GLOB]...",
		Short: "Work on nodes for some time: that they are silent or fail is no news meanwhile",
		Long: `Begin a maintenance of nodes, or of a hub with the nodes behind it, for some time. Meanwhile nobody is told that they are
silent or fail, they are no problems of ` + "`vigo status`" + `, and they do not count for compliance.threshold; all else goes on. What is
still so when it ends is told after the time its rule waits for. With no name and no --where the maintenances that are not over
are listed.`,
		Example: `  vigo node maintenance web-1 web-2 --last 2h --reason 'new disks, CHG-1234'
  vigo node maintenance --where 'site == "ams"' --from 2026-12-05T22:00:00Z --last 6h --reason 'power of the site'
  vigo node maintenance 'lab-*' --last 8760h --hours 01:00-05:00 --days sat,sun --timezone Europe/Amsterdam --reason nightly
  vigo node maintenance
  vigo node maintenance --end k3v7q2ab`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			switch {
			case err != nil:
				return err
			case end != "":
				return unreachable(client.EndMaintenance(c.Context(), end))
			case len(args) == 0 && m.Where == "":
				list, err := client.Maintenance(c.Context())
				if err != nil {
					return unreachable(err)
				}
				return showMaintenance(env, format, list)
			}
			if last <= 0 || m.Reason == "" {
				return cli.UsageError(errors.New("a maintenance needs --last and --reason"))
			}
			m.Nodes = args
			if m.From, err = beginning(env, from); err != nil {
				return err
			}
			m.Until = m.From.Add(last)
			if m.Window, err = often.window(); err != nil {
				return cli.UsageError(err)
			}
			made, err := client.BeginMaintenance(c.Context(), m)
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, made); done {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "maintenance from %s until %s%s; vigo node maintenance --end %s ends it\n", stamp(made.From), stamp(made.Until), inHours(made), made.ID)
			return err
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	f := c.Flags()
	f.StringVar(&m.Where, "where", "", "nodes that this condition over labels holds for")
	f.StringVar(&m.Reason, "reason", "", "why, for those who ask themselves")
	ageVar(f, &last, "last", 0, "how long, such as 2h or 3d; at most 90 days, and 400 with --hours or --days")
	often.flags(f)
	f.StringVar(&from, "from", "", "when it begins, such as 2026-12-05T22:00:00Z; now if it is not said")
	f.StringVar(&end, "end", "", "ID of a maintenance to end before its time")
	for _, flag := range []string{"where", "reason", "from"} {
		c.MarkFlagsMutuallyExclusive("end", flag)
	}
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func beginning(env *cli.Env, from string) (time.Time, error) {
	if from == "" {
		return env.Now(), nil
	}
	at, err := time.Parse(time.RFC3339, from)
	if err != nil {
		return at, cli.UsageError(fmt.Errorf("--from: %q is not a time such as 2026-12-05T22:00:00Z", from))
	}
	return at, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func showMaintenance(env *cli.Env, format cli.Format, list []report.MaintenanceStatus) error {
	if done, err := env.Document(format, list); done {
		return err
	}
	rows := make([][]string, 0, len(list))
	for _, m := range list {
		of := cmp.Or(strings.Join(m.Nodes, " "), "*")
		if m.Where != "" {
			of += " where " + m.Where
		}
		rows = append(rows, []string{m.ID, of, stamp(m.From), stamp(m.Until) + inHours(m.Maintenance), maintenanceNodes(m), m.By, m.Reason})
	}
	return env.Columns([]string{"ID", "OF", "FROM", "UNTIL", "NODES", "BY", "REASON"}, rows)
}

// maintenanceNodes says how the nodes are that a maintenance covers.
func maintenanceNodes(m report.MaintenanceStatus) string {
	text := fmt.Sprint(m.Covers)
	var parts []string
	if m.Silent > 0 {
		parts = append(parts, fmt.Sprintf("%d stale", m.Silent))
	}
	if m.Failing > 0 {
		parts = append(parts, fmt.Sprintf("%d failing", m.Failing))
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}
