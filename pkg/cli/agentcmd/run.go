package agentcmd

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/report"
)

type runOptions struct {
	once   bool
	dryRun bool
	format cli.Format
}

func newRunCommand(g *globals) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run",
		Short: "Keep this host in its declared state",
		Long: `Keep this host in its declared state: follow the channel, converge every interval, report.
When nothing can be reached, it goes on with the last good policy and delivers the reports later.

EXIT STATUS with --once
  0  converged    2  the dry run found drift    3  some resources failed    1  nothing could be tried`,
		Example: `  vigo-agent run                   # as the service does
  vigo-agent run --once            # one cycle, then exit
  vigo-agent run --once --dry-run  # what would the next cycle do?`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return runRun(c.Context(), g, o) },
	}
	c.Flags().BoolVar(&o.once, "once", false, "make one cycle and exit")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "with --once: show what would change, and change nothing")
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func runRun(ctx context.Context, g *globals, o runOptions) error {
	if o.dryRun && !o.once {
		return cli.UsageError(errDryRunAlone)
	}
	state, err := agent.OpenState(g.stateDir())
	if err != nil {
		return err
	}
	unlock, err := state.Lock()
	if err != nil {
		return fault.WithHint(err, "is the service running? `systemctl status vigo-agent`")
	}
	defer unlock()
	m, err := machine.New(machine.Options{Root: g.root, Log: g.log(), Now: g.env.Now})
	if err != nil {
		return err
	}
	defer m.Close()
	parts, err := agent.Connect(ctx, state, agent.ConnectOptions{Access: g.env.Access(), Log: g.log(), Now: g.env.Now})
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Config{
		Version: g.env.Version, Enrolment: parts.Enrolment, State: state, Root: parts.Root, Origin: parts.Origin,
		Service: parts.Service, Leaser: parts.Leaser, Key: parts.Key, Language: g.language(), NewHost: m.Host, Log: g.log(), Now: g.env.Now, DryRun: o.dryRun,
		Jitter: rand.Float64, Rest: machine.GiveBack,
	})
	if err != nil {
		return err
	}
	if !o.once {
		g.log().Info("the agent is running", "node", parts.Enrolment.Node, "fleet", parts.Enrolment.Fleet,
			"channel", parts.Enrolment.Channel, "interval", parts.Enrolment.Interval.Round(time.Millisecond), "version", g.env.Version)
		return a.Run(ctx)
	}
	run, err := cli.Wait(g.env, "converging "+g.root, func() (report.Run, error) { return a.Once(ctx) })
	if err != nil {
		return err
	}
	return showRun(g.env, o.format, run)
}
