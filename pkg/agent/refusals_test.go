package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/trust"
)

// TestWhatIsRefusedChangesNothing runs whole cycles against a registry that serves what must not be accepted. Each leaves
// the host and the cache as they were, is reported by its name, and does not stop the last good policy.
func TestWhatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	evil := motdPolicy("evil")
	signed := func(r *rig, b bundle.Built) {
		r.sign(b.Descriptor, r.keys.bundle)
		r.point(r.pointer(b.Descriptor), r.keys.channel)
	}
	for name, c := range map[string]struct {
		publish func(r *rig)
		want    string
	}{
		"unsigned": {func(r *rig) {
			r.point(r.pointer(r.build(evil, nil, bundle.Builder{}).Descriptor), r.keys.channel)
		}, bundle.Unsigned},
		"wrong key": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, newKey(r.t))
			r.point(r.pointer(b.Descriptor), r.keys.channel)
		}, bundle.WrongKey},
		"the channel key for a bundle": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, r.keys.channel)
			r.point(r.pointer(b.Descriptor), r.keys.channel)
		}, bundle.WrongKey},
		"a pointer by a wrong key": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, r.keys.bundle)
			r.point(r.pointer(b.Descriptor), newKey(r.t))
		}, bundle.WrongKey},
		"another predicate": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			p := r.pointer(b.Descriptor)
			sig, err := r.keys.bundle.SignPointer(r.t.Context(), p)
			if err == nil {
				_, err = trust.Attach(r.t.Context(), r.store, b.Descriptor, sig, r.now)
			}
			if err != nil {
				r.t.Fatal(err)
			}
			r.point(p, r.keys.channel)
		}, bundle.Predicate},
		"a lower number": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, r.keys.bundle)
			p := r.pointer(b.Descriptor)
			p.Seq = 1
			r.point(p, r.keys.channel)
		}, bundle.Rollback},
		"the same number with other content": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, r.keys.bundle)
			p := r.pointer(b.Descriptor)
			p.Seq = 2
			r.point(p, r.keys.channel)
		}, bundle.Equivocation},
		"expired": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, r.keys.bundle)
			p := r.pointer(b.Descriptor)
			p.Issued, p.Expires = r.now.Add(-2*time.Hour), r.now.Add(-time.Hour)
			r.point(p, r.keys.channel)
		}, bundle.Expired},
		"a pointer of another channel": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, r.keys.bundle)
			p := r.pointer(b.Descriptor)
			p.Channel = "edge"
			r.point(p, r.keys.channel)
		}, bundle.WrongChannel},
		"a pointer of another fleet": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			r.sign(b.Descriptor, r.keys.bundle)
			p := r.pointer(b.Descriptor)
			p.Fleet = "factory"
			r.point(p, r.keys.channel)
		}, bundle.WrongFleet},
		"a bundle for another channel": {func(r *rig) {
			signed(r, r.build(evil, func(c *bundle.Config, _ []bundle.LayerInput) { c.Channels = []string{"edge"} }, bundle.Builder{}))
		}, bundle.WrongChannel},
		"a bundle for another fleet": {func(r *rig) {
			signed(r, r.build(evil, func(c *bundle.Config, _ []bundle.LayerInput) { c.Fleet = "factory" }, bundle.Builder{}))
		}, bundle.WrongFleet},
		"a bundle for newer agents": {func(r *rig) {
			signed(r, r.build(evil, func(c *bundle.Config, _ []bundle.LayerInput) { c.MinAgent = "1.2.0" }, bundle.Builder{}))
		}, bundle.OldAgent},
		"a truncated layer": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			signed(r, b)
			r.tamper(layerOf(r.t, b, "motd"), func(data []byte) []byte { return data[:len(data)-7] })
		}, bundle.Truncated},
		"a layer with a wrong byte": {func(r *rig) {
			b := r.build(evil, nil, bundle.Builder{})
			signed(r, b)
			r.tamper(layerOf(r.t, b, "motd"), func(data []byte) []byte { data[len(data)/2] ^= 1; return data })
		}, bundle.WrongDigest},
		"a layer with ../":          {func(r *rig) { signed(r, r.hostile(evil, bundletest.Member(tar.TypeReg, "../../etc/motd", ""))) }, bundle.BadPath},
		"a layer with a link":       {func(r *rig) { signed(r, r.hostile(evil, bundletest.Member(tar.TypeSymlink, "files/x", "/etc/shadow"))) }, bundle.Link},
		"a layer with a hard link":  {func(r *rig) { signed(r, r.hostile(evil, bundletest.Member(tar.TypeLink, "files/x", "/etc/shadow"))) }, bundle.Link},
		"a layer of 10^6 files":     {func(r *rig) { signed(r, r.hostile(evil, bundletest.MillionFiles)) }, bundle.TooMany},
		"a layer of 1 GiB of zeros": {func(r *rig) { signed(r, r.hostile(evil, bundletest.GibibyteOfZeros)) }, bundle.TooLarge},
		"a layer without a policy":  {func(r *rig) { signed(r, r.hostile(evil, bundletest.Member(tar.TypeReg, "files/x", ""))) }, "aside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.publish(motdPolicy("old"))
			good := r.publish(motdPolicy("good"))
			a := r.start()
			r.once(a)
			r.wantMotd("good")
			host, cache := snapshot(t, r.root), snapshot(t, r.state.Path(cacheDir))
			c.publish(r)
			for _, process := range []*Agent{a, r.start()} { // one that runs, and one that starts
				run := r.once(process)
				if run.Bundle != good.Descriptor.Digest || run.Error != "" || run.Counts.Failed != 0 {
					t.Errorf("the last good policy is not in force: %+v\n%s", run, r.logged)
				}
				r.wantRefusal(c.want)
			}
			if diff := cmp.Diff(host, snapshot(t, r.root)); diff != "" {
				t.Errorf("the host was changed:\n%s", diff)
			}
			r.wantCache(cache)
			// What was refused did not spoil the agent for drift, nor for what is good.
			r.drift()
			r.once(a)
			r.wantMotd("good")
			r.publish(motdPolicy("better"))
			r.once(a)
			r.wantMotd("better")
			if left := r.service.last(t).Refusals; len(left) != 0 {
				t.Errorf("still told of: %v", left)
			}
		})
	}
}

// wantCache fails unless the cache is as it was. A pointer that was accepted may be in it, beside the index that names it,
// when it is the bundle that was refused.
func (r *rig) wantCache(before map[string]string) {
	r.t.Helper()
	after := snapshot(r.t, r.state.Path(cacheDir))
	doc, err := r.state.loadTrust()
	if err != nil {
		r.t.Fatal(err)
	}
	if doc.Pointer.Seq > 2 {
		for _, digest := range r.shown {
			delete(after, "blobs/sha256/"+strings.TrimPrefix(digest, "sha256:"))
		}
		after["index.json"] = before["index.json"]
	}
	if diff := cmp.Diff(before, after); diff != "" {
		r.t.Errorf("the cache was changed:\n%s", diff)
	}
}

// drift breaks the host by hand.
func (r *rig) drift() {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.root, "etc/motd"), []byte("by hand\n"), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// tamper changes content on the disk of the registry.
func (r *rig) tamper(digest string, edit func([]byte) []byte) {
	r.t.Helper()
	path := filepath.Join(r.registry, "vigo/bundles/blobs/sha256", strings.TrimPrefix(digest, "sha256:"))
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, edit(data), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func layerOf(t *testing.T, b bundle.Built, module string) string {
	t.Helper()
	at := slices.IndexFunc(b.Config.Layers, func(l bundle.Layer) bool { return l.Module == module })
	if at < 0 {
		t.Fatalf("the bundle has no layer %q", module)
	}
	return b.Config.Layers[at].Digest
}

// hostile builds a bundle whose layer of module motd was packed by somebody who has the bundle key and no scruples.
func (r *rig) hostile(files fs.FS, pack func(*tar.Writer) error) bundle.Built {
	r.t.Helper()
	var blob bytes.Buffer
	z, err := gzip.NewWriterLevel(&blob, gzip.BestSpeed)
	if err != nil {
		r.t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := errors.Join(pack(w), w.Close(), z.Close()); err != nil {
		r.t.Fatal(err)
	}
	d := bundle.DescriptorOf(bundle.LayerMediaType, blob.Bytes())
	if err := r.store.Push(r.t.Context(), d, &blob); err != nil {
		r.t.Fatal(err)
	}
	motd := r.build(files, nil, bundle.Builder{}).Config.Layers
	at := slices.IndexFunc(motd, func(l bundle.Layer) bool { return l.Module == "motd" })
	return r.build(files, nil, bundle.Builder{Reuse: func(content string) (bundle.Descriptor, bool) { return d, content == motd[at].Content }})
}
