package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/keys"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/trust"
)

// keyFlags say where a controller has its keys.
type keyFlags struct{ bundle, channel string }

func (k *keyFlags) add(c *cobra.Command) {
	const usage = "%s: PATH, env:NAME, pkcs11:… or exec:PROGRAM (default: DATA/keys/%s)"
	c.Flags().StringVar(&k.bundle, "bundle-key", "", fmt.Sprintf(usage, "key that signs bundles", "bundle.key"))
	c.Flags().StringVar(&k.channel, "channel-key", "", fmt.Sprintf(usage, "key that signs channel pointers", "channel.key"))
}

// options returns what opening the keys takes, and what to call when they are not used any more.
func (k *keyFlags) options(env *cli.Env) (controller.KeyringOptions, func() error, error) {
	o, done, err := keyOptions(env)
	return controller.KeyringOptions{Bundle: k.bundle, Channel: k.channel, Keys: o, Now: env.Now}, done, err
}

// keyOptions lets keys be opened that are kept by other programs.
func keyOptions(env *cli.Env) (keys.Options, func() error, error) {
	m, err := machine.New(machine.Options{Now: env.Now})
	if err != nil {
		return keys.Options{}, nil, err
	}
	return keys.Options{Getenv: env.Getenv, Runner: m.Host().Run}, m.Close, nil
}

// withKey calls do with the key that ref names; with nil when ref is empty.
func withKey(ctx context.Context, env *cli.Env, ref string, do func(*trust.Signer) error) (err error) {
	if ref == "" {
		return do(nil)
	}
	o, done, err := keyOptions(env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	signer, err := keys.Open(ctx, ref, o)
	if err != nil {
		return err
	}
	return do(signer)
}

// readPublicKey reads a public key in PEM.
func readPublicKey(path string) (trust.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return trust.PublicKey{}, fmt.Errorf("reading a public key: %w", err)
	}
	public, err := trust.ParsePublicKey(data)
	if err != nil {
		return trust.PublicKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return public, nil
}
