package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

// modeOrder is an order with who has signed it, as a document.
type modeOrder struct {
	trust.Order
	Needs    int      `json:"needs"`
	Approved []string `json:"approved"` // IDs of keys
	Ready    bool     `json:"ready"`    // enough have
	Stands   bool     `json:"stands"`   // the channel carries it already
}

// runMode has an order signed that differs from the one that stands as change says. known are modes that must be declared.
func runMode(ctx context.Context, env *cli.Env, o modeOptions, doing string, change func(map[string]bool), known ...string) error {
	if o.key == "" {
		return cli.UsageError(fault.WithHint(errors.New("an order of modes is signed: --key is needed"), "`vigo mode status` shows how modes are"))
	}
	return withKey(ctx, env, o.key, func(signer *trust.Signer) error {
		made, err := cli.Wait(env, doing, func() (modeOrder, error) { return orderModes(ctx, env, o, signer, change, known) })
		if err != nil {
			return denied(cli.Refused(fmt.Errorf("%s: %w", doing, err)))
		}
		if err := made.show(env, o.format); err != nil {
			return err
		}
		if !made.Ready {
			return cli.Quiet(fault.Refused)
		}
		return nil
	})
}

func orderModes(ctx context.Context, env *cli.Env, o modeOptions, signer *trust.Signer, change func(map[string]bool), known []string) (modeOrder, error) {
	var none modeOrder
	d, err := o.reach(ctx, env)
	if err != nil {
		return none, err
	}
	role := trust.RoleModes(o.channel)
	if !d.root.OrdersModes(o.channel) {
		return none, fault.WithHint(fmt.Errorf("root %d lets nobody order modes of channel %q", d.root.Version, o.channel),
			fmt.Sprintf("flip it by a commit, under modes: in fleet.yaml; to let people order it, list their keys: vigo trust add-key ROOT %s PUB", role))
	}
	if err := d.root.Allows(role, signer.Public().ID(), env.Now()); err != nil {
		return none, fault.WithHint(err, "vigo trust show prints who may order modes")
	}
	shown, err := d.SignedPointer(ctx, d.store, "", o.channel)
	if errors.Is(err, bundle.ErrNotFound) {
		return none, fmt.Errorf("nothing is published on channel %q yet", o.channel)
	}
	if err != nil {
		return none, err
	}
	p := shown.Pointer
	if err := d.declares(ctx, p, known); err != nil {
		return none, err
	}
	stands, err := d.Ordered(p.Fleet, o.channel, p.Order)
	if err != nil && len(p.Order) > 0 {
		stands = trust.ClaimedOrder(p.Order)
	}
	modes := maps.Clone(stands.Modes)
	if modes == nil {
		modes = map[string]bool{}
	}
	change(modes)
	if stands.Payload != "" && maps.Equal(modes, stands.Modes) {
		return modeOrder{Order: stands.Order, Needs: d.root.Roles[role].Threshold, Approved: stands.Keys, Ready: true, Stands: true}, nil
	}
	order := trust.Order{Fleet: p.Fleet, Channel: o.channel, Modes: modes, Given: env.Now().UTC().Truncate(time.Second), Note: strings.TrimSpace(o.note),
		From: trust.Base{Epoch: p.Epoch, Seq: p.Seq, Digest: p.Stable.Digest}}
	return d.signOrder(ctx, order, stands, signer)
}

// signOrder signs an order, or the one that somebody else has given before if it sets the same modes, and publishes it.
func (d *desk) signOrder(ctx context.Context, order trust.Order, stands trust.Ordered, signer *trust.Signer) (modeOrder, error) {
	var signatures [][]byte
	var signed []string
	open, there, err := trust.OpenOrder(ctx, d.store, order.Channel)
	switch {
	case errors.Is(err, bundle.ErrNotFound), errors.As(err, new(*trust.Refusal)):
	case err != nil:
		return modeOrder{}, err
	case maps.Equal(open.Modes, order.Modes):
		for _, one := range d.OrderSigners(order.Fleet, order.Channel, there) {
			if one.After(stands) && one.Given.Equal(open.Given) && one.From == open.From && one.Note == open.Note && maps.Equal(one.Modes, open.Modes) {
				order, signatures, signed = one.Order, one.Signatures, one.Keys
			}
		}
	}
	if id := signer.Public().ID(); !slices.Contains(signed, id) {
		signature, err := signer.Order(ctx, order)
		if err != nil {
			return modeOrder{}, err
		}
		signatures, signed = append(signatures, signature), append(signed, id)
		if len(signed) >= d.root.Roles[trust.RoleModes(order.Channel)].Threshold { // as the controller will look at it
			if _, err := d.Ordered(order.Fleet, order.Channel, signatures); err != nil {
				return modeOrder{}, err
			}
		}
		if err := trust.PublishOrder(ctx, d.store, order, signatures); err != nil {
			return modeOrder{}, err
		}
	}
	needs := d.root.Roles[trust.RoleModes(order.Channel)].Threshold
	slices.Sort(signed)
	return modeOrder{Order: order, Needs: needs, Approved: signed, Ready: len(signed) >= needs}, nil
}

// declares refuses modes that the policy of a channel does not have: no node would do anything.
func (d *desk) declares(ctx context.Context, p bundle.Pointer, known []string) error {
	if len(known) == 0 {
		return nil
	}
	declared := map[string]bool{}
	for _, t := range []*bundle.Target{&p.Stable, p.Candidate} {
		if t == nil {
			continue
		}
		policy, _, _, err := agent.Bundle(d.store, t.Digest, nil)(ctx, language())
		if err != nil {
			return fmt.Errorf("reading which modes there are: %w", err)
		}
		maps.Copy(declared, policy.Fleet.Modes)
	}
	for _, name := range known {
		if _, ok := declared[name]; !ok {
			hint := fault.DidYouMean(name, slices.Sorted(maps.Keys(declared)))
			if len(declared) == 0 {
				hint = "fleet.yaml declares none: modes: {" + name + ": false}"
			}
			return fault.WithHint(fmt.Errorf("the policy of channel %q has no mode %q", p.Channel, name), hint)
		}
	}
	return nil
}

// show prints an order and who has signed it.
func (m modeOrder) show(env *cli.Env, format cli.Format) error {
	if done, err := env.Document(format, m); done {
		return err
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(env.Stdout, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("channel", "%s", m.Channel)
	if len(m.Modes) == 0 {
		line("modes", "as policy says")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Modes)) {
		line("mode", "%s %s", name, onOff(m.Modes[name]))
	}
	line("given", "%s, over pointer %s", m.Given.Format(time.RFC3339), m.From.Version())
	if m.Note != "" {
		line("note", "%q", m.Note)
	}
	line("signed", "%d of %d: %s", len(m.Approved), m.Needs, shorts(m.Approved, "nobody"))
	switch {
	case m.Stands:
		line("state", "it stands already")
	case m.Ready:
		line("state", "enough have signed: the controller publishes it")
	default:
		line("state", "waiting for %d more: they run the same command with their keys", m.Needs-len(m.Approved))
	}
	return nil
}
