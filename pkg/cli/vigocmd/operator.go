package vigocmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/identity"
)

func newOperatorCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "operator", Short: "Say who may read and change what the report service keeps"}
	c.AddCommand(newOperatorCreateCommand(env), newOperatorListCommand(env), newOperatorRemoveCommand(env), newOperatorTokenCommand(env), newOperatorCertificateCommand(env))
	return c
}

func newOperatorCreateCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var role, out string
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an operator, or give one a new token, and write the configuration to use it",
		Long: `Make an operator, or give one a new token, and write the configuration with which commands (--config) or a controller
(--report) reach the service in that name.

ROLES
  viewer     may read
  operator   may also make and revoke tokens, and retire nodes
  admin      may also say who the operators are
  publisher  a controller: may say what is published, and nothing else`,
		Example: "  vigo operator create jane --role operator --out jane.json\n  vigo operator create controller-2 --role publisher --out controller.json",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := readOperatorConfig(conn.existing(env))
			if err != nil {
				return err
			}
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			token, err := client.AddOperator(c.Context(), api.Operator{Name: args[0], Role: identity.Role(role)})
			if err != nil {
				return unreachable(err)
			}
			if conn.server != "" {
				conf.Server = conn.server
			}
			return writeOperatorConfig(out, operatorConfig{Server: conf.Server, Token: token})
		},
	}
	conn.flags(c)
	c.Flags().StringVar(&role, "role", string(identity.RoleViewer), "viewer, operator, admin or publisher")
	c.Flags().StringVar(&out, "out", "", "file to write; only its owner may read it")
	cobra.CheckErr(c.MarkFlagRequired("out"))
	return c
}

func newOperatorListCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the operators, their roles and their certificates",
		Example: "  vigo operator list",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.ListOperators(c.Context())
			if err != nil {
				return unreachable(err)
			}
			access, err := client.AccessTokens(c.Context())
			if err != nil {
				return unreachable(err)
			}
			listed := withCertificates(list, access, env.Now())
			if done, err := env.Document(format, listed); done {
				return err
			}
			rows := make([][]string, len(listed))
			for i, o := range listed {
				rows[i] = []string{o.Name, string(o.Role), o.certificates(env.Now())}
			}
			return env.Columns([]string{"NAME", "ROLE", "CERTIFICATES"}, rows)
		},
	}
	conn.flags(c)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// A listedOperator is an operator with the certificates that still open something.
type listedOperator struct {
	api.Operator
	Certificates []api.AccessToken `json:"certificates,omitempty"`
}

func withCertificates(list []api.Operator, access []api.AccessToken, now time.Time) []listedOperator {
	listed := make([]listedOperator, len(list))
	for i, o := range list {
		listed[i].Operator = o
		for _, t := range access {
			if t.Operator == o.Name && isCertificate(t) && now.Before(t.Expires) {
				listed[i].Certificates = append(listed[i].Certificates, t)
			}
		}
	}
	return listed
}

// certificates names them with their ends.
func (o listedOperator) certificates(now time.Time) string {
	var parts []string
	for _, t := range o.Certificates {
		parts = append(parts, t.ID+" until "+ends(t, now))
	}
	return orDash(strings.Join(parts, ", "))
}

func newOperatorRemoveCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Make all tokens and certificates of an operator useless, at once",
		Example: "  vigo operator remove ann",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			if err := client.RemoveOperator(c.Context(), args[0]); err != nil {
				return unreachable(err)
			}
			_, err = fmt.Fprintf(env.Stdout, "the tokens and certificates of %s are useless now\n", args[0])
			return err
		},
	}
	conn.flags(c)
	return c
}
