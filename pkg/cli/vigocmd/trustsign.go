package vigocmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/ceremony"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/up"
)

func newTrustSignCommand(env *cli.Env) *cobra.Command {
	var key, after string
	var format cli.Format
	c := &cobra.Command{
		Use:   "sign ROOT-N.json --key KEY",
		Short: "Sign a proposed root with a root key",
		Long: `Sign a proposed root with a root key, after looking with vigo trust show at what it changes. The signature is written beside it,
as root-N.KEY.sig: carry the folder to the next signer, or bring the signatures together in one. It works without a network.`,
		Example: `  vigo trust sign root-2.json --key ada.key
  vigo trust sign root-2.json --key 'exec:our-kms ada'`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := ceremony.Load(args[0], after)
			if err != nil {
				return err
			}
			return withKey(c.Context(), env, key, func(signer *trust.Signer) error {
				name, err := p.Sign(c.Context(), signer)
				if err != nil {
					return err
				}
				if format == cli.Table {
					fmt.Fprintln(env.Stderr, "the signature is in "+name)
				}
				return showProposal(env, format, p)
			})
		},
	}
	c.Flags().StringVar(&key, "key", "", "private root key: PATH, env:NAME, pkcs11:… or exec:PROGRAM")
	c.Flags().StringVar(&after, "after", "", "root document in force (default: root-(N-1).json beside the proposal)")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagRequired("key"))
	return c
}

type trustPublishOptions struct {
	data, registry, after string
	store                 storeFlags
	format                cli.Format
}

func newTrustPublishCommand(env *cli.Env) *cobra.Command {
	var o trustPublishOptions
	c := &cobra.Command{
		Use:   "publish ROOT-N.json --data DIR|--registry REGISTRY/REPOSITORY",
		Short: "Put a root in force that enough root keys have signed",
		Long: `Put a root in force that enough root keys of the one before it and of its own have signed.

With --data it becomes the root of the controller with that data folder, which must be stopped meanwhile; when it is started,
with keys that the new root lists, it publishes the root, signs the newest bundle anew, and begins a new epoch of channel
pointers. That is the way for the registry inside of ` + "`vigo up`" + ` too. With --registry the root is put into a registry as
root-N, where agents find it, and nothing else happens: for a controller on another machine, whose turn comes after it.

EXIT STATUS
  0  published    5  not enough keys have signed    1  it could not be done`,
		Example: `  vigo trust publish root-2.json --data /var/lib/vigo
  vigo trust publish root-2.json --registry registry.example.com/vigo/acme`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return runTrustPublish(c, env, o, args[0]) },
	}
	c.Flags().StringVar(&o.data, "data", "", "data folder of the controller")
	c.Flags().StringVar(&o.registry, "registry", "", "registry and repository, or oci-layout:DIR")
	c.Flags().StringVar(&o.after, "after", "", "root document in force (default: root-(N-1).json beside the proposal)")
	o.store.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func runTrustPublish(c *cobra.Command, env *cli.Env, o trustPublishOptions, path string) error {
	if (o.data == "") == (o.registry == "") {
		return cli.UsageError(errors.New("one of --data and --registry is needed"))
	}
	p, err := ceremony.Load(path, o.after)
	if err != nil {
		return err
	}
	state, err := p.State()
	if err != nil {
		return err
	}
	if !state.Ready {
		err := errors.New("the proposal lacks signatures")
		for _, side := range state.Sides {
			if side.Missing > 0 {
				err = fmt.Errorf("%w; root keys of %d: %s", err, side.Version, missing(side))
			}
		}
		return fault.WithCode(fault.WithHint(err, "sign it with vigo trust sign"), fault.NotVerified)
	}
	where := o.registry
	if o.data != "" {
		where = o.data
		_, err = up.InstallRoot(o.data, p.Signatures)
	} else {
		ref := parseReference(o.registry)
		store, openErr := o.store.open(c.Context(), env, ref)
		if openErr != nil {
			return openErr
		}
		_, err = p.Old.PublishSuccessor(c.Context(), store, p.Signatures)
	}
	if err != nil {
		return denied(cli.Refused(err))
	}
	if done, err := env.Document(o.format, map[string]any{"version": state.Version, "where": where}); done {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "root %d is published to %s\n", state.Version, where)
	return err
}
