package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ceremony"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

// promotionFlags are the flags of the commands with which people agree on what a channel is given.
type promotionFlags struct {
	registry, root, key string
	store               storeFlags
	format              cli.Format
}

func (o *promotionFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.registry, "registry", "", "registry and repository of the fleet (default: those inside of the `vigo up` of which you are an operator)")
	f.StringVar(&o.root, "trust-root", "", "root document that says who approves; newer ones in the registry are followed")
	f.StringVar(&o.key, "key", "", "private key to approve with: PATH, env:NAME, pkcs11:… or exec:PROGRAM")
	o.store.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagRequired("trust-root"))
}

// A desk is where people agree: the registry of a fleet, and the root document that says whose word counts.
type desk struct {
	env   *cli.Env
	store bundle.Store
	root  trust.Root
	*trust.Verifier
}

// open reaches the desk of a channel that people hold.
func (o *promotionFlags) open(ctx context.Context, env *cli.Env, channel string) (*desk, error) {
	d, err := o.reach(ctx, env)
	if err != nil {
		return nil, err
	}
	if !d.root.Gated(channel) {
		return nil, fault.WithHint(fmt.Errorf("root %d asks nobody to approve what channel %q is given", d.root.Version, channel),
			fmt.Sprintf("the controller gives it every commit; to ask people, list their keys: vigo trust add-key ROOT %s PUB", trust.RoleApproval(channel)))
	}
	return d, nil
}

// reach opens the registry and the newest root document.
func (o *promotionFlags) reach(ctx context.Context, env *cli.Env) (*desk, error) {
	if o.registry == "" {
		own, err := ownRegistry(env)
		if err != nil {
			return nil, err
		}
		o.registry = own
	}
	ref := parseReference(o.registry)
	if ref.tag != "" {
		return nil, cli.UsageError(fmt.Errorf("--registry %q names a tag, not a repository", o.registry))
	}
	root, err := ceremony.ReadRoot(o.root)
	if err != nil {
		return nil, err
	}
	store, err := o.store.open(ctx, env, ref)
	if err != nil {
		return nil, err
	}
	if root, err = root.Newest(ctx, store); err != nil {
		return nil, denied(cli.Refused(fmt.Errorf("following the root document: %w", err)))
	}
	return &desk{env, store, root, trust.NewVerifier(root, env.Now)}, nil
}

// promotion is what is asked for a channel and who has agreed, as a document.
type promotion struct {
	trust.Request
	Needs    int      `json:"needs"`
	Approved []string `json:"approved"` // IDs of keys
	Open     []string `json:"open"`     // IDs of keys that have not
	Ready    bool     `json:"ready"`    // enough have
	Done     bool     `json:"done"`     // the channel has it
	Stale    bool     `json:"stale"`    // the channel has moved since it was asked
}

// current is where a channel is. A pointer that the root does not trust is none: the channel is before the first of the
// root's epoch.
func (d *desk) current(ctx context.Context, fleet, channel string) (trust.Base, error) {
	p, _, err := d.Pointer(ctx, d.store, fleet, channel)
	switch {
	case errors.Is(err, bundle.ErrNotFound):
		return trust.Base{}, nil
	case errors.As(err, new(*trust.Refusal)):
		return trust.Base{Epoch: d.root.Epoch()}, nil
	}
	return trust.Base{Epoch: p.Epoch, Seq: p.Seq, Digest: p.Stable.Digest}, err
}

// state says who has agreed to a request.
func (d *desk) state(ctx context.Context, r trust.Request, payload string) (promotion, error) {
	role := d.root.Roles[trust.RoleApproval(r.Channel)]
	s := promotion{Request: r, Needs: role.Threshold, Approved: []string{}, Open: []string{}}
	target := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: r.Bundle.Digest, Size: r.Bundle.Size}
	found, err := d.Approvals(ctx, d.store, target, r.Fleet, r.Channel)
	if err != nil {
		return s, err
	}
	for _, a := range found {
		if a.Payload == payload {
			s.Approved = a.Keys
		}
	}
	for _, id := range role.Keys {
		if !slices.Contains(s.Approved, id) {
			s.Open = append(s.Open, id)
		}
	}
	s.Ready = len(s.Approved) >= s.Needs
	now, err := d.current(ctx, r.Fleet, r.Channel)
	if now.Seq > 0 && now.Epoch == d.root.Epoch() { // before, the controller begins anew
		s.Done = now.Digest == r.Bundle.Digest
		s.Stale = !s.Done && now.Digest != r.From.Digest
	}
	return s, err
}

// counts refuses a key whose approval would not count.
func (d *desk) counts(channel string, signer *trust.Signer) error {
	err := d.root.Allows(trust.RoleApproval(channel), signer.Public().ID(), d.env.Now())
	return fault.WithHint(err, "vigo trust show prints whose approval counts")
}

// sign approves a request with a key that counts.
func (d *desk) sign(ctx context.Context, r trust.Request, signer *trust.Signer) error {
	if err := d.counts(r.Channel, signer); err != nil {
		return err
	}
	approval, err := signer.Approve(ctx, r)
	if err != nil {
		return err
	}
	return trust.AttachApproval(ctx, d.store, r, approval, d.env.Now())
}

// show prints what is asked and who has agreed.
func (s promotion) show(env *cli.Env, format cli.Format) error {
	if done, err := env.Document(format, s); done {
		return err
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(env.Stdout, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("fleet", "%s", s.Fleet)
	line("channel", "%s", s.Channel)
	line("bundle", "%s", s.Bundle.Digest)
	line("commit", "%s", orDash(s.Bundle.Commit))
	line("from", "%s %s", s.From.Version(), orDash(s.From.Digest))
	line("asked", "%s", s.Requested.Format(time.RFC3339))
	if s.Note != "" {
		line("note", "%q", s.Note)
	}
	line("approved", "%d of %d: %s", len(s.Approved), s.Needs, shorts(s.Approved, "nobody"))
	switch {
	case s.Done:
		line("state", "the channel has it")
	case s.Stale:
		line("state", "stale: the channel has moved since; ask again")
	case s.Ready:
		line("state", "approved: the controller publishes it")
	default:
		line("state", "waiting for %d of %s", s.Needs-len(s.Approved), shorts(s.Open, "nobody"))
	}
	return nil
}
