//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trust"
)

// TestDockerRegistry is a site whose bundles lie in Debian's docker-registry, which knows no referrers and lets everybody
// push: a change costs the machines what changed, and whoever owns the registry cannot make them do anything.
func TestDockerRegistry(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	material := make([]byte, 400_000) // which cannot be compressed
	for i := range material {
		material[i] = byte(rand.Uint32())
	}
	s.commit(t, "A module with some weight", map[string]string{
		"modules/material/files/lesson.bin": string(material),
		"modules/material/module.yaml":      "kind: Module\nresources:\n  - file: /srv/lesson.bin\n    source: lesson.bin\n",
		"roles/material.yaml":               "kind: Role\nmodules: [material]\n",
	})
	r := s.dockerRegistry(t)
	s.up(t, "--registry", r.addr+"/"+repository, "--plain-http")
	n := s.boot(t, "web-1")[0]
	n.enrol(t, "role=web")
	n.quiet(t, time.Time{})
	n.isAsDeclared(t)
	n.servesItsSite(t)
	n.is(t, check{"sha256sum </srv/lesson.bin", strings.TrimPrefix(bundle.DigestOf(material), "sha256:") + "  -"})
	r.findsSignaturesByTag(t, n)
	r.transfersWhatChanged(t, n)
	r.withstandsItsOwner(t, n)
}

// findsSignaturesByTag checks that there is no referrers API here, so that the tag is what the agent found signatures by.
func (r *dockerRegistry) findsSignaturesByTag(t *testing.T, n *node) {
	t.Helper()
	digest := n.status(t).Bundle
	client := http.Client{Transport: r.transport()}
	res, err := client.Get("http://" + r.addr + "/v2/" + repository + "/referrers/" + digest)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Fatalf("docker-registry answers %s where the referrers API would be", res.Status)
	}
	tag := "/v2/" + repository + "/manifests/" + strings.Replace(digest, ":", "-", 1)
	if !slices.ContainsFunc(r.taken(n), func(f fetch) bool { return f.path == tag && f.bytes > 0 }) {
		t.Errorf("%s did not fetch %s", n.Name(), tag)
	}
}

// transfersWhatChanged changes one line of one module and adds up what the machine fetched because of it.
func (r *dockerRegistry) transfersWhatChanged(t *testing.T, n *node) {
	t.Helper()
	r.taken(n)
	before := n.status(t).Bundle
	r.site.edit(t, "modules/system/module.yaml", `"Welcome."`, `"Hello."`)
	n.becomes(t, check{"cut -d' ' -f1 /etc/motd", "Hello."})
	after := n.quiet(t, time.Time{}).Bundle

	_, old, _ := r.published(t, before)
	_, manifest, config := r.published(t, after)
	full := manifest.Config.Size
	for _, layer := range manifest.Layers {
		full += layer.Size
	}
	var layers []string
	total, largest := int64(0), int64(0)
	for _, f := range r.taken(n) {
		total += f.bytes
		at := slices.IndexFunc(manifest.Layers, func(d bundle.Descriptor) bool { return filepath.Base(f.path) == d.Digest })
		if at < 0 {
			largest = max(largest, f.bytes)
			continue
		}
		layers = append(layers, config.Layers[at].Module)
		if slices.ContainsFunc(old.Layers, func(d bundle.Descriptor) bool { return d.Digest == manifest.Layers[at].Digest }) {
			t.Errorf("%s fetched the layer of module %q again, which is the same", n.Name(), config.Layers[at].Module)
		}
	}
	if !slices.Equal(layers, []string{"system"}) {
		t.Errorf("%s fetched the layers %q, want that of module system", n.Name(), layers)
	}
	if largest > 8<<10 {
		t.Errorf("%s fetched a document of %d bytes", n.Name(), largest)
	}
	t.Logf("a one-line change: %d bytes fetched (one layer of %d, the rest small documents), the whole bundle is %d: %.1f %%",
		total, len(manifest.Layers), full, 100*float64(total)/float64(full))
}

// withstandsItsOwner does to the registry what its owner, or a thief, can do.
func (r *dockerRegistry) withstandsItsOwner(t *testing.T, n *node) {
	t.Helper()
	store := r.store(t)
	stranger, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	lastLayer := func(digest string) string {
		_, m, c := r.published(t, digest)
		at := slices.IndexFunc(c.Layers, func(l bundle.Layer) bool { return l.Module == "system" })
		return r.blob(m.Layers[at].Digest)
	}
	strip := func(digest string) (undo func()) {
		tag := r.tag(strings.Replace(digest, ":", "-", 1))
		move := func(from, to string) {
			if err := errors.Join(os.RemoveAll(to), os.Rename(from, to)); err != nil {
				t.Fatal(err)
			}
		}
		move(tag, tag+".gone")
		return func() { move(tag+".gone", tag) }
	}
	retag := func(to, tag string) (undo func()) {
		was, err1 := store.Resolve(t.Context(), tag)
		d, err2 := store.Resolve(t.Context(), to)
		if err := errors.Join(err1, err2, store.Tag(t.Context(), d, tag)); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := store.Tag(t.Context(), was, tag); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.attack(t, n, "an old pointer in place of the new one", "rollback", func(string) func() {
		return retag("channel-stable-1.1", "channel-stable")
	})
	r.attack(t, n, "a layer with a wrong byte", "digest", func(digest string) func() {
		return overwrite(t, lastLayer(digest), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	})
	r.attack(t, n, "a truncated layer", "truncated", func(digest string) func() {
		return overwrite(t, lastLayer(digest), func(b []byte) []byte { return b[:len(b)/2] })
	})
	r.attack(t, n, "no signature", "unsigned", strip)
	r.attack(t, n, "a signature by another key", "wrong-key", func(digest string) func() {
		undo := strip(digest)
		d, _, _ := r.published(t, digest)
		forged, err := stranger.SignManifest(t.Context(), d)
		if err == nil {
			_, err = trust.Attach(t.Context(), store, d, forged, time.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
		return undo
	})
	r.attack(t, n, "a pointer by another key", "wrong-key", func(digest string) func() {
		undo := retag("channel-stable", "channel-stable") // the one that moves is to be put back
		d, _, _ := r.published(t, digest)
		p := bundle.Pointer{Fleet: "acme", Channel: "stable", Epoch: 1, Seq: 1000, Issued: time.Now().UTC(),
			Expires: time.Now().UTC().Add(time.Hour), Stable: bundle.Target{Digest: d.Digest, Size: d.Size}}
		forged, err := stranger.SignPointer(t.Context(), p)
		if err == nil {
			err = trust.PublishPointer(t.Context(), store, p, [][]byte{forged})
		}
		if err != nil {
			t.Fatal(err)
		}
		return undo
	})
}

// attack publishes a change while the agent stands still, does something to the registry, and lets the agent look: it
// refuses by name, goes on with what it had, and takes the change as soon as the registry is honest again.
func (r *dockerRegistry) attack(t *testing.T, n *node, title, refusal string, do func(digest string) (undo func())) {
	t.Helper()
	before := n.quiet(t, time.Now())
	sound := n.ReadFile(t, "/etc/motd")
	n.MustExec(t, "systemctl", "kill", "--signal=STOP", "vigo-agent")
	r.site.edit(t, "modules/system/templates/motd.tmpl", "{{ .param.greeting }}", "{{ .param.greeting }} After "+title+".")
	commit := strings.TrimSpace(r.site.run(t, "git", "-C", r.site.path("policy"), "rev-parse", "HEAD"))
	st := r.site.await(t, "the change in the registry", func(st report.Status) error {
		if st.Channels[0].Commit != commit {
			return fmt.Errorf("%s is published", st.Channels[0].Commit)
		}
		return nil
	})
	undo := do(st.Channels[0].Digest)
	n.MustExec(t, "systemctl", "kill", "--signal=CONT", "vigo-agent")

	st = r.site.await(t, title+" in the status", func(st report.Status) error { return hasProblem(st, n.Name(), "refused", refusal+": ") })
	for _, p := range st.Problems {
		t.Logf("%s: %s %s", title, p.Kind, p.Text)
	}
	// The last good state is kept, and kept up: also that which somebody breaks meanwhile.
	n.shell(t, "echo vandal >/etc/motd")
	n.becomes(t, check{"cat /etc/motd", strings.TrimRight(sound, "\n")})
	if now := n.status(t); now.Bundle != before.Bundle {
		t.Errorf("%s: %s enforces %s, before it was %s", title, n.Name(), now.Bundle, before.Bundle)
	}
	n.is(t, check{"cd " + stateDir + "/cache/blobs/sha256 && sha256sum * | awk '$1 != $2'", ""})

	undo()
	n.becomes(t, check{"grep -c '" + title + "' /etc/motd", "1"})
	r.site.await(t, "the end of the refusal", func(st report.Status) error {
		if st.ProblemCount > 0 {
			return fmt.Errorf("%+v", st.Problems)
		}
		return nil
	})
}
