package attack

import (
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// request asks that the channel of a node is given d.
func (n *node) request(d bundle.Descriptor) trust.Request {
	r := trust.Request{Fleet: fleetName, Channel: n.chann, Bundle: bundle.Target{Digest: d.Digest, Size: d.Size}, Requested: time.Now().UTC().Truncate(time.Second)}
	if n.seq > 0 {
		r.From = trust.Base{Epoch: n.epoch, Seq: n.seq, Digest: bundle.DigestOf([]byte("what was there"))}
	}
	return r
}

// approve attaches approvals of a request to d, which it need not be about.
func (n *node) approve(r trust.Request, d bundle.Descriptor, by ...*trust.Signer) {
	n.t.Helper()
	attachedTo := r
	attachedTo.Bundle.Digest, attachedTo.Bundle.Size = d.Digest, d.Size
	for _, key := range by {
		approval, err := key.Approve(n.t.Context(), r)
		if err == nil {
			err = trust.AttachApproval(n.t.Context(), n.store, attachedTo, approval, time.Now())
		}
		if err != nil {
			n.t.Fatal(err)
		}
	}
}

// approved makes evil content that the controller signs, with some approvals.
func approved(approve func(n *node, d bundle.Descriptor)) func(*node) {
	return func(n *node) {
		b := n.evil()
		n.sign(b.Descriptor, n.keys.bundle)
		approve(n, b.Descriptor)
		n.point(b.Descriptor)
	}
}

func approvalAttacks() []attack {
	const controller = "both keys of the controller"
	return []attack{
		{name: "no-approval", on: held, holds: controller, does: "points to evil content without asking anybody", want: bundle.Approvals,
			make: approved(func(*node, bundle.Descriptor) {})},
		{name: "approval-short-by-one", on: held, holds: controller + ", and one of the two people", does: "has it approved by that one", want: bundle.Approvals,
			make: approved(func(n *node, d bundle.Descriptor) { n.approve(n.request(d), d, n.keys.ada) })},
		{name: "approval-twice", on: held, holds: controller + ", and one of the two people", does: "has it approved by that one twice", want: bundle.Approvals,
			make: approved(func(n *node, d bundle.Descriptor) { n.approve(n.request(d), d, n.keys.ada, n.keys.ada) })},
		{name: "approval-by-controller", on: held, holds: controller + ", and one of the two people", does: "approves with the bundle key as well", want: bundle.Approvals,
			make: approved(func(n *node, d bundle.Descriptor) { n.approve(n.request(d), d, n.keys.ada, n.keys.bundle) })},
		{name: "approval-of-other-content", on: held, holds: controller, does: "attaches what two people have approved to evil content", want: bundle.Approvals,
			make: approved(func(n *node, d bundle.Descriptor) {
				n.approve(n.request(n.build("better", nil, bundle.Builder{}).Descriptor), d, n.keys.ada, n.keys.ben)
			})},
		{name: "approval-for-other-channel", on: held, holds: controller, does: "takes content to a channel that it was not approved for", want: bundle.Approvals,
			make: approved(func(n *node, d bundle.Descriptor) {
				r := n.request(d)
				r.Channel = channel
				n.approve(r, d, n.keys.ada, n.keys.ben)
			})},
	}
}
