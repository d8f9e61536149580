package attack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"slices"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
)

// hostile makes evil content whose layer of module motd was packed by somebody who has the bundle key and no scruples.
func hostile(pack func(*tar.Writer) error) func(*node) {
	return func(n *node) {
		n.t.Helper()
		var blob bytes.Buffer
		z, err := gzip.NewWriterLevel(&blob, gzip.BestSpeed)
		if err != nil {
			n.t.Fatal(err)
		}
		w := tar.NewWriter(z)
		if err := errors.Join(pack(w), w.Close(), z.Close()); err != nil {
			n.t.Fatal(err)
		}
		n.layer(blob.Bytes())
	}
}

// layer points to signed content whose layer of module motd is data.
func (n *node) layer(data []byte) {
	n.t.Helper()
	d := bundle.DescriptorOf(bundle.LayerMediaType, data)
	if err := n.store.Push(n.t.Context(), d, bytes.NewReader(data)); err != nil {
		n.t.Fatal(err)
	}
	layers := n.evil().Config.Layers
	at := slices.IndexFunc(layers, func(l bundle.Layer) bool { return l.Module == "motd" })
	b := n.build("evil", nil, bundle.Builder{Reuse: func(content string) (bundle.Descriptor, bool) { return d, content == layers[at].Content }})
	n.sign(b.Descriptor, n.keys.bundle)
	n.point(b.Descriptor)
}

// member is a layer with one entry.
func layerAttacks() []attack {
	const holder = "both keys of the controller"
	return []attack{
		{name: "zip-slip", holds: holder, does: "packs a file ../../etc/cron.d/x into a layer", want: bundle.BadPath, make: hostile(bundletest.Member(tar.TypeReg, "../../etc/cron.d/x", ""))},
		{name: "absolute-path", holds: holder, does: "packs a file /etc/cron.d/x into a layer", want: bundle.BadPath, make: hostile(bundletest.Member(tar.TypeReg, "/etc/cron.d/x", ""))},
		{name: "misleading-path", holds: holder, does: "packs a file whose name holds control characters of terminals", want: bundle.BadPath,
			make: hostile(bundletest.Member(tar.TypeReg, "files/x\x1b[2J", ""))},
		{name: "symbolic-link", holds: holder, does: "packs a link to /etc/shadow", want: bundle.Link, make: hostile(bundletest.Member(tar.TypeSymlink, "files/x", "/etc/shadow"))},
		{name: "hard-link", holds: holder, does: "packs a hard link to /etc/shadow", want: bundle.Link, make: hostile(bundletest.Member(tar.TypeLink, "files/x", "/etc/shadow"))},
		{name: "device", holds: holder, does: "packs a device", want: bundle.Device, make: hostile(bundletest.Member(tar.TypeBlock, "files/x", ""))},
		{name: "same-file-twice", holds: holder, does: "packs a file twice: one for who checks, one for who reads", want: bundle.Duplicate,
			make: hostile(func(w *tar.Writer) error {
				return errors.Join(bundletest.Member(tar.TypeReg, "files/x", "")(w), bundletest.Member(tar.TypeReg, "files/x", "")(w))
			})},
		{name: "million-files", holds: holder, does: "packs a million files", want: bundle.TooMany, make: hostile(bundletest.MillionFiles)},
		{name: "zip-bomb", holds: holder, does: "packs a gibibyte of zeros", want: bundle.TooLarge, make: hostile(bundletest.GibibyteOfZeros)},
		{name: "trailing-bytes", holds: holder, does: "hides bytes after the end of a layer", want: bundle.Trailing,
			make: func(n *node) {
				var blob bytes.Buffer
				z := gzip.NewWriter(&blob)
				w := tar.NewWriter(z)
				if err := errors.Join(bundletest.Member(tar.TypeReg, "files/x", "")(w), w.Close(), z.Close()); err != nil {
					n.t.Fatal(err)
				}
				n.layer(append(blob.Bytes(), "more"...))
			}},
		{name: "layer-garbage", holds: holder, does: "signs a layer that is no archive", want: bundle.BadFormat,
			make: func(n *node) { n.layer([]byte("this is no archive")) }},
		{name: "no-policy", holds: holder, does: "signs a layer without a policy, which no node can compile", want: "aside",
			make: hostile(bundletest.Member(tar.TypeReg, "files/x", ""))},
	}
}
