package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/machine"
)

type enrollOptions struct {
	server, token, tokenFile, node string
	mirrors                        []string
	force                          bool
}

func newEnrollCommand(g *globals) *cobra.Command {
	var o enrollOptions
	c := &cobra.Command{
		Use:   "enroll --server URL --token TOKEN",
		Short: "Join a fleet",
		Long: `Join a fleet: make a key, get a certificate for it, and keep the trust root of the fleet. The token pins the fleet's
authority, so the first connection is authenticated already. The token may also come from --token-file or, so that it does not
show in the process list, from the environment variable VIGO_TOKEN.

Policy comes from the first registry that answers: the mirrors that are named here, in order, then what the fleet tells. A
mirror needs no trust: everything is verified here.

EXIT STATUS
  0  enrolled    1  refused, or the service was not reached    64  no token was given`,
		Example: `  VIGO_TOKEN=… vigo-agent enroll --server https://vigo.example.com:8443
  vigo-agent enroll --server https://vigo.example.com:8443 --token-file /run/token --node web-1
  vigo-agent enroll --server https://vigo.example.com:8443 --token-file /run/token --mirror mirror.site.example.com/vigo/acme`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return runEnroll(c.Context(), g, o) },
	}
	f := c.Flags()
	f.StringVar(&o.server, "server", "", "URL of the report service")
	f.StringVar(&o.token, "token", "", "enrolment token")
	f.StringVar(&o.tokenFile, "token-file", "", "file that holds the enrolment token")
	f.StringVar(&o.node, "node", "", "name of this node (default: its host name)")
	f.StringArrayVar(&o.mirrors, "mirror", nil, "registry and repository to pull from before those of the fleet, http:// in front for one without TLS; may be repeated")
	f.BoolVar(&o.force, "force", false, "join although this host is enrolled already; what it was is forgotten")
	cobra.CheckErr(c.MarkFlagRequired("server"))
	return c
}

func runEnroll(ctx context.Context, g *globals, o enrollOptions) error {
	token, err := o.secret(g.env)
	if err != nil {
		return err
	}
	state, unlock, err := g.ownState()
	if err != nil {
		return err
	}
	defer unlock()
	if o.node == "" {
		if o.node, err = hostName(ctx, g); err != nil {
			return err
		}
	}
	e, err := cli.Wait(g.env, "asking "+o.server, func() (agent.Enrolment, error) {
		return agent.Enroll(ctx, state, agent.EnrollOptions{
			Server: o.server, Token: token, Node: o.node, Version: g.env.Version, Now: g.env.Now, Force: o.force, Mirrors: o.mirrors,
		})
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.env.Stdout, "%s has joined fleet %s, channel %s\n", e.Node, e.Fleet, e.Channel)
	return err
}

func (o enrollOptions) secret(env *cli.Env) (string, error) {
	switch {
	case o.token != "":
		return o.token, nil
	case o.tokenFile != "":
		data, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	case env.Getenv("VIGO_TOKEN") != "":
		return env.Getenv("VIGO_TOKEN"), nil
	}
	return "", cli.UsageError(fault.WithHint(errors.New("no token was given"), "use --token, --token-file or VIGO_TOKEN; `vigo token create` makes one"))
}

func hostName(ctx context.Context, g *globals) (string, error) {
	m, err := machine.New(machine.Options{Root: g.root, Log: g.log(), Now: g.env.Now})
	if err != nil {
		return "", err
	}
	defer m.Close()
	return cli.NodeName(ctx, m.Host())
}
