package agentcmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/cli"
)

func newPinCommand(g *globals) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "pin",
		Short: "Have this host stay with the policy it has",
		Long: `Have this host stay with the bundle it has, whatever its channel is given, until ` + "`vigo-agent unpin`" + `.
What it has is enforced as ever, and modes are followed. The agent heeds it from its next cycle on and tells the
service; rollouts leave the host out and do not wait for it. A bundle that is revoked is left all the same. Done
again, it gives another reason.

EXIT STATUS
  0  the host is pinned    1  it has no policy yet, or the state directory cannot be read or written`,
		Example: "  vigo-agent pin --reason 'looking into INC-4711, ann'",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			digest, err := agent.SetPin(g.stateDir(), agent.Pin{Since: g.env.Now().UTC(), Reason: reason})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(g.env.Stdout, "this host stays with %s\n", digest)
			return err
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for `vigo-agent status`")
	return c
}

func newUnpinCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "unpin",
		Short: "Have this host follow its channel again",
		Long: `Take away what ` + "`vigo-agent pin`" + ` has set. From its next cycle on the agent takes what its channel has for it.

EXIT STATUS
  0  the host is not pinned (any more)    1  the state directory cannot be read or written`,
		Example: "  vigo-agent unpin",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			says := "this host follows its channel from its next cycle on"
			was, err := agent.TakePin(g.stateDir())
			if err != nil {
				return fmt.Errorf("taking the pin away: %w", err)
			}
			if !was {
				says = "this host was not pinned"
			}
			_, err = fmt.Fprintln(g.env.Stdout, says)
			return err
		},
	}
}

// pinText says since when a host is pinned, and why.
func pinText(p *agent.Pin) string {
	switch {
	case p == nil:
		return ""
	case p.Reason == "":
		return "since " + p.Since.UTC().Format(time.RFC3339)
	}
	return "since " + p.Since.UTC().Format(time.RFC3339) + ": " + p.Reason
}
