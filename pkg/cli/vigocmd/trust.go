package vigocmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/ceremony"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/up"
)

func newTrustCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use: "trust", Short: "Make, show and change the keys that a fleet trusts",
		Long: `Make, show and change the keys that a fleet trusts. They are listed in root documents, which count up: agents start with
the one they were given at enrolment and follow each that comes after it, when enough root keys of both have signed it.

  vigo trust rotate root.json bundle --make bundle-2.key     # proposes root-2.json
  vigo trust sign root-2.json --key ada.key                  # each owner of a root key, on a machine of their own
  vigo trust show root-2.json                                # who has signed, and who is missing
  vigo trust publish root-2.json --data /var/lib/vigo        # then start the controller with the new keys`,
	}
	c.AddCommand(newTrustInitCommand(env), newTrustShowCommand(env), newTrustAddCommand(env), newTrustRemoveCommand(env), newTrustRotateCommand(env),
		newTrustSignCommand(env), newTrustPublishCommand(env), newTrustExportCommand(env))
	return c
}

type trustInitOptions struct {
	keys      keyFlags
	data      string
	roots     []string
	threshold int
	format    cli.Format
}

func newTrustInitCommand(env *cli.Env) *cobra.Command {
	var o trustInitOptions
	c := &cobra.Command{
		Use:   "init --data DIR",
		Short: "Make the signing keys of a controller, and print the path of its root document",
		Long: `Make the signing keys of a controller in DATA/keys, unless they are there or named, and print the path of the root document,
which says what nodes trust. Only the controller needs the keys. The report service is given the root document
(` + "`vigo report --trust-root FILE`" + `), which holds no secret.

The keys that may change the root later are best not on this machine at all: name their public halves with --root-key. Without
one DATA/keys/root.key is made; move it into a safe.`,
		Example: `  vigo trust init --data /var/lib/vigo
  vigo trust init --data /var/lib/vigo --root-key ada.pub --root-key ben.pub --root-key cleo.pub --root-threshold 2 \
    --bundle-key 'pkcs11:token=vigo;object=bundle?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/vigo/pin'`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return runTrustInit(c, env, o) },
	}
	c.Flags().StringVar(&o.data, "data", "", "data folder of the controller")
	c.Flags().StringArrayVar(&o.roots, "root-key", nil, "public key (PEM) of somebody who may sign the next root; may be repeated")
	c.Flags().IntVar(&o.threshold, "root-threshold", 1, "how many of them must sign it")
	o.keys.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagRequired("data"))
	return c
}

func runTrustInit(c *cobra.Command, env *cli.Env, o trustInitOptions) (err error) {
	where, done, err := o.keys.options(env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	for _, path := range o.roots {
		public, err := readPublicKey(path)
		if err != nil {
			return err
		}
		where.Root = append(where.Root, public)
	}
	where.RootThreshold = o.threshold
	lock, err := up.LockData(o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if _, err := up.Keys(c.Context(), o.data, where); err != nil {
		return err
	}
	path := filepath.Join(o.data, "keys", "root.json")
	root, err := ceremony.ReadRoot(path)
	if err != nil {
		return err
	}
	if done, err := env.Document(o.format, rootDocument{path, ceremony.StateOf(root)}); done {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, path)
	return err
}

func newTrustExportCommand(env *cli.Env) *cobra.Command {
	var out string
	var format cli.Format
	c := &cobra.Command{
		Use:   "export ROOT --out DIR",
		Short: "Write what others need to verify: the root document and the public keys",
		Long: `Write what others need to verify: root.json, the public key of each role as ROLE-ID.pub, and cosign.pub when one key signs
bundles, for ` + "`cosign verify --key cosign.pub --insecure-ignore-tlog REF`" + `. Nothing of it is secret.`,
		Example: "  vigo trust export /var/lib/vigo/keys/root.json --out public",
		Args:    cli.Args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			root, err := ceremony.ReadRoot(args[0])
			if err != nil {
				return err
			}
			files, err := exportRoot(root, out)
			if err != nil {
				return err
			}
			if done, err := env.Document(format, map[string]any{"files": files}); done {
				return err
			}
			for _, name := range files {
				fmt.Fprintln(env.Stdout, name)
			}
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder to write to; made when missing")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagRequired("out"))
	return c
}

func exportRoot(root trust.Root, dir string) (files []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		err = errors.Join(err, atomicfile.Write(path, data, 0o644))
		files = append(files, path)
	}
	document, marshalErr := root.Marshal()
	if marshalErr != nil {
		return nil, marshalErr
	}
	write("root.json", document)
	state := ceremony.StateOf(root)
	for _, role := range state.Roles {
		for _, id := range role.Keys {
			if root.Keys[id].Identity != nil {
				continue // it is in the root document, with what verifies it
			}
			write(fileWord(role.Name)+"-"+ceremony.Short(id)+".pub", root.Keys[id].Public.PEM())
		}
		if role.Name == trust.RoleBundle && len(role.Keys) == 1 && root.Keys[role.Keys[0]].Identity == nil {
			write("cosign.pub", root.Keys[role.Keys[0]].Public.PEM())
		}
	}
	if len(root.TrustedRoot) > 0 {
		write("trusted_root.json", root.TrustedRoot)
	}
	return files, err
}
