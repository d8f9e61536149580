package vigocmd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newNodesCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var watch bool
	var conn connection
	var labels []string
	var q report.Query
	c := &cobra.Command{
		Use:   "nodes [NAME-GLOB]",
		Short: "List nodes",
		Example: `  vigo nodes
  vigo nodes 'web-*' --label environment=production
  vigo nodes --presence stale -o name`,
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
				q.Name = args[0]
			}
			return repeat(c.Context(), env, watch, func(ctx context.Context) error {
				list, err := cli.Wait(env, asking, func() ([]report.NodeStatus, error) { return client.Nodes(ctx, q) })
				if err != nil {
					return unreachable(err)
				}
				return showNodes(env, format, list)
			})
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	f := c.Flags()
	f.StringArrayVar(&labels, "label", nil, "only nodes with this label, as name=value; may be repeated")
	cli.ChoiceFlag(c, &q.Presence, "presence", "", "only nodes that are so",
		report.Live, report.Late, report.Stale, report.Missing, report.Never, report.Retired)
	cli.ChoiceFlag(c, &q.Compliance, "compliance", "", "only nodes whose last run was so",
		report.ComplianceOK, report.ComplianceChanged, report.ComplianceDrift, report.ComplianceFailed, report.ComplianceNever)
	cli.ChoiceFlag(c, &q.Digest, "digest", "", "only nodes whose bundle, beside that of the channel, is so",
		report.DigestCurrent, report.DigestBehind, report.DigestAhead, report.DigestCandidate, report.DigestUnknown)
	f.StringVar(&q.Channel, "channel", "", "only nodes of this channel")
	f.BoolVarP(&watch, "watch", "w", false, "show it again every two seconds, until interrupted")
	cli.FormatFlag(c, &format, cli.Table, cli.Wide, cli.JSON, cli.YAML, cli.Name)
	return c
}

func showNodes(env *cli.Env, f cli.Format, list []report.NodeStatus) error {
	if done, err := env.Document(f, list); done {
		return err
	}
	headers := []string{"NODE", "PRESENCE", "SEEN", "COMPLIANCE", "BUNDLE", "DIGEST"}
	if f == cli.Wide {
		headers = append(headers, "CHANNEL", "POINTER", "COMMIT", "AGENT", "INTERVAL", "LABELS", "REASON")
	}
	now := env.Now()
	rows := make([][]string, len(list))
	for i, n := range list {
		if f == cli.Name {
			fmt.Fprintln(env.Stdout, n.Name)
			continue
		}
		rows[i] = []string{n.Name, presenceText(n), span.Ago(now, n.Seen), string(n.Compliance), shortDigest(n.Bundle), string(n.Digest)}
		if f == cli.Wide {
			reason, _, _ := strings.Cut(n.Reason, "\n")
			rows[i] = append(rows[i], n.Channel, orDash(n.Pointer), orDash(short(n.Commit)), orDash(n.Agent), n.Interval.String(), labelText(n.Labels), orDash(reason))
		}
	}
	if f == cli.Name {
		return nil
	}
	return env.Columns(headers, rows)
}

// presenceText marks nodes that are in quarantine, that somebody works on, or that reboot.
func presenceText(n report.NodeStatus) string {
	if n.Quarantine != nil {
		return string(n.Presence) + " (quarantine)"
	}
	if n.Maintenance != nil {
		return string(n.Presence) + " (maintenance)"
	}
	if n.Reboot != nil && n.Reboot.State != report.RebootWaits {
		return string(n.Presence) + " (reboot)"
	}
	return string(n.Presence)
}

func labelText(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for name, value := range labels {
		parts = append(parts, name+"="+value)
	}
	slices.Sort(parts)
	return orDash(strings.Join(parts, ","))
}

func newNodeCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var conn connection
	c := &cobra.Command{
		Use:     "node NAME",
		Short:   "Show one node: how it is, what it last changed, what happened to it",
		Example: "  vigo node web-1\n  vigo node web-1 -o json",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			n, err := cli.Wait(env, asking, func() (report.NodeDetail, error) { return client.Node(c.Context(), args[0]) })
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, n); done {
				return err
			}
			return printNode(env, n)
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	c.AddCommand(newRetireCommand(env), newMaintenanceCommand(env), newReleaseCommand(env))
	return c
}

func newRetireCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "retire NAME",
		Short:   "Take a node out of the fleet: its key is refused from now on",
		Example: "  vigo node retire web-1",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if err := client.Retire(c.Context(), args[0]); err != nil {
				return unreachable(fmt.Errorf("retiring %s: %w", args[0], err))
			}
			_, err = fmt.Fprintf(env.Stdout, "%s is retired\n", args[0])
			return err
		},
	}
	conn.flags(c)
	c.ValidArgsFunction = conn.completeNodes(env)
	return c
}

// digestText is how the bundle of a node stands to what is published.
func digestText(n report.NodeDetail) string {
	if n.Pinned {
		return string(n.Digest) + ", pinned by somebody on the node (" + cmp.Or(n.Why, "without a reason") + "): vigo-agent unpin"
	}
	return string(n.Digest)
}

func printNode(env *cli.Env, n report.NodeDetail) error {
	now := env.Now()
	rows := [][]string{
		{"presence", fmt.Sprintf("%s (%s)", n.Presence, span.Ago(now, n.Seen))},
		{"compliance", fmt.Sprintf("%s since %s", n.Compliance, span.Ago(now, n.Since))},
		{"bundle", orDash(n.Bundle)}, {"digest", digestText(n)}, {"commit", orDash(n.Commit)}, {"pointer", orDash(n.Pointer)},
		{"channel", n.Channel}, {"labels", labelText(n.Labels)}, {"agent", orDash(n.Agent)}, {"interval", n.Interval.String()},
		{"certificate", "until " + n.CertExpires.Local().Format("2006-01-02 15:04")}, {"spooled", fmt.Sprint(n.Spooled)},
	}
	if n.RetireAfter > 0 && n.Presence != report.Retired {
		rows = append(rows, []string{"retires", "by itself, when it is not heard of for " + span.Of(n.RetireAfter)})
	}
	if q := n.Quarantine; q != nil {
		rows = append(rows, []string{"quarantine", fmt.Sprintf("since %s, by the rule %s until %s: %s", stamp(q.Since), q.Rule, q.Until, strings.ReplaceAll(q.Text, "\n", " "))})
	}
	if m := n.Maintenance; m != nil {
		rows = append(rows, []string{"maintenance", fmt.Sprintf("until %s, by %s: %s", stamp(m.Until), orDash(m.By), m.Reason)})
	}
	if r := n.Reboot; r != nil {
		text := fmt.Sprintf("%s, %s: %s", r.State, r.Group, cmp.Or(r.Text, orDash(r.Why)))
		if r.State != report.RebootWaits {
			text += ", back by " + stamp(r.Until)
		}
		rows = append(rows, []string{"reboot", text})
	}
	for _, class := range slices.Sorted(maps.Keys(n.Dropped)) {
		rows = append(rows, []string{"forgotten", fmt.Sprintf("%s of before %s: it says more than its share", class, stamp(n.Dropped[class]))})
	}
	if n.Hub != "" {
		rows = append(rows, []string{"hub", n.Hub})
	}
	if n.Reason != "" {
		rows = append(rows, []string{"reason", strings.ReplaceAll(n.Reason, "\n", " ")})
	}
	if err := env.Columns([]string{"NODE", n.Name}, rows); err != nil {
		return err
	}
	for _, r := range n.Refusals {
		fmt.Fprintf(env.Stdout, "\n%s %s: %s (%dx, first %s)\n", env.Paint("red", "refused"), r.Name, r.Detail, r.Count, span.Ago(now, r.First))
	}
	for i, run := range n.Runs {
		if i == 3 {
			break
		}
		fmt.Fprintf(env.Stdout, "\nrun of %s, bundle %s\n", span.Ago(now, run.Started), shortDigest(run.Bundle))
		for _, res := range run.Results {
			fmt.Fprintf(env.Stdout, "  %s %s", res.Outcome, res.ID)
			if res.Refresh != "" {
				fmt.Fprintf(env.Stdout, " (refresh %s)", res.Refresh)
			}
			if res.Guard != "" {
				fmt.Fprintf(env.Stdout, " (guarded: %s)", res.Guard)
			}
			fmt.Fprintln(env.Stdout)
			if res.Reason != "" {
				fmt.Fprintf(env.Stdout, "      %s\n", strings.ReplaceAll(res.Reason, "\n", "\n      "))
			}
			for _, ch := range res.Changes {
				fmt.Fprintf(env.Stdout, "      %s\n", strings.ReplaceAll(ch.String(), "\n", "\n      "))
			}
		}
	}
	return nil
}
