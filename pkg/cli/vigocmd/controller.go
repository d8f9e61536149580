package vigocmd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/up"
)

// gitFlags are the flags of a program that follows a repository.
type gitFlags struct {
	url, branch string
	poll, ttl   time.Duration
	hook        string
}

func (g *gitFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.url, "git", "", "URL or path of the policy repository")
	f.StringVar(&g.branch, "branch", "main", "branch to follow")
	f.DurationVar(&g.poll, "poll", 15*time.Second, "time between two looks at the branch")
	f.DurationVar(&g.ttl, "pointer-ttl", 7*24*time.Hour, "how long a channel pointer is good for; it is issued anew after a quarter of that")
	f.StringVar(&g.hook, "hook-token", "", "token with which POST /hooks/nudge makes the controller look at once (default $VIGO_HOOK_TOKEN)")
	cobra.CheckErr(c.MarkFlagRequired("git"))
}

func (g *gitFlags) hookToken(env *cli.Env) string {
	if g.hook != "" {
		return g.hook
	}
	return env.Getenv("VIGO_HOOK_TOKEN")
}

type controllerOptions struct {
	gitFlags
	data, registry, listen string
	plain                  bool
	conn                   connection
}

func newControllerCommand(env *cli.Env) *cobra.Command {
	var o controllerOptions
	c := &cobra.Command{
		Use:   "controller --data DIR --git URL --registry HOST/REPOSITORY",
		Short: "Follow a policy repository: compile, sign and publish every commit",
		Long: `Follow a policy repository: compile every commit, build its bundle, sign it, push it, and publish the signed channel
pointers. The password for the registry comes from VIGO_REGISTRY_USER and VIGO_REGISTRY_PASSWORD. With an operator configuration
the report service is told what is published.`,
		Example: "  vigo controller --data /var/lib/vigo --git https://git.example.com/policy.git --registry registry.example.com/vigo/acme",
		Args:    cli.Args(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return runController(c.Context(), env, o) },
	}
	o.add(c)
	o.conn.flags(c)
	f := c.Flags()
	f.StringVar(&o.data, "data", "/var/lib/vigo", "data folder")
	f.StringVar(&o.registry, "registry", "", "registry and repository to publish to")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8444", "address of health, metrics and the webhook")
	f.BoolVar(&o.plain, "plain-http", false, "reach the registry without TLS")
	cobra.CheckErr(c.MarkFlagRequired("registry"))
	return c
}

func runController(ctx context.Context, env *cli.Env, o controllerOptions) error {
	log := serviceLog(env)
	keys, err := controller.OpenKeyring(filepath.Join(o.data, "keys"), env.Now)
	if err != nil {
		return err
	}
	store, err := ocistore.Open(ctx, o.registry, ocistore.Options{PlainHTTP: o.plain,
		Username: env.Getenv("VIGO_REGISTRY_USER"), Password: env.Getenv("VIGO_REGISTRY_PASSWORD")})
	if err != nil {
		return err
	}
	teller := up.NewTeller()
	p, err := up.NewPublisher(up.PublisherConfig{Data: o.data, Keys: keys, Git: o.url, Branch: o.branch, Store: store, Language: language(),
		Poll: o.poll, PointerTTL: o.ttl, HookToken: o.hookToken(env), Listener: teller, Log: log, Now: env.Now})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if client, err := o.conn.open(env); err == nil {
		group.Go(func() error { teller.Run(ctx, client, log); return nil })
	} else {
		log.Warn("the report service is not told of the channels", "err", err, "hint", fault.Hints(err))
	}
	group.Go(func() error { return p.Run(ctx) })
	group.Go(func() error { return serve(ctx, log, o.listen, p.Handler()) })
	return errors.Join(group.Wait(), p.Close())
}

// serve answers without TLS until ctx ends; it is for loopback or behind a proxy.
func serve(ctx context.Context, log *slog.Logger, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Info("listening", "address", l.Addr().String())
	return up.Serve(ctx, l, h, nil)
}

func serviceLog(env *cli.Env) *slog.Logger {
	return slog.New(slog.NewTextHandler(env.Stderr, nil))
}
