package agent

import (
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/trust/trusttest"
)

// A root may ask for the signature of a workflow beside that of the controller: agents verify it without a network, also
// when they start with nothing but their cache.
func TestAnIdentityBesideTheKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	a := r.start()
	r.once(a)
	sigstore, err := trusttest.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := sigstore.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	workflow := trust.Identity{Issuer: "https://token.acme.example", Subject: "https://git.acme.example/test@main"}
	two := r.build(motdPolicy("two"), nil, bundle.Builder{})
	r.sign(two.Descriptor, r.keys.bundle)
	r.succeed(func(root *trust.Root) {
		if err := root.PinSigstore(trusted); err != nil {
			t.Fatal(err)
		}
		root.Grant(trust.RoleBundle, 2, trust.Key{Identity: &workflow})
	})
	r.now = r.now.Add(rootInterval)
	r.point(r.pointer(two.Descriptor), r.keys.channel)
	for _, who := range []trust.Identity{{Issuer: workflow.Issuer, Subject: "https://git.acme.example/other@main"}, workflow} {
		_, _ = a.Once(t.Context()) // what it enforces is looked at next
		r.wantRoot(2)
		r.wantMotd("one")
		signature, err := sigstore.SignManifest(two.Descriptor.Digest, who)
		if err == nil {
			_, err = trust.Attach(t.Context(), r.store, two.Descriptor, signature, r.now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r.once(a)
	r.wantMotd("two")
	r.wantNoRefusals()
	r.origin.cut(true)
	r.drift()
	r.once(r.start())
	r.wantMotd("two")
}
