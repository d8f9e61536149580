package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/up"
)

// gitFlags are the flags of a program that follows a repository.
type gitFlags struct {
	url, branch string
	rewrite     string
	poll, ttl   time.Duration
	hookFile    string
	forge       forgeFlags
	keys        keyFlags
	secrets     secretFlags
}

func (g *gitFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.url, "git", "", "URL or path of the policy repository")
	f.StringVar(&g.branch, "branch", "main", "branch to follow")
	f.StringVar(&g.rewrite, "allow-rewrite", "", "full hash of a commit to follow although the branch was rewritten")
	f.DurationVar(&g.poll, "poll", 15*time.Second, "time between two looks at the branch")
	ageVar(f, &g.ttl, "pointer-ttl", 7*24*time.Hour, "how long a channel pointer is good for; it is issued anew after a quarter of that")
	f.StringVar(&g.hookFile, "hook-token-file", "", "file with the secret of the webhooks, which make the controller look at once (default: $VIGO_HOOK_TOKEN)")
	g.forge.add(c)
	g.keys.add(c)
	g.secrets.add(c)
	cobra.CheckErr(c.MarkFlagFilename("hook-token-file"))
	cobra.CheckErr(c.MarkFlagRequired("git"))
}

// hookToken reads the secret from a file or the environment: command lines are seen by everybody on the machine.
func (g *gitFlags) hookToken(env *cli.Env) (string, error) {
	if g.hookFile == "" {
		return env.Getenv("VIGO_HOOK_TOKEN"), nil
	}
	return secretFile("the hook token", g.hookFile)
}

// secretFile reads a secret that a file holds alone.
func secretFile(what, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("reading %s: %s is empty", what, path)
	}
	return secret, nil
}

type controllerOptions struct {
	gitFlags
	data, registry, listen string
	report                 string
	plain                  bool
	prune                  pruneFlags
}

func newControllerCommand(env *cli.Env) *cobra.Command {
	var o controllerOptions
	c := &cobra.Command{
		Use:   "controller --data DIR --git URL --registry HOST/REPOSITORY",
		Short: "Follow a policy repository: compile, sign and publish every commit",
		Long: `Follow a policy repository: compile every commit, build its bundle, sign it, push it, and publish the signed channel
pointers. The signing keys are in DATA/keys, made by ` + "`vigo trust init`" + ` or at the first start, or where --bundle-key and
--channel-key say; DATA/keys/root.json must list them. The password for the registry comes
from VIGO_REGISTRY_USER and VIGO_REGISTRY_PASSWORD, or from --registry-config. With --report the report service is told
what is published, and which commit could not be.`,
		Example: `  vigo controller --data /var/lib/vigo --git https://git.example.com/policy.git \
    --registry registry.example.com/vigo/acme --report controller.json`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return runController(c.Context(), env, o) },
	}
	o.add(c)
	f := c.Flags()
	f.StringVar(&o.data, "data", "/var/lib/vigo", "data folder")
	f.StringVar(&o.registry, "registry", "", "registry and repository to publish to")
	f.StringVar(&o.report, "report", "", "file that says how to reach the report service: a copy of controller.json in its data folder")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8444", "address of health, metrics and the webhook")
	o.prune.add(c, 0, "")
	f.BoolVar(&o.plain, "plain-http", false, "reach the registry without TLS")
	cobra.CheckErr(c.MarkFlagRequired("registry"))
	return c
}

func runController(ctx context.Context, env *cli.Env, o controllerOptions) (err error) {
	log := serviceLog(env)
	retention, err := o.prune.retention()
	if err != nil {
		return err
	}
	var reports *api.OperatorClient
	if o.report != "" {
		conf, err := readOperatorConfig(o.report)
		if err != nil {
			return err
		}
		if reports, err = conf.client(env, o.report); err != nil {
			return err
		}
	}
	lock, err := up.LockData(o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	hook, err := o.hookToken(env)
	if err != nil {
		return err
	}
	host, err := o.forge.open(env, o.url)
	if err != nil {
		return err
	}
	where, done, err := o.keys.options(env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	keys, err := up.Keys(ctx, o.data, where)
	if err != nil {
		return err
	}
	opener, err := o.secrets.open(ctx, env, o.data)
	if err != nil {
		return err
	}
	sealer := &controller.Sealer{Opener: opener, Language: language()}
	var judge controller.Judge
	if reports != nil {
		sealer.Roster, judge = reports, reports
	}
	store, err := ocistore.Open(ctx, o.registry, ocistore.Options{PlainHTTP: o.plain, Access: env.Access(),
		Username: env.Getenv("VIGO_REGISTRY_USER"), Password: env.Getenv("VIGO_REGISTRY_PASSWORD")})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fault.WithHint(fmt.Errorf("listening: %w", err), "another program may have the port: give another address with --listen")
	}
	log.Info("listening", "address", l.Addr().String())
	teller := up.NewTeller()
	p, err := up.NewPublisher(up.PublisherConfig{Secrets: sealer, Judge: judge, Data: o.data, Keys: keys, Git: o.url, Branch: o.branch, AllowRewrite: o.rewrite, Store: store, Language: language(),
		Poll: o.poll, PointerTTL: o.ttl, HookToken: hook, Forge: host, Forges: elsewhere(host), Retention: retention, Version: env.Version, Listener: teller, Log: log, Now: env.Now})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	if reports != nil {
		group.Go(func() error { teller.Run(ctx, reports, p.Status, log); return nil })
	} else {
		log.Warn("no report service is told what is published, and no secrets are sealed", "hint", "--report FILE names one")
	}
	group.Go(func() error { return p.Run(ctx) })
	// Without TLS: it is for loopback, or behind a proxy.
	group.Go(func() error { return up.Serve(ctx, l, p.Handler(), nil, log) })
	return errors.Join(group.Wait(), p.Close())
}

func serviceLog(env *cli.Env) *slog.Logger {
	return slog.New(slog.NewTextHandler(env.Stderr, nil))
}
