package agentcmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/cli"
)

func newMoveCommand(g *globals) *cobra.Command {
	var o agent.MoveOptions
	var mirrors []string
	c := &cobra.Command{
		Use:   "move [--server URL] [--registry REF] [--mirror REF]",
		Short: "Have this host ask at other addresses",
		Long: `Have this host ask at other addresses, because the report service, its hub or the registry has moved. Who it is, its key
and its policy stay, and no token is needed. The agent must not run meanwhile.

The new addresses are asked first: the service must show a certificate of the fleet's authority, and registries and
mirrors must have the channel. If one of them does not, nothing is changed. A registry that was inside of the service moves
with --server. What is pulled from a registry is verified as ever.

EXIT STATUS
  0  it asks there from its next start on    1  an address does not answer, or not with what it should; nothing is changed`,
		Example: `  systemctl stop vigo-agent
  vigo-agent move --server https://vigo-2.example.com:8443
  vigo-agent move --registry registry-2.example.com/vigo/acme
  vigo-agent move --mirror mirror.site.example.com/vigo/acme
  vigo-agent move --mirror none
  systemctl start vigo-agent`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Server == "" && len(o.Registry) == 0 && len(mirrors) == 0 {
				return cli.UsageError(errors.New("one of --server, --registry and --mirror is needed"))
			}
			if len(mirrors) > 0 {
				o.Mirrors = slices.DeleteFunc(mirrors, func(ref string) bool { return ref == "none" })
			}
			state, unlock, err := g.ownState()
			if err != nil {
				return err
			}
			defer unlock()
			o.Access, o.Now = g.env.Access(), g.env.Now
			e, err := cli.Wait(g.env, "asking the new addresses", func() (agent.Enrolment, error) { return agent.Move(c.Context(), state, o) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(g.env.Stdout, "%s asks %s, and pulls from %s\n", e.Node, e.Server, strings.Join(slices.Concat(e.Mirrors, e.Registry), ", "))
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Server, "server", "", "URL of the report service, or of the hub of the site")
	f.StringArrayVar(&o.Registry, "registry", nil, "registry and repository to pull from, in place of those of the fleet, http:// in front for one without TLS; may be repeated")
	f.StringArrayVar(&mirrors, "mirror", nil, "registry and repository to pull from first, in place of the mirrors there are; may be repeated; none: no mirror")
	return c
}
