package agent

import (
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// people are two who have to approve what the channel of a rig is given.
type people [2]*trust.Signer

func (r *rig) ask(threshold int) people {
	r.t.Helper()
	p := people{newKey(r.t), newKey(r.t)}
	for _, key := range p {
		r.keys.root.Grant(trust.RoleApproval("main"), threshold, trust.Key{Public: key.Public()})
	}
	r.pin()
	return p
}

// approve approves a bundle that was asked for at a pointer.
func (r *rig) approve(built bundle.Built, at int64, by ...*trust.Signer) {
	r.t.Helper()
	req := trust.Request{Fleet: "lab", Channel: "main", Bundle: bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}, Requested: r.now}
	if at > 0 {
		req.From = trust.Base{Epoch: 1, Seq: at, Digest: bundle.DigestOf(nil)}
	}
	for _, key := range by {
		approval, err := key.Approve(r.t.Context(), req)
		if err == nil {
			err = trust.AttachApproval(r.t.Context(), r.store, req, approval, r.now)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestNewContentNeedsApprovals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada, ben := func() (a, b *trust.Signer) { p := r.ask(2); return p[0], p[1] }()
	one := r.publish(motdPolicy("one"))
	r.approve(one, 0, ada, ben)
	a := r.start()
	r.once(a)
	r.wantMotd("one")
	r.wantNoRefusals()

	// The controller, or who holds its keys, points to something that one of two has approved.
	two := r.publish(motdPolicy("two"))
	r.approve(two, 1, ada)
	for _, a := range []*Agent{a, r.start()} { // after a restart, too
		r.drift()
		r.once(a)
		r.wantMotd("one") // what was approved is enforced meanwhile
		r.wantRefusal(bundle.Approvals)
	}
	r.approve(two, 1, ben)
	r.once(a)
	r.wantMotd("two")
	r.wantNoRefusals()
}

// Who holds the key of the channel alone cannot bring back what people have moved on from.
func TestOldApprovalsDoNotBringBackOldContent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.ask(2)
	one := r.publish(motdPolicy("one"))
	r.approve(one, 0, p[:]...)
	r.once(r.start())
	two := r.publish(motdPolicy("two"))
	r.approve(two, 1, p[:]...)
	r.once(r.start())
	r.wantMotd("two")
	r.point(r.pointer(one.Descriptor), r.keys.channel)
	r.once(r.start())
	r.wantMotd("two")
	r.wantRefusal(bundle.Approvals)
	r.approve(one, 2, p[:]...) // people want it back
	r.once(r.start())
	r.wantMotd("one")
	r.wantNoRefusals()
}

// What is enforced stays, whoever leaves; and approvals are kept with the bundle, for a start without a network.
func TestApprovalsGateNewContentAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.ask(2)
	r.approve(r.publish(motdPolicy("one")), 0, p[:]...)
	r.once(r.start())
	r.succeed(func(root *trust.Root) {
		delete(root.Roles, trust.RoleApproval("main"))
		root.Grant(trust.RoleApproval("main"), 1, trust.Key{Public: newKey(t).Public()})
	})
	r.now = r.now.Add(rootInterval)
	a := r.start()
	r.drift()
	r.once(a)
	r.wantRoot(2)
	r.wantMotd("one")
	r.origin.cut(true)
	r.now = r.now.Add(time.Minute)
	r.drift()
	r.once(r.start())
	r.wantMotd("one")
}

// A new root says who approves: the agent looks for it when it misses approvals.
func TestMissingApprovalsAreAReasonToLookForARoot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.ask(2)
	r.approve(r.publish(motdPolicy("one")), 0, p[:]...)
	a := r.start()
	r.once(a)
	cleo := newKey(t)
	r.succeed(func(root *trust.Root) { root.Grant(trust.RoleApproval("main"), 2, trust.Key{Public: cleo.Public()}) })
	two := r.publish(motdPolicy("two"))
	r.approve(two, 1, p[0], cleo)
	r.once(a)
	r.wantMotd("two")
	r.wantNoRefusals()
}
