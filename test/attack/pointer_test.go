package attack

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// pointerTo makes the attacker sign evil content with the bundle key, so that only the pointer is in its way, edit what the
// pointer to it says, and show that.
func pointerTo(edit func(*node, *bundle.Pointer), by func(*node) []*trust.Signer) func(*node) {
	return func(n *node) {
		b := n.evil()
		n.sign(b.Descriptor, n.keys.bundle, n.keys.secondBundle)
		p := n.pointer(b.Descriptor)
		if edit != nil {
			edit(n, &p)
		}
		n.show(p, by(n)...)
	}
}

func channelKeys(n *node) []*trust.Signer { return n.channelKeys() }

func pointerAttacks() []attack {
	return []attack{
		{name: "rollback", holds: "the registry", does: "shows the pointer of the day before again", want: bundle.Rollback,
			make: func(n *node) { n.carry(n.shown[0]...) }},
		{name: "rollback-signed", holds: "the channel key", does: "signs a pointer with a number that was used before the newest", want: bundle.Rollback,
			make: pointerTo(func(_ *node, p *bundle.Pointer) { p.Seq = 1 }, channelKeys)},
		{name: "freeze", holds: "the registry", does: "keeps a pointer back, and shows it when it is past its time", want: bundle.Expired,
			make: pointerTo(func(_ *node, p *bundle.Pointer) {
				p.Issued, p.Expires = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
			}, channelKeys)},
		{name: "equivocation", holds: "the channel key", does: "signs other content under the number that is in force", want: bundle.Equivocation,
			make: pointerTo(func(_ *node, p *bundle.Pointer) { p.Seq = 2 }, channelKeys)},
		{name: "fast-forward", holds: "the channel key", does: "signs for an epoch to come, so that the controller's own numbers would be too low", want: bundle.WrongEpoch,
			make: pointerTo(func(_ *node, p *bundle.Pointer) { p.Epoch = 7 }, channelKeys)},
		{name: "cross-channel-pointer", holds: "the registry", does: "shows the pointer of another channel", want: bundle.WrongChannel,
			make: pointerTo(func(_ *node, p *bundle.Pointer) { p.Channel = "edge" }, channelKeys)},
		{name: "cross-fleet-pointer", holds: "the registry, and a fleet of its own under the same key", does: "shows the pointer of another fleet", want: bundle.WrongFleet,
			make: pointerTo(func(_ *node, p *bundle.Pointer) { p.Fleet = "factory" }, channelKeys)},
		{name: "pointer-unsigned", holds: "the registry", does: "shows a pointer that nobody signed", want: bundle.Unsigned,
			make: func(n *node) { n.carry() }},
		{name: "pointer-stranger", holds: "the bundle key", does: "signs a pointer with a key of its own", want: bundle.WrongKey,
			make: pointerTo(nil, func(n *node) []*trust.Signer { return []*trust.Signer{newKey(n.t)} })},
		{name: "pointer-by-bundle-key", holds: "the bundle key", does: "signs a pointer with it", want: bundle.WrongKey,
			make: pointerTo(nil, func(n *node) []*trust.Signer { return []*trust.Signer{n.keys.bundle} })},
		{name: "pointer-by-retired-key", holds: "a channel key that was retired yesterday", does: "signs a pointer with it", want: bundle.KeyExpired,
			make: pointerTo(nil, func(n *node) []*trust.Signer { return []*trust.Signer{n.keys.oldChannel} })},
		{name: "pointer-by-revoked-key", holds: "the channel key that the newest root document no longer names", does: "signs a pointer with it", want: bundle.WrongKey,
			make: func(n *node) {
				stolen := n.keys.channel
				n.replaceChannelKey()
				n.publish("good") // under the new key
				n.run()
				pointerTo(nil, func(*node) []*trust.Signer { return []*trust.Signer{stolen} })(n)
			}},
		{name: "pointer-threshold", on: strict, holds: "one of the two keys of a channel", does: "signs a pointer with it", want: bundle.Threshold,
			make: pointerTo(nil, func(n *node) []*trust.Signer { return []*trust.Signer{n.keys.channel} })},
		{name: "pointer-same-key-twice", on: strict, holds: "one of the two keys of a channel", does: "signs a pointer with it twice", want: bundle.Threshold,
			make: pointerTo(nil, func(n *node) []*trust.Signer { return []*trust.Signer{n.keys.channel, n.keys.channel} })},
		{name: "pointer-altered", holds: "the registry", does: "changes the bundle that a signed pointer names", want: bundle.BadSignature,
			make: func(n *node) {
				n.carry(n.alter(n.shown[1][0], n.stable(n.shown[1][0]), n.evil().Descriptor.Digest))
			}},
		{name: "pointer-predicate", holds: "the registry", does: "shows the signature of a bundle as a pointer", want: bundle.Predicate,
			make: func(n *node) {
				s, err := n.keys.channel.SignManifest(n.t.Context(), n.evil().Descriptor)
				if err != nil {
					n.t.Fatal(err)
				}
				n.carry(s)
			}},
		{name: "pointer-garbage", holds: "the registry", does: "shows bytes that are no signature", want: bundle.BadFormat,
			make: func(n *node) { n.carry([]byte("{]")) }},
		{name: "pointer-oversized", holds: "the registry", does: "shows a signature of 64 MiB", want: bundle.TooLarge,
			make: func(n *node) { n.carry(bytes.Repeat([]byte(" "), 64<<20)) }},
	}
}

// replaceChannelKey publishes root 2, which names another channel key.
func (n *node) replaceChannelKey() {
	n.t.Helper()
	next := n.keys.root.Next()
	n.keys.channel = newKey(n.t)
	delete(next.Roles, trust.RoleAnyChannel)
	next.Grant(trust.RoleAnyChannel, 1, trust.Key{Public: n.keys.channel.Public()})
	s, err := n.keys.owner.SignRoot(n.t.Context(), next)
	if err == nil {
		err = trust.PublishRoot(n.t.Context(), n.store, next, [][]byte{s})
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.keys.root, n.epoch, n.seq = next, next.Epoch(), 0
}

// envelope is the part of a Sigstore bundle that an attacker may edit.
type envelope struct {
	Media    string          `json:"mediaType"`
	Material json.RawMessage `json:"verificationMaterial"`
	DSSE     struct {
		Payload    []byte          `json:"payload"`
		Type       string          `json:"payloadType"`
		Signatures json.RawMessage `json:"signatures"`
	} `json:"dsseEnvelope"`
}

func (n *node) open(signature []byte) envelope {
	n.t.Helper()
	var e envelope
	if err := json.Unmarshal(signature, &e); err != nil {
		n.t.Fatal(err)
	}
	return e
}

// stable is the digest that a signed pointer names.
func (n *node) stable(signature []byte) string {
	n.t.Helper()
	var statement struct {
		Predicate bundle.Pointer `json:"predicate"`
	}
	if err := json.Unmarshal(n.open(signature).DSSE.Payload, &statement); err != nil || statement.Predicate.Stable.Digest == "" {
		n.t.Fatalf("the pointer cannot be read: %v", err)
	}
	return statement.Predicate.Stable.Digest
}

// alter changes what was signed, and keeps the signature.
func (n *node) alter(signature []byte, old, with string) []byte {
	n.t.Helper()
	e := n.open(signature)
	altered := strings.ReplaceAll(string(e.DSSE.Payload), old, with)
	if altered == string(e.DSSE.Payload) {
		n.t.Fatal("nothing is altered")
	}
	e.DSSE.Payload = []byte(altered)
	data, err := json.Marshal(e)
	if err != nil {
		n.t.Fatal(err)
	}
	return data
}
