package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/reporting"
	"vigo.dev/pkg/signin"
	"vigo.dev/pkg/up"
	"vigo.dev/pkg/up/doctor"
)

// serviceFlags are the flags of a program that serves nodes: `vigo up` and `vigo report`.
type serviceFlags struct {
	data, listen, advertise, fleet, channel, registry string
	names                                             []string
	interval                                          time.Duration
	keep                                              retainFlags
	retireAfter                                       time.Duration
	plain                                             bool
	oidc, store, alerts                               string
	authority                                         authorityFlags
}

func (o *serviceFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data folder; all state is below it")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8443", "address to listen on")
	f.StringVar(&o.advertise, "advertise", "", "host:port that nodes reach (default: that of --listen)")
	f.StringArrayVar(&o.names, "name", nil, "further name or address for the server certificate; may be repeated")
	f.StringVar(&o.fleet, "fleet", "", "name of the fleet (default: that in the data folder, at the first start that in fleet.yaml)")
	f.StringVar(&o.channel, "channel", "stable", "channel of nodes whose token names none")
	f.DurationVar(&o.interval, "interval", 0, "interval nodes are told (default: that in fleet.yaml)")
	f.StringVar(&o.registry, "registry", "", "registry and repository to use instead of the embedded one")
	f.BoolVar(&o.plain, "plain-http", false, "reach --registry without TLS")
	f.StringVar(&o.store, "store", "", "PostgreSQL database to keep reports in, such as postgres://vigo@db.example.com/vigo; its password comes from PGPASSFILE or PGPASSWORD (default: a file in the data folder)")
	o.keep.add(c)
	ageVar(f, &o.retireAfter, "retire-after", 0, "retire a node that is not heard of for so long, such as 7d, unless its token says another time; at least 1h (default: nobody is retired but by people)")
	o.authority.add(c)
	f.StringVar(&o.oidc, "oidc", "", "file that says through which identity provider people log in, and who gets which role")
	f.StringVar(&o.alerts, "alerts", "", "file that says who is told of alerts, and how they are reached (default: nobody is told)")
	cobra.CheckErr(c.MarkFlagFilename("alerts"))
	cobra.CheckErr(c.MarkFlagFilename("oidc"))
	cobra.CheckErr(c.MarkFlagRequired("data"))
}

func (o *serviceFlags) config(env *cli.Env) (up.Config, error) {
	if err := checkStore(o.store); err != nil {
		return up.Config{}, err
	}
	keep, err := o.keep.keep()
	if err != nil {
		return up.Config{}, err
	}
	if o.retireAfter != 0 && o.retireAfter < reporting.LeastRetireAfter {
		return up.Config{}, cli.UsageError(fmt.Errorf("--retire-after %s: at least %s", o.retireAfter, reporting.LeastRetireAfter))
	}
	c := up.Config{
		Data: o.data, Fleet: o.fleet, Listen: o.listen, Advertise: o.advertise, Names: o.names, Registry: o.registry, PlainHTTP: o.plain,
		Username: env.Getenv("VIGO_REGISTRY_USER"), Password: env.Getenv("VIGO_REGISTRY_PASSWORD"), Access: env.Access(),
		Channel: o.channel, Interval: o.interval, Store: o.store, Keep: keep, RetireAfter: o.retireAfter, Version: env.Version, Language: language(), Log: serviceLog(env), Now: env.Now,
		Examine: func(ctx context.Context) report.Diagnosis { return doctor.Examine(ctx, o.data, o.store, env.Now()) },
	}
	if o.alerts != "" {
		if _, err := deliver.ReadConfig(o.alerts); err != nil {
			return c, err
		}
		c.Alerts, c.Reload = o.alerts, env.Reload()
	}
	if o.oidc == "" {
		return c, nil
	}
	conf, err := signin.ReadConfig(o.oidc)
	if err != nil {
		return c, err
	}
	provider, err := signin.NewProvider(conf, env.Now)
	if err != nil {
		return c, err
	}
	c.OIDC = provider
	if web := provider.Web(); web != nil {
		c.SignIn = web
	}
	return c, nil
}

func newUpCommand(env *cli.Env) *cobra.Command {
	var o serviceFlags
	var git gitFlags
	var old pruneFlags
	var own registryFlags
	c := &cobra.Command{
		Use:   "up --data DIR --git URL",
		Short: "Run controller, registry, report service and CA in one process",
		Long: `Run controller, registry, report service and CA in one process, with one data folder. It can be stopped and started at any
time. DATA/operator.json is how the other commands reach it.`,
		Example: `  vigo up --data /var/lib/vigo --git https://git.example.com/policy.git --listen :8443 --advertise vigo.example.com:8443
  export VIGO_CONFIG=/var/lib/vigo/operator.json; vigo token create`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			retention, err := old.retention()
			if err != nil {
				return err
			}
			embedded, err := own.config()
			if err := errors.Join(err, own.insteadOf(c, o.registry)); err != nil {
				return err
			}
			if o.registry != "" && !c.Flags().Changed("prune-every") {
				retention.Every = 0 // what others own is not cleared without a word
			}
			hook, err := git.hookToken(env)
			if err != nil {
				return err
			}
			host, err := git.forge.open(env, git.url)
			if err != nil {
				return err
			}
			keys, done, err := git.keys.options(env)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, done()) }()
			conf, err := o.config(env)
			if err != nil {
				return err
			}
			asked, err := o.authority.open(c.Context(), env, &conf)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, asked()) }()
			if conf.Secrets, err = git.secrets.open(c.Context(), env, conf.Data); err != nil {
				return err
			}
			conf.Keys, conf.Git, conf.Branch, conf.Poll, conf.PointerTTL, conf.HookToken = keys, git.url, git.branch, git.poll, git.ttl, hook
			conf.AllowRewrite, conf.Forge, conf.Forges, conf.Retention, conf.Embedded = git.rewrite, host, elsewhere(host), retention, embedded
			return runStack(c.Context(), env, conf, upWelcome)
		},
	}
	git.add(c)
	o.add(c)
	own.add(c, "fleet", "who may pull: fleet (nodes, hubs and operators), or anyone")
	own.addUploads(c)
	old.add(c, 24*time.Hour, " (in one that --registry names: only when this is given)")
	return c
}

// runStack puts a service up, says how to reach it, and runs it until ctx ends.
func runStack(ctx context.Context, env *cli.Env, conf up.Config, welcome func(context.Context, *cli.Env, *up.Stack) error) error {
	stack, err := up.Open(ctx, conf)
	if err != nil {
		return err
	}
	if err := welcome(ctx, env, stack); err != nil {
		return errors.Join(err, stack.Close())
	}
	tuning, done := context.WithCancel(ctx)
	defer done()
	go tuneCollector(tuning, env)
	return errors.Join(stack.Run(ctx), stack.Close())
}

// operatorFile is how the commands of an operator on this machine reach the service.
const operatorFile = "operator.json"

func upWelcome(ctx context.Context, env *cli.Env, stack *up.Stack) error {
	path := filepath.Join(stack.Data, operatorFile)
	if err := keepCredential(ctx, stack, path, "https://"+stack.Local(), api.Operator{Name: "admin", Role: identity.RoleAdmin}); err != nil {
		return err
	}
	path = anywhere(path)
	_, err := fmt.Fprintf(env.Stdout, `vigo is up: fleet %s on https://%s
  export VIGO_CONFIG=%s
  vigo token create                                              # then, on a node:
  vigo-agent enroll --server https://%s --token TOKEN
in a browser, with the token in %s: https://%s/ui/
`, stack.Fleet, stack.Advertise, path, stack.Advertise, path, stack.Advertise)
	return err
}

// anywhere is a path that holds also for who is in another folder.
func anywhere(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// keepCredential sees to it that the file at path lets an operator reach the service: a token that still works stays.
func keepCredential(ctx context.Context, stack *up.Stack, path, server string, who api.Operator) error {
	old, err := readOperatorConfig(path)
	if err != nil && !errors.Is(err, errNoConfig) {
		return err
	}
	token, err := stack.Credential(ctx, who, old.Token)
	if err != nil {
		return err
	}
	conf := operatorConfig{Server: server, Token: token}
	if conf == old {
		return nil
	}
	return writeOperatorConfig(path, conf)
}
