package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/up"
)

// stackOptions are the flags of `vigo up` and, without those of git, of `vigo report`.
type stackOptions struct {
	gitFlags
	data, listen, advertise, fleet, channel, registry string
	names                                             []string
	interval                                          time.Duration
	plain                                             bool
}

func (o *stackOptions) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data folder; all state is below it")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8443", "address to listen on")
	f.StringVar(&o.advertise, "advertise", "", "host:port that nodes reach (default: that of --listen)")
	f.StringArrayVar(&o.names, "name", nil, "further name or address for the server certificate; may be repeated")
	f.StringVar(&o.fleet, "fleet", "", "name of the fleet (default: that in fleet.yaml)")
	f.StringVar(&o.channel, "channel", "stable", "channel of nodes whose token names none")
	f.DurationVar(&o.interval, "interval", 0, "interval nodes are told (default: that in fleet.yaml)")
	f.StringVar(&o.registry, "registry", "", "registry and repository to use instead of the embedded one")
	f.BoolVar(&o.plain, "plain-http", false, "reach --registry without TLS")
	cobra.CheckErr(c.MarkFlagRequired("data"))
}

func newUpCommand(env *cli.Env) *cobra.Command {
	var o stackOptions
	c := &cobra.Command{
		Use:   "up --data DIR --git URL",
		Short: "Run controller, registry, report service and CA in one process",
		Long: `Run controller, registry, report service and CA in one process, with one data folder. It can be stopped and started at any
time. DATA/operator.json is how the other commands reach it.`,
		Example: `  vigo up --data /var/lib/vigo --git https://git.example.com/policy.git --listen :8443 --advertise vigo.example.com:8443
  export VIGO_CONFIG=/var/lib/vigo/operator.json; vigo token create`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return runStack(c.Context(), env, o) },
	}
	o.gitFlags.add(c)
	o.add(c)
	return c
}

func newReportCommand(env *cli.Env) *cobra.Command {
	var o stackOptions
	c := &cobra.Command{
		Use:     "report --data DIR --registry HOST/REPOSITORY --fleet NAME",
		Short:   "Run the report service alone, for a controller and a registry elsewhere",
		Example: "  vigo report --data /var/lib/vigo --fleet acme --registry registry.example.com/vigo/acme --listen :8443",
		Args:    cli.Args(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return runStack(c.Context(), env, o) },
	}
	o.add(c)
	cobra.CheckErr(c.MarkFlagRequired("registry"))
	cobra.CheckErr(c.MarkFlagRequired("fleet"))
	return c
}

func runStack(ctx context.Context, env *cli.Env, o stackOptions) error {
	if err := o.fromPolicy(); err != nil {
		return err
	}
	log := serviceLog(env)
	stack, err := up.Open(ctx, up.Config{
		Data: o.data, Fleet: o.fleet, Listen: o.listen, Advertise: o.advertise, Names: o.names, Git: o.url, Branch: o.branch,
		Registry: o.registry, PlainHTTP: o.plain, Username: env.Getenv("VIGO_REGISTRY_USER"), Password: env.Getenv("VIGO_REGISTRY_PASSWORD"),
		Channel: o.channel, Interval: o.interval, Poll: o.poll, PointerTTL: o.ttl, HookToken: o.hookToken(env),
		Language: language(), Log: log, Now: env.Now,
	})
	if err != nil {
		return err
	}
	if err := welcome(ctx, env, o, stack); err != nil {
		return errors.Join(err, stack.Close())
	}
	return errors.Join(stack.Run(ctx), stack.Close())
}

// fromPolicy fills in what fleet.yaml says, unless flags do.
func (o *stackOptions) fromPolicy() error {
	if o.url == "" || o.fleet != "" && o.interval > 0 {
		if o.interval == 0 {
			o.interval = 30 * time.Second
		}
		return nil
	}
	git, err := gitsource.Open(gitsource.Options{URL: o.url, Branch: o.branch, Dir: filepath.Join(o.data, "git")})
	if err != nil {
		return fmt.Errorf("opening the policy repository: %w", err)
	}
	f, err := readFleet(git)
	if err := errors.Join(err, git.Close()); err != nil {
		return fault.WithHint(err, "without a policy to read, give --fleet and --interval")
	}
	if o.fleet == "" {
		o.fleet = f.Name
	}
	if o.interval == 0 {
		o.interval = f.Interval
	}
	return nil
}

func readFleet(git *gitsource.Source) (*policy.Fleet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	commit, err := git.Fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the policy repository: %w", err)
	}
	tree, err := git.Tree(commit)
	if err != nil {
		return nil, err
	}
	return policy.LoadFleet(tree)
}

// welcome keeps how to reach the stack, and says how to go on.
func welcome(ctx context.Context, env *cli.Env, o stackOptions, stack *up.Stack) error {
	path := filepath.Join(o.data, "operator.json")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		token, err := stack.Operator(ctx, "admin")
		if err != nil {
			return err
		}
		if err := writeOperatorConfig(path, operatorConfig{Server: "https://" + reachable(stack.Addr), Token: token}); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(env.Stdout, `vigo is up: fleet %s on https://%s
  export VIGO_CONFIG=%s
  vigo token create                                              # then, on a node:
  vigo-agent enroll --server https://%s --token TOKEN
`, o.fleet, stack.Advertise, path, stack.Advertise)
	return err
}

// reachable is the address to connect to from this machine.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
