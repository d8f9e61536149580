package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/hook"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/keys"
	"vigo.dev/pkg/up"
)

// authorityFlags say who issues the certificates of nodes, and who is asked before.
type authorityFlags struct{ cert, key, signWith, approveWith string }

func (a *authorityFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.cert, "ca-cert", "", "certificate of an authority of your own, which nodes pin (default: one that is made in DATA/ca)")
	f.StringVar(&a.key, "ca-key", "", "its key: PATH, env:NAME, pkcs11:… or exec:PROGRAM")
	f.StringVar(&a.signWith, "sign-with", "", "program and arguments that sign certificate requests with it, instead of --ca-key")
	f.StringVar(&a.approveWith, "approve-with", "", "program and arguments that say whether a node may have a certificate")
	cobra.CheckErr(c.MarkFlagFilename("ca-cert"))
}

// open opens what the flags name; done is called when it is not used any more.
func (a *authorityFlags) open(ctx context.Context, env *cli.Env, conf *up.Config) (done func() error, err error) {
	done = func() error { return nil }
	switch {
	case a.cert == "" && a.key == "" && a.signWith == "" && a.approveWith == "":
		return done, nil
	case a.cert == "" && (a.key != "" || a.signWith != ""):
		return done, cli.UsageError(errors.New("--ca-key and --sign-with need --ca-cert"))
	case a.cert != "" && (a.key == "") == (a.signWith == ""):
		return done, cli.UsageError(errors.New("--ca-cert needs either --ca-key or --sign-with"))
	case a.cert != "" && conf.Fleet == "":
		return done, fault.WithHint(cli.UsageError(errors.New("--ca-cert needs --fleet")), "the certificate of an authority of your own does not say whose fleet it is")
	}
	o, done, err := keyOptions(env)
	if err != nil {
		return done, err
	}
	if err := a.fill(ctx, o, conf); err != nil {
		return func() error { return nil }, errors.Join(err, done())
	}
	return done, nil
}

func (a *authorityFlags) fill(ctx context.Context, o keys.Options, conf *up.Config) error {
	if a.approveWith != "" {
		p, err := hook.New(a.approveWith, o.Runner)
		if err != nil {
			return fmt.Errorf("--approve-with: %w", err)
		}
		conf.Approve = p.Approve
	}
	if a.cert == "" {
		return nil
	}
	var e identity.External
	var err error
	if e.Cert, err = os.ReadFile(a.cert); err != nil {
		return fmt.Errorf("reading the authority: %w", err)
	}
	if a.signWith != "" {
		p, err := hook.New(a.signWith, o.Runner)
		if err != nil {
			return fmt.Errorf("--sign-with: %w", err)
		}
		e.Sign = p.Sign
	} else {
		signer, err := keys.Open(ctx, a.key, o)
		if err != nil {
			return err
		}
		e.Key = signer.Key()
	}
	conf.Authority = &e
	return nil
}
