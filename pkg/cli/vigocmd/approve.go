package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

type approveOptions struct {
	promotionFlags
	digest string
}

func newApproveCommand(env *cli.Env) *cobra.Command {
	var o approveOptions
	c := &cobra.Command{
		Use:   "approve CHANNEL --trust-root ROOT [--digest DIGEST --key KEY] [--registry REGISTRY/REPOSITORY]",
		Short: "Show what is asked for a channel and who has approved it, or approve it",
		Long: `Show what is asked for a channel with vigo promote, and who has approved it. With --key and --digest it is approved: --digest says
what was looked at, so that nothing else is signed that somebody has put in its place. The signature is stored beside the bundle
and goes with it to every mirror, where nodes check it. The bundle itself must be signed and meant for the channel. The
registry is found and entered as by vigo promote.

EXIT STATUS
  0  approved by enough people; with --key: signed    4  not by enough
  5  the bundle is refused                            1  nothing is asked, or it failed`,
		Example: `  vigo approve production --trust-root root.json
  vigo approve production --registry registry.example.com/vigo/acme --trust-root root.json --digest sha256:5a0f… --key ben.key`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return runApprove(c.Context(), env, o, args[0]) },
	}
	c.Flags().StringVar(&o.digest, "digest", "", "digest of the bundle that is approved, as this command prints it")
	o.add(c)
	return c
}

func runApprove(ctx context.Context, env *cli.Env, o approveOptions, channel string) error {
	if (o.key == "") != (o.digest == "") {
		return cli.UsageError(fault.WithHint(errors.New("--key and --digest belong together"), "without both, what is asked is shown"))
	}
	return withKey(ctx, env, o.key, func(signer *trust.Signer) error {
		state, err := cli.Wait(env, "looking at what is asked for "+channel, func() (promotion, error) { return approve(ctx, env, o, channel, signer) })
		if err != nil {
			return denied(cli.Refused(err))
		}
		if err := state.show(env, o.format); err != nil {
			return err
		}
		if signer == nil && !state.Ready {
			return cli.Quiet(fault.Refused)
		}
		return nil
	})
}

// approve returns the state of what is asked, after signing it when there is a signer.
func approve(ctx context.Context, env *cli.Env, o approveOptions, channel string, signer *trust.Signer) (promotion, error) {
	var none promotion
	d, err := o.open(ctx, env, channel)
	if err != nil {
		return none, err
	}
	r, payload, err := trust.OpenRequest(ctx, d.store, "", channel)
	if errors.Is(err, bundle.ErrNotFound) {
		return none, fault.WithHint(fmt.Errorf("nothing is asked for channel %q", channel), "vigo promote DIGEST|COMMIT|CHANNEL --to "+channel)
	}
	if err != nil {
		return none, err
	}
	target := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: r.Bundle.Digest, Size: r.Bundle.Size}
	verified, err := d.Bundle(ctx, d.store, target, r.Fleet, channel)
	if err != nil {
		return none, err
	}
	if commit := verified.Config.Source.Commit; commit != r.Bundle.Commit {
		return none, &trust.Refusal{Name: bundle.Conflicting, Detail: fmt.Sprintf("the request names commit %.64q, the bundle was built from %.64q", r.Bundle.Commit, commit), What: r.Bundle.Digest}
	}
	state, err := d.state(ctx, r, payload)
	if err != nil || signer == nil {
		return state, err
	}
	switch {
	case r.Bundle.Digest != o.digest:
		return none, fmt.Errorf("what is asked is %s, not %s: look again", r.Bundle.Digest, o.digest)
	case state.Stale:
		return none, fault.WithHint(fmt.Errorf("channel %q has moved since this was asked", channel), "ask again with vigo promote")
	case slices.Contains(state.Approved, signer.Public().ID()):
		return state, nil
	}
	if err := d.sign(ctx, r, signer); err != nil {
		return none, err
	}
	return d.state(ctx, r, payload)
}
