package vigocmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newControlsCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var conn connection
	var state report.ControlState
	c := &cobra.Command{
		Use:   "controls [CONTROL]",
		Short: "Count nodes by the compliance controls that their policy serves, or list those of one",
		Long: `Count nodes by the controls that the resources of their policy serve (` + "`controls:`" + `), or list the nodes of one control, worst first.
A control is ok on a node when all resources that serve it are as declared, or were made so. Silent nodes count as they were last.`,
		Example: `  vigo controls
  vigo controls cis-debian-12:5.1 --state failed -o name
  vigo controls -o csv > controls.csv`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			control := ""
			if len(args) == 1 {
				control = args[0]
			} else if state != "" {
				return cli.UsageError(errors.New("--state is for the nodes of one control"))
			}
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			answer, err := cli.Wait(env, asking, func() (report.Controls, error) { return client.Controls(c.Context(), control) })
			if err != nil {
				return unreachable(err)
			}
			if answer.Lacking > 0 {
				fmt.Fprintf(env.Stderr, "vigo: note: %d nodes have not told yet which controls they serve\n", answer.Lacking)
			}
			if control == "" {
				return showControls(env, format, answer)
			}
			if len(answer.Controls) == 0 {
				return fault.WithHint(fmt.Errorf("the policy of no node serves the control %q", control), "`vigo controls` lists those that are served")
			}
			answer.Nodes = slices.DeleteFunc(answer.Nodes, func(n report.ControlNode) bool { return state != "" && n.State != state })
			return showControlNodes(env, format, answer)
		},
	}
	conn.flags(c)
	cli.ChoiceFlag(c, &state, "state", "", "only nodes that are so", report.ControlStates()...)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML, cli.Name, csvFormat)
	return c
}

func showControls(env *cli.Env, f cli.Format, answer report.Controls) error {
	head := []string{"control", "nodes", "failed", "drift", "skipped", "unknown", "ok", "silent"}
	rows := make([][]string, len(answer.Controls))
	for i, c := range answer.Controls {
		rows[i] = []string{c.Name, strconv.Itoa(c.Nodes)}
		for _, state := range report.ControlStates() {
			rows[i] = append(rows[i], strconv.Itoa(c.Count(state)))
		}
		rows[i] = append(rows[i], strconv.Itoa(c.Silent))
	}
	return showRows(env, f, answer, head, rows)
}

func showControlNodes(env *cli.Env, f cli.Format, answer report.Controls) error {
	rows := make([][]string, len(answer.Nodes))
	for i, n := range answer.Nodes {
		seen := span.Ago(env.Now(), n.Seen)
		if f == csvFormat {
			seen = n.Seen.UTC().Format("2006-01-02T15:04:05Z")
		}
		rows[i] = []string{n.Node, string(n.State), string(n.Presence), seen, strings.Join(n.Resources, " ")}
	}
	return showRows(env, f, answer, []string{"node", "state", "presence", "seen", "resources"}, rows)
}

// showRows shows a document, or the same as rows whose first column is the name.
func showRows(env *cli.Env, f cli.Format, doc any, head []string, rows [][]string) error {
	if done, err := env.Document(f, doc); done {
		return err
	}
	switch f {
	case cli.Name:
		for _, row := range rows {
			fmt.Fprintln(env.Stdout, row[0])
		}
		return nil
	case csvFormat:
		return writeCSV(env, head, rows)
	}
	for i := range head {
		head[i] = strings.ToUpper(head[i])
	}
	return env.Columns(head, rows)
}
