package attack

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/bundle"
)

// answering makes the wire give the answer for one blob or manifest of a good new bundle, which edit spoils.
func answering(which func(bundle.Built) string, edit func(data []byte) []byte) func(*node) {
	return func(n *node) {
		b := n.publish("new")
		n.spoil(which(b), edit)
	}
}

// spoil has the registry answer for a digest with other bytes, and say that they are what was asked for.
func (n *node) spoil(digest string, edit func([]byte) []byte) {
	n.between(func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		if !strings.HasSuffix(r.URL.Path, "/"+digest) || strings.Contains(r.URL.Path, "/referrers/") || r.Method != http.MethodGet {
			registry.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Range")
		honest := httptest.NewRecorder()
		registry.ServeHTTP(honest, r)
		for name, values := range honest.Header() {
			w.Header()[name] = values
		}
		data := edit(slices.Clone(honest.Body.Bytes()))
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.WriteHeader(honest.Code)
		_, _ = w.Write(data) // an agent that has seen enough goes away
	})
}

func manifestOf(b bundle.Built) string { return b.Descriptor.Digest }

func configOf(b bundle.Built) string { return b.Blobs[len(b.Blobs)-1].Descriptor.Digest }

func motdOf(b bundle.Built) string {
	at := slices.IndexFunc(b.Config.Layers, func(l bundle.Layer) bool { return l.Module == "motd" })
	return b.Config.Layers[at].Digest
}

func otherByte(data []byte) []byte { data[len(data)/2] ^= 1; return data }

func cut(data []byte) []byte { return data[:len(data)-7] }

func longer(data []byte) []byte { return append(data, "and more"...) }

func oversized(data []byte) []byte { return append(data, make([]byte, 64<<20)...) }

func wireAttacks() []attack {
	const holder = "the wire, or the disk of the registry"
	return []attack{
		{name: "layer-byte", holds: holder, does: "changes a byte of a layer", want: bundle.WrongDigest, make: answering(motdOf, otherByte)},
		{name: "layer-cut", holds: holder, does: "cuts a layer short", want: bundle.Truncated, make: answering(motdOf, cut)},
		{name: "layer-longer", holds: holder, does: "gives more bytes of a layer than were announced", want: bundle.WrongSize, make: answering(motdOf, longer)},
		{name: "layer-endless", holds: holder, does: "gives a layer without an end", want: bundle.WrongSize, make: func(n *node) { n.endless(motdOf(n.publish("new"))) }},
		{name: "config-byte", holds: holder, does: "changes a byte of the index of modules", want: bundle.WrongDigest, make: answering(configOf, otherByte)},
		{name: "manifest-byte", holds: holder, does: "changes a byte of the manifest", want: bundle.WrongDigest, make: answering(manifestOf, otherByte)},
		{name: "manifest-oversized", holds: holder, does: "gives a manifest of 64 MiB", want: bundle.WrongSize, make: answering(manifestOf, oversized)},
		{name: "config-oversized", holds: holder, does: "gives an index of modules of 64 MiB", want: bundle.WrongSize, make: answering(configOf, oversized)},
		{name: "manifest-swapped", holds: holder, does: "gives another signed bundle in place of the one that is named", want: bundle.WrongDigest,
			make: func(n *node) {
				other := n.build("another bundle, with a signature of its own", nil, bundle.Builder{})
				n.sign(other.Descriptor, n.keys.bundle)
				n.spoil(manifestOf(n.publish("new")), func([]byte) []byte { return other.Manifest })
			}},
		{name: "tag-moved-on-the-way", holds: holder, does: "shows one pointer to who asks for its digest, and gives another to who fetches it", want: bundle.WrongDigest,
			make: func(n *node) {
				old, err := n.store.Resolve(n.t.Context(), "channel-"+n.chann)
				if err != nil {
					n.t.Fatal(err)
				}
				n.publish("new")
				d, err := n.store.Resolve(n.t.Context(), "channel-"+n.chann)
				if err != nil {
					n.t.Fatal(err)
				}
				before, err := bundle.Fetch(n.t.Context(), n.store, old, 1<<20)
				if err != nil {
					n.t.Fatal(err)
				}
				n.spoil(d.Digest, func([]byte) []byte { return before })
			}},
		{name: "redirect", holds: holder, does: "sends the agent elsewhere for a layer, where other bytes are", want: bundle.WrongDigest,
			make: func(n *node) {
				digest := motdOf(n.publish("new"))
				var honest []byte
				elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(otherByte(slices.Clone(honest))) }))
				n.t.Cleanup(elsewhere.Close)
				n.between(func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
					if !strings.HasSuffix(r.URL.Path, "/"+digest) || r.Method != http.MethodGet {
						registry.ServeHTTP(w, r)
						return
					}
					answer := httptest.NewRecorder()
					registry.ServeHTTP(answer, r)
					honest = answer.Body.Bytes()
					http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
				})
			}},
	}
}

// endless has the registry never stop giving bytes for a digest.
func (n *node) endless(digest string) {
	zeros := bytes.Repeat([]byte{0}, 1<<20)
	n.between(func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		if !strings.HasSuffix(r.URL.Path, "/"+digest) || r.Method != http.MethodGet {
			registry.ServeHTTP(w, r)
			return
		}
		for {
			if _, err := io.Copy(w, bytes.NewReader(zeros)); err != nil {
				return // the agent has seen enough
			}
		}
	})
}
