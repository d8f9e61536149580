package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/hub"
	"vigo.dev/pkg/up"
)

type hubOptions struct {
	data, server, tokenFile, name, listen string
	channels                              []string
	poll                                  time.Duration
	spool                                 int64
	siteOnly                              bool
	modules, nodes                        []string
	prune                                 pruneFlags
}

func newHubCommand(env *cli.Env) *cobra.Command {
	var o hubOptions
	c := &cobra.Command{
		Use:   "hub --data DIR --server URL",
		Short: "Run the mirror and relay of a site",
		Long: `Run the mirror and relay of a site: it copies from the centre what it has verified, serves it also while the uplink is
down, hands on what its nodes report, and keeps on disk what the uplink does not take. Nodes enrol at it as they do at the centre.

At the first start it enrols itself with --server, which may be another hub, and a token of ` + "`vigo token create --hub`" + ` from
--token-file or the environment variable VIGO_TOKEN. Later starts need neither, and no uplink.

With --for or --module it mirrors only those modules of each bundle, and what nodes asked for beside them. A module that a node
needs and the hub does not hold is fetched when the node asks for it. What no pointer, rollback or rollout needs is removed.`,
		Example: `  VIGO_TOKEN=… vigo hub --data /var/lib/vigo-hub --server https://vigo.example.com:8443 --listen :8443
  vigo hub --data /var/lib/vigo-hub --listen :8443 --channel stable --channel early
  vigo hub --data /var/lib/vigo-hub --listen :8443 --for site=plant-3 --module 'base-*'`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return runHub(c.Context(), env, o) },
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data folder; all state is below it")
	f.StringVar(&o.server, "server", "", "at the first start: URL of the report service, or of a hub before this one")
	f.StringVar(&o.tokenFile, "token-file", "", "at the first start: file that holds the enrolment token")
	f.StringVar(&o.name, "name", "", "at the first start: name of this hub (default: the host name)")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8443", "address to listen on")
	f.StringArrayVar(&o.channels, "channel", nil, "channel that the site needs (default: that of the token); may be repeated")
	f.DurationVar(&o.poll, "poll", 0, "time between two looks at the centre (default: a twentieth of the interval of its nodes, at least 1s)")
	f.Int64Var(&o.spool, "spool", 1024, "room on disk for reports that wait for the uplink, in MiB")
	f.BoolVar(&o.siteOnly, "site-only", false, "tell nodes that enrol here of this hub alone, not of what is behind it")
	f.StringArrayVar(&o.nodes, "for", nil, "mirror only the modules that nodes with these labels may need, as label=value[,label=value]; may be repeated")
	f.StringArrayVar(&o.modules, "module", nil, "mirror only modules whose names match this pattern, beside those of --for; may be repeated")
	o.prune.add(c, 24*time.Hour, "")
	cobra.CheckErr(c.MarkFlagRequired("data"))
	cobra.CheckErr(c.MarkFlagFilename("token-file"))
	return c
}

// gcPercent makes a hub collect garbage more often than usual: it holds much that stays, the connections of its nodes, and
// makes little that does not, and it often runs on a small machine.
const gcPercent = 40

func runHub(ctx context.Context, env *cli.Env, o hubOptions) (err error) {
	if o.poll != 0 && o.poll < 100*time.Millisecond || o.spool < 1 {
		return cli.UsageError(errors.New("--poll must be at least 100ms, --spool at least 1"))
	}
	scope, err := hub.ParseScope(o.modules, o.nodes, language())
	if err != nil {
		return cli.UsageError(err)
	}
	retention, err := o.prune.retention()
	if err != nil {
		return err
	}
	lock, err := up.LockData(o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fault.WithHint(fmt.Errorf("listening: %w", err), "another program may have the port: give another address with --listen")
	}
	log := serviceLog(env)
	h, err := o.open(ctx, env, hub.Config{Data: o.data, Channels: o.channels, Poll: o.poll, Spool: o.spool << 20, SiteOnly: o.siteOnly,
		Scope: scope, Retention: hub.Retention(retention), Version: env.Version, Access: env.Access(), Log: log, Now: env.Now})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	address := up.Advertised(l.Addr().String())
	if _, err := fmt.Fprintf(env.Stdout, `the hub is up: %s of fleet %s on https://%s
  vigo token create                                              # then, on a node of its site:
  vigo-agent enroll --server https://%s --token TOKEN
`, h.Enrolment.Name, h.Enrolment.Fleet, address, address); err != nil {
		return errors.Join(err, l.Close(), h.Close())
	}
	if env.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.Run(ctx) })
	group.Go(func() error { return up.Serve(ctx, l, h.Handler(), h.TLS(), log) })
	return errors.Join(group.Wait(), h.Close())
}

// open opens the hub, and enrols it first when it is not yet.
func (o hubOptions) open(ctx context.Context, env *cli.Env, conf hub.Config) (*hub.Hub, error) {
	h, err := hub.Open(ctx, conf)
	if !errors.Is(err, hub.ErrNotEnrolled) || o.server == "" {
		return h, err
	}
	token, err := o.token(env)
	if err != nil {
		return nil, err
	}
	name := o.name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return nil, fault.WithHint(fmt.Errorf("asking for the host name: %w", err), "give it with --name")
		}
	}
	if _, err := cli.Wait(env, "asking "+o.server, func() (hub.Enrolment, error) {
		return hub.Enroll(ctx, o.data, hub.EnrollOptions{Server: o.server, Token: token, Name: name, Version: env.Version, Now: env.Now})
	}); err != nil {
		return nil, err
	}
	return hub.Open(ctx, conf)
}

// token comes from a file or the environment: command lines are seen by everybody on the machine.
func (o hubOptions) token(env *cli.Env) (string, error) {
	if o.tokenFile != "" {
		data, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	}
	if token := env.Getenv("VIGO_TOKEN"); token != "" {
		return token, nil
	}
	return "", cli.UsageError(fault.WithHint(errors.New("no token was given"), "use --token-file or VIGO_TOKEN; `vigo token create --hub` makes one"))
}
