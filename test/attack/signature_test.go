package attack

import (
	"encoding/json"
	"net/http"
	"strings"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// signed makes the attacker point to evil content, with the channel key, after signing it in some way.
func signed(sign func(n *node, d bundle.Descriptor)) func(*node) {
	return func(n *node) {
		b := n.evil()
		sign(n, b.Descriptor)
		n.point(b.Descriptor)
	}
}

// otherwise makes evil content that is signed as it should be, and says something else about itself.
func otherwise(edit func(*bundle.Config)) func(*node) {
	return func(n *node) {
		b := n.build("evil", edit, bundle.Builder{})
		n.sign(b.Descriptor, n.keys.bundle)
		n.point(b.Descriptor)
	}
}

func signatureAttacks() []attack {
	return []attack{
		{name: "unsigned", holds: "the channel key: the machine of a controller whose bundle key is kept elsewhere", does: "points to evil content that nobody signed",
			want: bundle.Unsigned, make: signed(func(*node, bundle.Descriptor) {})},
		{name: "stranger", holds: "the channel key", does: "signs evil content with a key of its own", want: bundle.WrongKey,
			make: signed(func(n *node, d bundle.Descriptor) { n.sign(d, newKey(n.t)) })},
		{name: "channel-key-for-bundle", holds: "the channel key", does: "signs evil content with it", want: bundle.WrongKey,
			make: signed(func(n *node, d bundle.Descriptor) { n.sign(d, n.keys.channel) })},
		{name: "root-key-for-bundle", holds: "a root key and the channel key", does: "signs evil content with the root key", want: bundle.WrongKey,
			make: signed(func(n *node, d bundle.Descriptor) { n.sign(d, n.keys.owner) })},
		{name: "retired-bundle-key", holds: "a bundle key that was retired yesterday", does: "signs evil content with it", want: bundle.KeyExpired,
			make: signed(func(n *node, d bundle.Descriptor) { n.sign(d, n.keys.oldBundle) })},
		{name: "threshold", two: true, holds: "one of the two bundle keys", does: "signs evil content with it", want: bundle.Threshold,
			make: signed(func(n *node, d bundle.Descriptor) { n.sign(d, n.keys.bundle) })},
		{name: "same-key-twice", two: true, holds: "one of the two bundle keys", does: "signs evil content with it twice", want: bundle.Threshold,
			make: signed(func(n *node, d bundle.Descriptor) { n.sign(d, n.keys.bundle, n.keys.bundle) })},
		{name: "retired-and-one", two: true, holds: "one of two bundle keys, and a retired one", does: "signs evil content with both", want: bundle.Threshold,
			make: signed(func(n *node, d bundle.Descriptor) { n.sign(d, n.keys.bundle, n.keys.oldBundle) })},
		{name: "mix-and-match", holds: "the registry and the channel key", does: "attaches the signature of a good bundle to evil content", want: bundle.BadSignature,
			make: signed(func(n *node, d bundle.Descriptor) {
				s, err := n.keys.bundle.SignManifest(n.t.Context(), n.build("good", nil, bundle.Builder{}).Descriptor)
				if err != nil {
					n.t.Fatal(err)
				}
				n.attach(d, s)
			})},
		{name: "signature-altered", holds: "the registry and the channel key", does: "changes the digest in the signature of a good bundle to that of evil content", want: bundle.BadSignature,
			make: signed(func(n *node, d bundle.Descriptor) {
				good := n.build("good", nil, bundle.Builder{}).Descriptor
				s, err := n.keys.bundle.SignManifest(n.t.Context(), good)
				if err != nil {
					n.t.Fatal(err)
				}
				n.attach(d, n.alter(s, strings.TrimPrefix(good.Digest, "sha256:"), strings.TrimPrefix(d.Digest, "sha256:")))
			})},
		{name: "pointer-as-signature", holds: "the bundle key for another purpose, and the channel key", does: "attaches what is signed as a pointer", want: bundle.Predicate,
			make: signed(func(n *node, d bundle.Descriptor) {
				s, err := n.keys.bundle.SignPointer(n.t.Context(), n.pointer(d))
				if err != nil {
					n.t.Fatal(err)
				}
				n.attach(d, s)
			})},
		{name: "provenance-as-signature", holds: "the channel key and the provenance of evil content, which a build service signed with the bundle key",
			does: "attaches it as the signature", want: bundle.Predicate,
			make: signed(func(n *node, d bundle.Descriptor) {
				s, err := n.keys.bundle.SignProvenance(n.t.Context(), d, trust.Provenance{})
				if err != nil {
					n.t.Fatal(err)
				}
				n.attach(d, s)
			})},
		{name: "signature-garbage", holds: "the registry and the channel key", does: "attaches bytes that are no signature", want: bundle.BadFormat,
			make: signed(func(n *node, d bundle.Descriptor) { n.attach(d, []byte("{]")) })},
		{name: "cross-channel-bundle", holds: "the channel key", does: "points to a signed bundle for another channel", want: bundle.WrongChannel,
			make: otherwise(func(c *bundle.Config) { c.Channels = []string{"edge"} })},
		{name: "cross-fleet-bundle", holds: "the channel key, and a fleet of its own under the same key", does: "points to the signed bundle of another fleet", want: bundle.WrongFleet,
			make: otherwise(func(c *bundle.Config) { c.Fleet = "factory" })},
		{name: "newer-agent", holds: "an honest mistake", does: "publishes a bundle that this agent would misunderstand", want: bundle.OldAgent,
			make: otherwise(func(c *bundle.Config) { c.MinAgent = "99.0.0" })},
		{name: "stripped-referrers", holds: "the wire", does: "hides the signatures of a good bundle", want: bundle.Unsigned,
			make: func(n *node) {
				n.publish("new")
				n.between(func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
					if strings.Contains(r.URL.Path, "/referrers/") || strings.Contains(r.URL.Path, "/manifests/sha256-") {
						http.NotFound(w, r)
						return
					}
					registry.ServeHTTP(w, r)
				})
			}},
		{name: "fallback-tag-poisoning", holds: "a registry without the referrers API", does: "names the signature of a stranger under the fallback tag", want: bundle.WrongKey,
			make: func(n *node) {
				b := n.evil()
				n.sign(b.Descriptor, newKey(n.t))
				n.point(b.Descriptor)
				n.onlyFallbackTag(b.Descriptor)
			}},
	}
}

// onlyFallbackTag makes the wire refuse the referrers API, and give an index of what is attached to d under its fallback
// tag instead.
func (n *node) onlyFallbackTag(d bundle.Descriptor) {
	n.t.Helper()
	attached, err := n.store.Referrers(n.t.Context(), d, "")
	if err != nil || len(attached) == 0 {
		n.t.Fatalf("%d are attached, %v", len(attached), err)
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": attached})
	if err != nil {
		n.t.Fatal(err)
	}
	tag := "/manifests/" + strings.Replace(d.Digest, ":", "-", 1)
	n.between(func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		switch {
		case strings.Contains(r.URL.Path, "/referrers/"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, tag):
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			w.Header().Set("Docker-Content-Digest", bundle.DigestOf(index))
			_, _ = w.Write(index) // the agent has gone away
		default:
			registry.ServeHTTP(w, r)
		}
	})
}
