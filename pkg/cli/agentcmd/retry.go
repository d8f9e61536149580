package agentcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/cli"
)

func newRetryCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "retry",
		Short: "Try again what guarded resources were taken back from",
		Long: `Try again what was taken back because no check-in confirmed it, although neither the bundle nor the declaration has changed.
The agent does so in its next cycle, whether it runs now or is started later; ` + "`vigo-agent status`" + ` shows what was taken back.

EXIT STATUS
  0  the agent will try again, or nothing was taken back    1  the state directory cannot be read or written`,
		Example: "  vigo-agent retry",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			st, err := agent.ReadStatus(g.stateDir())
			if err != nil {
				return err
			}
			if len(st.Reverted()) == 0 {
				_, err = fmt.Fprintln(g.env.Stdout, "nothing was taken back")
				return err
			}
			state, err := agent.OpenState(g.stateDir())
			if err != nil {
				return err
			}
			if err := agent.AskRetry(state); err != nil {
				return err
			}
			for _, name := range st.Reverted() {
				if _, err := fmt.Fprintf(g.env.Stdout, "%s is tried again in the next cycle\n", name); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
