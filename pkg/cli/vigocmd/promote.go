package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

type promoteOptions struct {
	promotionFlags
	to, note string
}

func newPromoteCommand(env *cli.Env) *cobra.Command {
	var o promoteOptions
	c := &cobra.Command{
		Use:   "promote DIGEST|COMMIT|CHANNEL --to CHANNEL --trust-root ROOT [--registry REGISTRY/REPOSITORY]",
		Short: "Ask that a channel be given a bundle, for people to approve",
		Long: `Ask that a channel be given a bundle: one named by its digest, by its commit (12 digits or more), or the one that another
channel runs. The request is put into the registry, in place of the one before; enough of the people whom the root document
lists as approval/CHANNEL must approve it (vigo approve), then the controller publishes it, and nodes check the approvals again.
With --key it is approved at once.

Without --registry it is the registry inside of the vigo up that the operator configuration names, entered with the token in
it, which must be of an operator or admin. User and password of another registry come from VIGO_REGISTRY_USER and
VIGO_REGISTRY_PASSWORD.

EXIT STATUS
  0  asked    5  the bundle is refused    1  it could not be asked, or makes no sense`,
		Example: `  vigo promote staging --to production --trust-root root.json
  vigo promote 9fceb02d0ae5 --to production --note 'release 14' --key ada.key --registry registry.example.com/vigo/acme --trust-root root.json`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return runPromote(c.Context(), env, o, args[0]) },
	}
	c.Flags().StringVar(&o.to, "to", "", "channel to give it to")
	c.Flags().StringVar(&o.note, "note", "", "why, for those who are to approve")
	o.add(c)
	cobra.CheckErr(c.MarkFlagRequired("to"))
	return c
}

func runPromote(ctx context.Context, env *cli.Env, o promoteOptions, what string) error {
	return withKey(ctx, env, o.key, func(signer *trust.Signer) error {
		state, err := cli.Wait(env, "asking for "+what, func() (promotion, error) { return promote(ctx, env, o, what, signer) })
		if err != nil {
			return denied(cli.Refused(err))
		}
		return state.show(env, o.format)
	})
}

func promote(ctx context.Context, env *cli.Env, o promoteOptions, what string, signer *trust.Signer) (promotion, error) {
	var none promotion
	d, err := o.open(ctx, env, o.to)
	if err != nil {
		return none, err
	}
	target, err := d.find(ctx, what)
	if err != nil {
		return none, err
	}
	verified, err := d.Bundle(ctx, d.store, target, "", o.to)
	if err != nil {
		return none, err
	}
	fleet := verified.Config.Fleet
	now, err := d.current(ctx, fleet, o.to)
	if err != nil {
		return none, err
	}
	if now.Digest == target.Digest {
		// It may be asked for what runs when a new root asks for approvals that it does not have.
		if _, err := d.Approved(ctx, d.store, target, fleet, o.to); err == nil {
			return none, fmt.Errorf("channel %q runs %s already", o.to, target.Digest)
		}
	}
	r := trust.Request{
		Fleet: fleet, Channel: o.to, Bundle: bundle.Target{Digest: target.Digest, Size: target.Size, Commit: verified.Config.Source.Commit},
		From: now, Requested: env.Now().UTC().Truncate(time.Second), Note: strings.TrimSpace(o.note),
	}
	if signer != nil {
		if err := d.counts(o.to, signer); err != nil { // before anything is asked
			return none, err
		}
	}
	if err := trust.PublishRequest(ctx, d.store, r); err != nil {
		return none, err
	}
	if signer != nil {
		if err := d.sign(ctx, r, signer); err != nil {
			return none, err
		}
	}
	payload, err := r.Payload()
	if err != nil {
		return none, err
	}
	return d.state(ctx, r, bundle.DigestOf(payload))
}

var isCommit = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// find resolves a digest, a commit or a channel.
func (d *desk) find(ctx context.Context, what string) (bundle.Descriptor, error) {
	switch {
	case strings.HasPrefix(what, "sha256:"):
		found, err := d.store.Resolve(ctx, what)
		return found, missingBundle(what, err)
	case isCommit.MatchString(what):
		found, err := d.store.Resolve(ctx, controller.BundleTag(what))
		return found, missingBundle("of commit "+what, err)
	}
	p, _, err := d.Pointer(ctx, d.store, "", what)
	if errors.Is(err, bundle.ErrNotFound) {
		return bundle.Descriptor{}, fault.WithHint(fmt.Errorf("there is no channel %q", what), "name a channel, a digest (sha256:…), or 12 digits or more of a commit")
	}
	return bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}, err
}

func missingBundle(what string, err error) error {
	if errors.Is(err, bundle.ErrNotFound) {
		return fault.WithHint(fmt.Errorf("there is no bundle %s: %w", what, err), "the controller makes one of every commit of its branch that changes the policy")
	}
	return err
}
