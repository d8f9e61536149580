package vigocmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

func newRolloutCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "rollout",
		Short: "See and steer how channels are given what is new",
		Long: `See and steer how channels are given what is new. A channel with a file in rollouts/ of the policy repository is given each
new bundle in stages: so many nodes, then more, when those before are healthy.`,
		Example: `  vigo rollout status
  vigo rollout watch production
  vigo rollout explain web-1
  vigo rollout approve production
  vigo rollout abort production`,
	}
	c.AddCommand(newRolloutStatusCommand(env), newRolloutWatchCommand(env), newRolloutHistoryCommand(env), newRolloutNodesCommand(env),
		newRolloutExplainCommand(env), newRolloutSimulateCommand(env), newRolloutTickCommand(env),
		newRolloutDoCommand(env, rollout.DoPause, "Let nobody in until it is resumed; who has the new bundle keeps it"),
		newRolloutDoCommand(env, rollout.DoResume, "Go on with a rollout that is paused; its stage has its whole deadline again"),
		newRolloutDoCommand(env, rollout.DoApprove, "Agree that a stage begins"),
		newRolloutDoCommand(env, rollout.DoAbort, "End a rollout; who has the new bundle keeps it, or goes back, as its on_abort says"),
		newRolloutDoCommand(env, rollout.DoRevert, "Take the new bundle back from all nodes that have it"))
	return c
}

func newRolloutStatusCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	var log int
	c := &cobra.Command{
		Use:   "status [CHANNEL]",
		Short: "Show how far rollouts are, and why",
		Example: `  vigo rollout status
  vigo rollout status production --log 20 -o json`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.Rollouts(c.Context(), strings.Join(args, ""), log)
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(env.Stdout, "no rollouts: no channel has a file in rollouts/, or nothing was committed since")
				return err
			}
			for _, r := range list {
				writeRollout(env.Stdout, r, env.Now())
			}
			return nil
		},
	}
	conn.flags(c)
	c.Flags().IntVar(&log, "log", 5, "how many transitions to show")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func writeRollout(w io.Writer, r report.RolloutStatus, now time.Time) {
	fmt.Fprintf(w, "%s: %s (%s) for %s, commit %.7s\n", r.Channel, strings.ToUpper(string(r.Phase)), r.Reason, now.Sub(r.Since).Round(time.Second), r.Commit)
	if r.Detail != "" {
		fmt.Fprintf(w, "  %s\n", r.Detail)
	}
	if r.By != "" {
		fmt.Fprintf(w, "  by %s\n", r.By)
	}
	if r.Waiting {
		fmt.Fprintln(w, "  a newer bundle waits for its end")
	}
	for _, st := range r.Stages {
		text := ""
		if st.Needs > 0 {
			text = fmt.Sprintf("  %d of %d approved", len(st.Approved), st.Needs)
		}
		if st.State == "open" || st.State == "waiting" && st.Used > 0 {
			text += fmt.Sprintf("  %d healthy, %s of %s used", st.Healthy, st.Used.Round(time.Second), r.Deadline)
		}
		fmt.Fprintf(w, "  %-12s %-8s %4d nodes%s\n", st.Name, st.State, st.Members, text)
	}
	fmt.Fprintf(w, "  nodes: %s\n", countsOf(r.Counts))
	for _, t := range r.Log {
		fmt.Fprintf(w, "  %s %s %s %s %s %s\n", t.At.UTC().Format("2006-01-02 15:04:05"), t.To, t.Reason, t.Stage, t.Detail, t.By)
	}
}

func newRolloutExplainCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	c := &cobra.Command{
		Use:     "explain NODE",
		Short:   "Say where a node is in the rollout of its channel, and why",
		Example: "  vigo rollout explain web-1",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			n, err := client.ExplainRollout(c.Context(), args[0])
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, n); done {
				return err
			}
			fmt.Fprintf(env.Stdout, "%s is %s: %s\n", n.Node, n.Word, n.Text)
			if len(n.Member) > 0 {
				fmt.Fprintf(env.Stdout, "the gates of these stages look at it: %s\n", strings.Join(n.Member, ", "))
			}
			return nil
		},
	}
	conn.flags(c)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func newRolloutDoCommand(env *cli.Env, do rollout.Do, short string) *cobra.Command {
	var conn connection
	var format cli.Format
	command := api.RolloutCommand{Do: do}
	c := &cobra.Command{
		Use:     string(do) + " CHANNEL",
		Short:   short,
		Example: fmt.Sprintf("  vigo rollout %s production", do),
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			status, err := client.CommandRollout(c.Context(), args[0], command)
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, status); done {
				return err
			}
			writeRollout(env.Stdout, status, env.Now())
			return nil
		},
	}
	conn.flags(c)
	if do == rollout.DoApprove {
		c.Flags().StringVar(&command.Stage, "stage", "", "the stage (default: the one that waits)")
	}
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}
