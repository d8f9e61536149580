package controller

import (
	"context"
	"errors"
	"slices"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// Gated implements [Gates]: the root document says which channels are.
func (k *Keyring) Gated(channel string) bool { return k.root.Gated(channel) }

// Request implements [Gates].
func (k *Keyring) Request(ctx context.Context, src bundle.Source, fleet, channel string) (trust.Request, string, error) {
	return trust.OpenRequest(ctx, src, fleet, channel)
}

// Approved implements [Gates]. A bundle that was signed under an earlier root is ours too; whether people stand for it is
// asked of the root in force.
func (k *Keyring) Approved(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string) (trust.Approval, error) {
	v := trust.NewVerifier(k.root, k.now)
	_, err := v.Bundle(ctx, src, d, fleet, channel)
	for _, earlier := range slices.Backward(k.lineage.before) {
		if !errors.As(err, new(*trust.Refusal)) {
			break
		}
		if _, e := trust.NewVerifier(earlier, k.now).Bundle(ctx, src, d, fleet, channel); e == nil {
			err = nil
		}
	}
	if err != nil {
		return trust.Approval{}, err
	}
	return v.Approved(ctx, src, d, fleet, channel)
}

// Approvers implements [Gates].
func (k *Keyring) Approvers(ctx context.Context, src bundle.Source, r trust.Request, payload string) (by []string, needs int, err error) {
	needs = k.root.Roles[trust.RoleApproval(r.Channel)].Threshold
	found, err := trust.NewVerifier(k.root, k.now).Approvals(ctx, src, descriptorOf(r.Bundle), r.Fleet, r.Channel)
	for _, a := range found {
		if a.Payload == payload {
			by = a.Keys
		}
	}
	return by, needs, err
}
