package vigocmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/span"
)

func newTokenCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make and take back the tokens that nodes enrol with"}
	c.AddCommand(newTokenCreateCommand(env), newTokenListCommand(env), newTokenRevokeCommand(env))
	return c
}

func newTokenCreateCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var labels []string
	var format cli.Format
	var r api.TokenRequest
	c := &cobra.Command{
		Use:   "create",
		Short: "Make an enrolment token and print it; it is seen this once",
		Example: `  vigo token create --label role=web --label environment=production
  vigo token create --names 'kiosk-*' --uses 50 --life 24h --note "lobby screens"
  vigo token create --uses 0 --life 0 --label pool=workers --retire-after 24h --note "autoscaled"
  vigo token create --hub --names plant-3`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if r.Labels, err = cli.ParseLabels(labels); err != nil {
				return err
			}
			answer, err := cli.Wait(env, asking, func() (api.TokenAnswer, error) { return client.CreateToken(c.Context(), r) })
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, answer); done {
				return err
			}
			_, err = fmt.Fprintln(env.Stdout, answer.Token)
			return err
		},
	}
	conn.flags(c)
	f := c.Flags()
	f.StringArrayVar(&labels, "label", nil, "label to grant, as name=value; may be repeated")
	f.StringVar(&r.Names, "names", "", "only for nodes whose name matches this pattern")
	f.StringVar(&r.Channel, "channel", "", "channel of the nodes (default: that of the service)")
	f.BoolVar(&r.Hub, "hub", false, "for a hub instead of a node: what enrols with it may serve a site")
	f.IntVar(&r.Uses, "uses", 1, "how many nodes may enrol with it; 0: no limit")
	ageVar(f, &r.Life, "life", time.Hour, "how long it can be used; 0: for ever")
	ageVar(f, &r.RetireAfter, "retire-after", 0, "retire a node that enrolled with it when it is not heard of for so long, such as 24h or 7d; at least 1h (default: as the service says)")
	f.StringVar(&r.Note, "note", "", "what it is for")
	cli.FormatFlag(c, &format, cli.Name, cli.JSON, cli.YAML)
	return c
}

func newTokenListCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	c := &cobra.Command{
		Use:     "list",
		Short:   "List enrolment tokens, without their secrets",
		Example: "  vigo token list\n  vigo token list -o json",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := cli.Wait(env, asking, func() ([]identity.Grant, error) { return client.ListTokens(c.Context()) })
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			rows := make([][]string, len(list))
			for i, g := range list {
				rows[i] = []string{g.ID, orDash(g.Names), labelText(g.Labels), orDash(g.Channel), usesOf(g), expiry(g), orDash(noteOf(g))}
			}
			return env.Columns([]string{"ID", "NAMES", "LABELS", "CHANNEL", "USED", "EXPIRES", "NOTE"}, rows)
		},
	}
	conn.flags(c)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// noteOf is what a token is for.
func noteOf(g identity.Grant) string {
	switch {
	case g.Hub:
		return strings.TrimSpace("(hub) " + g.Note)
	case g.RetireAfter > 0:
		return strings.TrimSpace(fmt.Sprintf("(retires its nodes after %s) %s", span.Of(g.RetireAfter), g.Note))
	}
	return g.Note
}

// usesOf is how often a token was used, of how often it can be.
func usesOf(g identity.Grant) string {
	if g.Uses == 0 {
		return fmt.Sprint(g.Used)
	}
	return fmt.Sprintf("%d/%d", g.Used, g.Uses)
}

func expiry(g identity.Grant) string {
	switch {
	case g.Revoked:
		return "revoked"
	case g.Expires.IsZero():
		return "never"
	}
	return g.Expires.Local().Format("2006-01-02 15:04")
}

func newTokenRevokeCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "revoke ID",
		Short:   "Take a token back; nodes that enrolled with it stay",
		Example: "  vigo token revoke $(vigo token list -o json | jq -r '.[0].id')",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if err := client.RevokeToken(c.Context(), args[0]); err != nil {
				return unreachable(err)
			}
			_, err = fmt.Fprintf(env.Stdout, "token %s is revoked\n", args[0])
			return err
		},
	}
	conn.flags(c)
	return c
}
