package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/hub"
	"vigo.dev/pkg/trust"
)

// carryOptions say what is carried from one store to another, and whom to trust.
type carryOptions struct {
	fleet, root string
	channels    []string
	store       storeFlags
	format      cli.Format
}

// carried is what a store shows afterwards.
type carried struct {
	To       string            `json:"to"`
	Channels map[string]string `json:"channels"` // name to pointer
}

func (o *carryOptions) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.fleet, "fleet", "", "name of the fleet")
	f.StringVar(&o.root, "trust-root", "", "root document that the nodes of the site pin; newer ones are followed and carried along")
	f.StringArrayVar(&o.channels, "channel", []string{"stable"}, "channel to carry; may be repeated")
	o.store.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagRequired("fleet"))
	cobra.CheckErr(c.MarkFlagRequired("trust-root"))
	cobra.CheckErr(c.MarkFlagFilename("trust-root", "json"))
}

func newExportCommand(env *cli.Env) *cobra.Command {
	var o carryOptions
	c := &cobra.Command{
		Use:   "export REGISTRY/REPOSITORY DIR",
		Short: "Put what a site needs onto a stick, verified",
		Long: `Put what a site needs into a folder, as an OCI layout: for its channels the newest pointer, the bundles it names, all
signatures and approvals, and the root documents since the one that is given. It is what vigo hub does over a line, and as
strict: what agents would refuse is not carried, and what is in the folder is never replaced by something older. Only what
the folder lacks is copied.

A pointer is good until it expires: the --pointer-ttl of the controller must cover the way.

EXIT STATUS
  0  done    1  it could not be done    5  refused: something does not verify, or is older than what is there`,
		Example: `  vigo export registry.example.com/vigo/acme /media/stick --fleet acme --trust-root root.json
  vigo export registry.example.com/vigo/acme /media/stick --fleet acme --trust-root root.json --channel stable --channel early -o json`,
		Args: cli.Args(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			return runCarry(c.Context(), env, o, args[0], "oci-layout:"+args[1])
		},
	}
	o.add(c)
	return c
}

func newImportCommand(env *cli.Env) *cobra.Command {
	var o carryOptions
	c := &cobra.Command{
		Use:   "import DIR REGISTRY/REPOSITORY",
		Short: "Put what is on a stick into the registry of a site, verified",
		Long: `Put what vigo export left in a folder into the registry of a site. All of it is verified again before anything is
published, and the pointers come last: a stick that was altered, or is older than what the site has, changes nothing.

EXIT STATUS
  0  done    1  it could not be done    5  refused: something does not verify, or is older than what the site has`,
		Example: "  vigo import /media/stick registry.site.example.com/vigo/acme --fleet acme --trust-root root.json",
		Args:    cli.Args(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := os.Stat(filepath.Join(args[0], "oci-layout")); errors.Is(err, fs.ErrNotExist) {
				return fault.WithHint(fmt.Errorf("%s holds no OCI layout", args[0]), "`vigo export` makes one")
			}
			return runCarry(c.Context(), env, o, "oci-layout:"+args[0], args[1])
		},
	}
	o.add(c)
	return c
}

func (o *carryOptions) open(ctx context.Context, env *cli.Env, ref string) (bundle.Store, error) {
	r := parseReference(ref)
	if r.tag != "" {
		return nil, cli.UsageError(fmt.Errorf("%q names a tag or a digest, not a repository", ref))
	}
	return o.store.open(ctx, env, r)
}

// runCarry is one look of a mirror that keeps its memory only as long as it takes: what the target shows is its memory.
func runCarry(ctx context.Context, env *cli.Env, o carryOptions, from, to string) (err error) {
	data, err := os.ReadFile(o.root)
	if err != nil {
		return fmt.Errorf("reading the trust root: %w", err)
	}
	root, err := trust.ParseRoot(data)
	if err != nil {
		return fmt.Errorf("reading the trust root %s: %w", o.root, err)
	}
	source, err := o.open(ctx, env, from)
	if err != nil {
		return err
	}
	target, err := o.open(ctx, env, to)
	if err != nil {
		return err
	}
	state, err := os.MkdirTemp("", "vigo-carry-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	m, err := hub.NewMirror(hub.MirrorConfig{Upstream: source, Local: target, Fleet: o.fleet, Channels: o.channels, Root: root,
		State: state, Log: slog.New(slog.DiscardHandler), Now: env.Now})
	if err != nil {
		return err
	}
	_, err = cli.Wait(env, "carrying to "+to, func() (struct{}, error) {
		if err := m.Recall(ctx); err != nil {
			return struct{}{}, denied(err)
		}
		return struct{}{}, denied(m.Sync(ctx))
	})
	if err != nil {
		return cli.Refused(fmt.Errorf("carrying to %s: %w", to, err))
	}
	return showCarried(env, o.format, carried{To: to, Channels: m.Versions()})
}

func showCarried(env *cli.Env, f cli.Format, c carried) error {
	if done, err := env.Document(f, c); done {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Channels)) {
		fmt.Fprintf(env.Stdout, "%s shows %s of channel %s\n", c.To, c.Channels[name], name)
	}
	return nil
}
