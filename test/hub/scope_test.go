package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// bulk is what each module carries, so that bytes tell modules apart; half of it is left when it is compressed.
const bulk = 64 << 10

// commitRoles publishes a policy in which each module writes one file, and nodes have roles by their names.
func (f *fleet) commitRoles(roles map[string]string) {
	f.t.Helper()
	f.version++
	var grants strings.Builder
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		fmt.Fprintf(&grants, "  - match: %s\n    labels: {role: %s}\n", name, roles[name])
	}
	files := map[string]string{
		"fleet.yaml":     "kind: Fleet\nname: acme\ninterval: 1s\nchannels:\n  stable: {}\nlabels: [role]\nnodes:\n" + grants.String(),
		"roles/all.yaml": "kind: Role\nabout: All.\nmodules: [motd]\n",
		"roles/web.yaml": "kind: Role\nabout: Web.\nwhen: role == \"web\"\nmodules: [web]\n",
		"roles/db.yaml":  "kind: Role\nabout: Data.\nwhen: role == \"db\"\nmodules: [db]\n",
		"roles/big.yaml": "kind: Role\nabout: Big data.\nwhen: role == \"db\" and os.id == \"bigos\"\nmodules: [big]\n",
	}
	for _, module := range []string{"motd", "web", "db", "big"} {
		files["modules/"+module+"/module.yaml"] = fmt.Sprintf("kind: Module\nabout: Words.\nresources:\n  - file: /%s\n    content: version %d\n", module, f.version)
		files["modules/"+module+"/files/bulk"] = noise(module)
	}
	f.repo.Put(files).Commit(fmt.Sprint("version ", f.version))
}

// noise is text that does not compress well, and is always the same for a word.
func noise(word string) string {
	var b strings.Builder
	for sum := word; b.Len() < bulk; {
		sum = bundle.DigestOf([]byte(sum))
		b.WriteString(sum)
	}
	return b.String()
}

// held says which modules of the newest bundle a hub has on its disk, and how many bytes it has in all.
func (f *fleet) held(hub string) (modules string, bytes int64) {
	f.t.Helper()
	dir := f.path(hub, "registry", "vigo", "bundles")
	store, ctx := ocistore.NewLayout(dir), f.t.Context()
	var newest bundle.Config
	var layers []bundle.Descriptor
	err := store.Tags(ctx, func(tag string) error {
		d, err := store.Resolve(ctx, tag)
		if err != nil || !strings.HasPrefix(tag, "b-") {
			return err
		}
		m, c, err := bundle.Read(ctx, store, d)
		if err == nil && c.Counter >= newest.Counter {
			newest, layers = c, m.Layers
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	var names []string
	for i, l := range newest.Layers {
		if _, err := bundle.Fetch(ctx, store, layers[i], bundle.MaxLayer); err == nil && l.Module != "" {
			names = append(names, l.Module)
		}
	}
	err = filepath.WalkDir(filepath.Join(dir, "blobs"), func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nothing was mirrored yet, or it is being moved
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Join(names, " "), bytes
}

// wantHeld waits until a hub holds these modules and no others.
func (f *fleet) wantHeld(hub, want string) (bytes int64) {
	f.t.Helper()
	programs.AwaitNil(f.t, hub+" to hold "+want, patience, func() error {
		got, n := f.held(hub)
		bytes = n
		if got != want {
			return fmt.Errorf("it holds %q, %d bytes", got, n)
		}
		return nil
	})
	f.t.Logf("hub %s holds %q, %d bytes", hub, want, bytes)
	return bytes
}

// has waits until a node has a file of the newest version.
func (f *fleet) has(n *node, file string) {
	f.t.Helper()
	programs.AwaitNil(f.t, n.name+" to have /"+file, patience, func() error {
		data, err := os.ReadFile(filepath.Join(n.root, file))
		if err == nil && strings.TrimSpace(string(data)) != fmt.Sprint("version ", f.version) {
			err = fmt.Errorf("it holds %q", data)
		}
		return err
	})
}

// restart starts the agent of a node anew, as it is when the node has become something else.
func (f *fleet) restart(n *node, osRelease string) {
	f.t.Helper()
	n.agent.End(syscall.SIGTERM)
	if err := os.MkdirAll(filepath.Join(n.root, "etc"), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.root, "etc", "os-release"), []byte(osRelease), 0o644); err != nil {
		f.t.Fatal(err)
	}
	n.agent = n.at.start(f.t, self.Command(f.t, "vigo-agent", "--root", n.root, "run"))
}

// TestASiteWithAPartOfEachBundle has a hub for web nodes, and one behind it for the same. A node that becomes something else
// gets its modules through both on demand; while the uplink is cut it goes on without, and says what is missing.
func TestASiteWithAPartOfEachBundle(t *testing.T) {
	t.Parallel()
	here := &place{}
	f := newFleet(t, here, "127.0.0.1")
	f.commitRoles(map[string]string{"web-1": "web", "web-2": "web"})
	uplink := newCable(t, f.address)
	_, a := f.startHub(here, "plant", "127.0.0.1:0", uplink.address, "--site-only", "--for", "role=web")
	_, b := f.startHub(here, "hall", "127.0.0.1:0", a, "--site-only", "--for", "role=web")
	near, far := f.join(here, "web-1", a), f.join(here, "web-2", b)
	for _, n := range f.nodes {
		f.has(n, "web")
	}
	for _, hub := range []string{"plant", "hall"} {
		if bytes := f.wantHeld(hub, "motd web"); bytes < 2*bulk/2 || bytes > 3*bulk/2 {
			t.Errorf("hub %s holds %d bytes, want about those of two modules", hub, bytes)
		}
	}

	f.commitRoles(map[string]string{"web-1": "web", "web-2": "db"})
	f.has(far, "db")
	f.has(near, "web")
	for _, hub := range []string{"plant", "hall"} {
		f.wantHeld(hub, "db motd web")
	}

	uplink.set(true)
	f.restart(far, "ID=bigos\n")
	programs.AwaitNil(t, "the node to say what is missing", patience, func() error {
		out := far.agent.Out.String()
		for _, part := range []string{`module \"big\"`, "hub hall: module", "hub plant: module", "going on without"} {
			if !strings.Contains(out, part) {
				return fmt.Errorf("no %q", part)
			}
		}
		return nil
	})
	far.spoil(t)
	near.spoil(t)
	f.wantHeld("hall", "db motd web")

	uplink.set(false)
	f.has(far, "big")
	f.wantHeld("plant", "big db motd web")
	f.status("all well again", f.well)

	// What was asked for is there ahead next time, and a hub that wants all gets it from one that does not.
	f.commitRoles(map[string]string{"web-1": "web", "web-2": "db"})
	f.has(far, "big")
	uplink.set(true)
	f.wantHeld("hall", "big db motd web")
	uplink.set(false)
	f.startHub(here, "all", "127.0.0.1:0", a)
	f.wantHeld("all", "big db motd web")
}
