package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/signin"
)

type loginOptions struct {
	conn                connection
	authority, issuerCA string
	device              bool
}

func newLoginCommand(env *cli.Env) *cobra.Command {
	var o loginOptions
	c := &cobra.Command{
		Use:   "login",
		Short: "Log in to a report service through its identity provider",
		Long: `Log in to a report service through its identity provider (OpenID Connect), and write the operator configuration with which
the other commands reach it for some hours. The first time --server and --authority say which service, and by which authority
it is known: an admin sees the fingerprint with ` + "`vigo whoami`" + `. The browser can be on another machine with --device.`,
		Example: `  vigo login --server https://vigo.example.com:8443 --authority 3f0a…
  vigo login --device`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return o.login(c.Context(), env) },
	}
	o.conn.flags(c)
	f := c.Flags()
	f.StringVar(&o.authority, "authority", "", "fingerprint of the fleet's authority: hexadecimal SHA-256 (default: the one of the last login)")
	f.StringVar(&o.issuerCA, "issuer-ca", "", "file with the authorities of the identity provider's certificate (default: those of the system)")
	f.BoolVar(&o.device, "device", false, "show a code to enter in a browser on any machine")
	cobra.CheckErr(c.MarkFlagFilename("issuer-ca"))
	return c
}

func (o *loginOptions) login(ctx context.Context, env *cli.Env) error {
	path := o.conn.path(env)
	conf, err := o.target(path)
	if err != nil {
		return err
	}
	visitor, err := api.NewVisitor(conf.Server, conf.Authority, env.Now)
	if err != nil {
		return err
	}
	defer visitor.Close()
	offer, err := visitor.LoginOffer(ctx)
	if err != nil {
		return unreachable(err)
	}
	client, err := signin.NewClient(o.issuerCA)
	if err != nil {
		return err
	}
	flow := signin.Flow{Offer: offer, Client: client, Now: env.Now, Show: func(text string) { env.Say("%s", text) }}
	get := flow.Loopback
	if o.device {
		get = flow.Device
	}
	idToken, err := get(ctx)
	if err != nil {
		return err
	}
	answer, err := visitor.Login(ctx, idToken)
	if err != nil {
		return unreachable(err)
	}
	conf.Token, conf.Login = answer.Token, true
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keeping the login: %w", err)
	}
	if err := writeOperatorConfig(path, conf); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "logged in to %s as %s, %s, until %s\n", conf.Server, answer.Operator, answer.Role, answer.Expires.Local().Format("2006-01-02 15:04"))
	return err
}

// target is the service to log in to: flags, then what the configuration remembers. A token that no login has made is not
// replaced.
func (o *loginOptions) target(path string) (operatorConfig, error) {
	conf, err := readOperatorConfig(path)
	if err != nil && !errors.Is(err, errNoConfig) {
		return conf, err
	}
	if (conf.Token != "" || conf.Certificate != "") && !conf.Login {
		return conf, fault.WithHint(fmt.Errorf("logging in: %s holds the token or the certificate of an operator, which would be lost", path), "--config FILE names another file")
	}
	if o.conn.server != "" {
		conf.Server = o.conn.server
	}
	if o.authority != "" {
		conf.Authority = o.authority
	}
	if conf.Server == "" || conf.Authority == "" {
		return conf, fault.WithHint(cli.UsageError(errors.New("it is not known which service to log in to")),
			"the first time give --server https://HOST:PORT and --authority FINGERPRINT")
	}
	return conf, nil
}

func newLogoutCommand(env *cli.Env) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "logout",
		Short:   "End a login: its token is useless at once",
		Example: "  vigo logout",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			path := conn.path(env)
			conf, err := readOperatorConfig(path)
			if err != nil {
				return err
			}
			if !conf.Login || conf.Token == "" {
				return fault.WithHint(fmt.Errorf("logging out: %s holds no login", path), "`vigo operator token revoke` ends a token, `vigo operator remove` an operator")
			}
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			secret, err := identity.ParseSecret(conf.Token)
			if err != nil {
				return err
			}
			err = client.RevokeAccess(c.Context(), secret.ID)
			if err != nil && !errors.Is(err, api.ErrUnauthorized) { // one that has expired is forgotten here all the same
				return unreachable(err)
			}
			conf.Token = ""
			if err := writeOperatorConfig(path, conf); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "logged out of %s\n", conf.Server)
			return err
		},
	}
	conn.flags(c)
	return c
}

// whoamiAnswer is what the service says, and by what it is known here.
type whoamiAnswer struct {
	api.Whoami
	Server    string `json:"server"`
	Authority string `json:"authority"`
}

func newWhoamiCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	c := &cobra.Command{
		Use:     "whoami",
		Short:   "Show who you are to the report service, and by which authority it is known",
		Example: "  vigo whoami\n  vigo whoami -o json | jq -r .authority",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			me, err := cli.Wait(env, asking, func() (api.Whoami, error) { return client.Whoami(c.Context()) })
			if err != nil {
				return unreachable(err)
			}
			server, err := conn.address(env)
			if err != nil {
				return err
			}
			answer := whoamiAnswer{Whoami: me, Server: server, Authority: client.Fingerprint()}
			if done, err := env.Document(format, answer); done {
				return err
			}
			rows := [][]string{{"role", string(me.Role)}, {"fleet", me.Fleet}, {"server", server}, {"authority", answer.Authority}}
			if t := me.Token; t != nil {
				rows = append(rows, []string{"token", t.ID + " (" + t.Kind + ")"}, []string{"expires", until(t.Expires)})
			}
			return env.Columns([]string{"name", me.Name}, rows)
		},
	}
	conn.flags(c)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// until is when something ends.
func until(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}
