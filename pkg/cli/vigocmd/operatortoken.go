package vigocmd

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/identity"
)

func newOperatorTokenCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Further tokens of an operator, each with an end of its own"}
	c.AddCommand(newOperatorTokenCreateCommand(env), newAccessListCommand(env, accessWords{"tokens", "token"}, func(api.AccessToken) bool { return true }),
		newAccessRevokeCommand(env, accessWords{"tokens", "token"}, "Make a token of an operator, or a login, useless at once"))
	return c
}

func newOperatorTokenCreateCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var r api.AccessRequest
	var role, out string
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a further token of an operator, and write the configuration to use it",
		Long: `Make a further token of an operator, and write the configuration with which commands (--config) use it. Without NAME it is
one's own; an admin makes them for others. It may do what the operator may, or less (--role), and ends by itself. The token
of a program that leaked is revoked alone; the operator and its other tokens stay.`,
		Example: `  vigo operator token create --role viewer --life 2160h --note "wall screen" --out screen.json
  vigo operator token create ci --life 24h --out ci.json`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := readOperatorConfig(conn.existing(env))
			if err != nil {
				return err
			}
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				r.Operator = args[0]
			}
			r.Role = identity.Role(role)
			answer, err := client.CreateAccess(c.Context(), r)
			if err != nil {
				return unreachable(err)
			}
			if err := writeOperatorConfig(out, operatorConfig{Server: cmp.Or(conn.server, conf.Server), Token: answer.Token}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "token %s of %s: %s, until %s\n", answer.ID, answer.Operator, answer.Role, until(answer.Expires))
			return err
		},
	}
	conn.flags(c)
	f := c.Flags()
	f.StringVar(&role, "role", "", "viewer, operator or admin (default: that of the operator)")
	ageVar(f, &r.Life, "life", 90*24*time.Hour, "how long it can be used, at most a year")
	f.StringVar(&r.Note, "note", "", "what it is for")
	f.StringVar(&out, "out", "", "file to write; only its owner may read it")
	cobra.CheckErr(c.MarkFlagRequired("out"))
	return c
}

// accessWords are what the commands are about.
type accessWords struct{ many, one string }

// newAccessListCommand lists the tokens and certificates that want accepts.
func newAccessListCommand(env *cli.Env, words accessWords, want func(api.AccessToken) bool) *cobra.Command {
	var conn connection
	var format cli.Format
	c := &cobra.Command{
		Use:     "list",
		Short:   "List one's own " + words.many + ", as an admin those of all, and when they were last used",
		Example: fmt.Sprintf("  vigo operator %[1]s list\n  vigo operator %[1]s list -o json | jq '.[] | select(.used == null)'", words.one),
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.AccessTokens(c.Context())
			if err != nil {
				return unreachable(err)
			}
			list = slices.DeleteFunc(list, func(t api.AccessToken) bool { return !want(t) })
			if done, err := env.Document(format, list); done {
				return err
			}
			rows := make([][]string, len(list))
			for i, t := range list {
				rows[i] = []string{t.ID, t.Operator, string(t.Role), t.Kind, ends(t, env.Now()), until(t.Used), orDash(t.Note)}
			}
			return env.Columns([]string{"ID", "OPERATOR", "ROLE", "KIND", "EXPIRES", "USED", "NOTE"}, rows)
		},
	}
	conn.flags(c)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// ends is when a token or a certificate can be used no more.
func ends(t api.AccessToken, now time.Time) string {
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return "expired"
	}
	return until(t.Expires)
}

func newAccessRevokeCommand(env *cli.Env, words accessWords, short string) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "revoke ID",
		Short:   short,
		Example: "  vigo operator " + words.one + " revoke a2b3c4d5e6",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if err := client.RevokeAccess(c.Context(), args[0]); err != nil {
				return unreachable(err)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s %s is revoked\n", words.one, args[0])
			return err
		},
	}
	conn.flags(c)
	return c
}
