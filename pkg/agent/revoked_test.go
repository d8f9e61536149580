package agent

import (
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

func TestARevokedBundleKeyEndsEnforcementUntilTheBundleIsSignedAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	built := r.publish(motdPolicy("good"))
	r.once(r.start())
	r.changeBundleKey()
	a := r.start()
	for range 2 { // it goes on saying so
		r.drift()
		if run := r.once(a); run.Error == "" || run.Counts.Corrected != 0 {
			t.Errorf("the run: %+v", run)
		}
		r.wantMotd("by hand")
		r.wantRoot(2)
		if got := r.service.last(t).Refusals; len(got) != 1 || got[0].Name != bundle.WrongKey || got[0].What != built.Descriptor.Digest {
			t.Errorf("refusals in the report: %+v", got)
		}
	}
	r.sign(built.Descriptor, r.keys.bundle)
	r.point(r.pointer(built.Descriptor), r.keys.channel)
	r.once(a)
	r.wantMotd("good")
	r.once(a)
	r.wantNoRefusals()
}

func TestARevokedChannelKeyEndsEnforcementUntilAPointerComes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	r.changeChannelKey()
	r.origin.cut(true)
	r.drift()
	r.once(a) // who has not heard of it goes on
	r.wantMotd("good")
	r.origin.cut(false)
	r.now = r.now.Add(rootInterval)
	r.drift()
	r.once(a)
	r.wantMotd("by hand")
	r.wantRoot(2)
	r.origin.cut(true)
	r.once(r.start()) // and a restart does not forget it
	r.wantMotd("by hand")
	r.origin.cut(false)
	r.publish(motdPolicy("new"))
	r.now = r.now.Add(time.Minute)
	r.once(r.start())
	r.wantMotd("new")
	r.once(r.start())
	r.wantNoRefusals()
}

func TestAStolenChannelKeyCannotOutrunTheNextRoot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.publish(motdPolicy("old"))
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	stolen := r.keys.channel
	p := r.pointer(old.Descriptor)
	p.Seq, p.Issued, p.Expires = 1<<62, r.now.AddDate(60, 0, 0), r.now.AddDate(61, 0, 0) // the last number, beyond all windows
	r.point(p, stolen)
	r.once(a)
	r.wantMotd("old") // content that was good once is what a thief of this key can bring back
	r.keys.channel = newKey(t)
	r.succeed(func(root *trust.Root) {
		delete(root.Roles, trust.RoleAnyChannel)
		root.Grant(trust.RoleAnyChannel, 1, trust.Key{Public: r.keys.channel.Public(), NotAfter: r.now.AddDate(1, 0, 0)})
		root.Grant(trust.RoleBundle, 1, trust.Key{Public: r.keys.bundle.Public(), NotAfter: r.now.AddDate(1, 0, 0)})
	})
	r.publish(motdPolicy("recovered"))
	r.once(a)
	r.wantMotd("recovered")
	r.wantRoot(2)
	for _, epoch := range []int64{1, 2} { // the thief goes on
		p.Epoch, p.Seq = epoch, p.Seq+1
		r.point(p, stolen)
		r.once(a)
		r.wantMotd("recovered")
		r.wantRefusal(bundle.WrongKey)
	}
}
