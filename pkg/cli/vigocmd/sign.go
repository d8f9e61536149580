package vigocmd

import (
	"context"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/trust"
)

func sign(ctx context.Context, env *cli.Env, signer *trust.Signer, store bundle.Store, d bundle.Descriptor) error {
	sig, err := signer.SignManifest(ctx, d)
	if err != nil {
		return err
	}
	_, err = trust.Attach(ctx, store, d, sig, env.Now())
	return err
}
