package attack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
)

// A node is a host with its agent, and the repository that it pulls from.
type node struct {
	*fleet
	t     *testing.T
	keys  keys // those of the fleet, until the attack changes them
	name  string
	chann string
	host  string // root folder
	repo  string // repository in the registry
	store bundle.Store
	seq   int64
	epoch int64
	shown [][][]byte // the signatures of each pointer that was shown
}

// join enrols a node of a channel and gives it a first policy, then a second.
func (f *fleet) join(t *testing.T, name, channel string) *node {
	t.Helper()
	n := &node{fleet: f, t: t, keys: f.keys, name: name, chann: channel, host: t.TempDir(), repo: "site/" + name, epoch: 1}
	var err error
	if n.store, err = f.registry.Store(t.Context(), n.repo); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(n.host, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	n.enrol(f.vigo(t, "token", "create", "--channel", channel))
	n.publish("first")
	n.publish("good")
	n.run()
	if got := n.motd(); got != "good" {
		t.Fatalf("before the attack the host says %q", got)
	}
	return n
}

func (n *node) enrol(token string) {
	n.t.Helper()
	programs.Run(n.t, []string{"VIGO_TOKEN=" + token}, "vigo-agent", "enroll", "--server", n.service, "--root", n.host, "--node", n.name,
		"--mirror", "http://"+n.address+"/"+n.repo)
}

// run makes one run of the agent. That something was refused does not make it fail: the last good policy is enforced.
func (n *node) run() {
	n.t.Helper()
	programs.Run(n.t, nil, "vigo-agent", "run", "--once", "--root", n.host)
}

func (n *node) motd() string {
	n.t.Helper()
	data, err := os.ReadFile(filepath.Join(n.host, "etc/motd"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// between puts the attacker on the way to the registry.
func (n *node) between(w wire) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wire[n.repo] = w
}

// withdraw ends what the attacker does on the way.
func (n *node) withdraw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.wire, n.repo)
}

// outside is what of a host is not the agent's own state.
func (n *node) outside() map[string]string {
	n.t.Helper()
	seen := map[string]string{}
	err := filepath.WalkDir(n.host, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if rel, _ := filepath.Rel(n.host, path); rel == "var/lib/vigo-agent" {
			return fs.SkipDir
		}
		info, err := e.Info()
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		sum := sha256.Sum256(data)
		seen[path] = info.Mode().String() + " " + hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return seen
}

// policy writes words into /etc/motd.
func policy(words string) fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
	return fstest.MapFS{
		"fleet.yaml":               file("kind: Fleet\nname: " + fleetName + "\nchannels: {" + channel + ": {}, " + strict + ": {}, " + held + ": {}}\n"),
		"roles/all.yaml":           file("kind: Role\nmodules: [motd]\n"),
		"modules/motd/module.yaml": file("kind: Module\nresources:\n  - file: /etc/motd\n    content: " + words + "\n"),
	}
}

// build compiles a policy and pushes its bundle, unsigned; edit may change what it is built from.
func (n *node) build(words string, edit func(*bundle.Config), b bundle.Builder) bundle.Built {
	n.t.Helper()
	schema := expr.NewSchema()
	traits.Schema(schema)
	cfg, layers, err := controller.Compile(policy(words), catalog.Language{Kinds: resources.Registry(), Schema: schema}, bundle.Config{})
	if err != nil {
		n.t.Fatal(err)
	}
	if edit != nil {
		edit(&cfg)
	}
	built, err := b.Build(cfg, controller.Inputs(layers))
	if err == nil {
		err = built.Push(n.t.Context(), n.store, "")
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return built
}

func (n *node) evil() bundle.Built { n.t.Helper(); return n.build("evil", nil, bundle.Builder{}) }

// sign attaches a signature of each key to a manifest.
func (n *node) sign(d bundle.Descriptor, by ...*trust.Signer) {
	n.t.Helper()
	for _, key := range by {
		s, err := key.SignManifest(n.t.Context(), d)
		if err != nil {
			n.t.Fatal(err)
		}
		n.attach(d, s)
	}
}

func (n *node) attach(d bundle.Descriptor, signature []byte) {
	n.t.Helper()
	if _, err := trust.Attach(n.t.Context(), n.store, d, signature, time.Now()); err != nil {
		n.t.Fatal(err)
	}
}

// pointer is the next one, to d.
func (n *node) pointer(d bundle.Descriptor) bundle.Pointer {
	n.seq++
	now := time.Now()
	return bundle.Pointer{Fleet: fleetName, Channel: n.chann, Epoch: n.epoch, Seq: n.seq, Issued: now, Expires: now.Add(time.Hour),
		Stable: bundle.Target{Digest: d.Digest, Size: d.Size}}
}

// show puts a pointer at the tag of the channel, whatever it says.
func (n *node) show(p bundle.Pointer, by ...*trust.Signer) {
	n.t.Helper()
	var signatures [][]byte
	for _, key := range by {
		s, err := key.SignPointer(n.t.Context(), p)
		if err != nil {
			n.t.Fatal(err)
		}
		signatures = append(signatures, s)
	}
	n.carry(signatures...)
}

// carry publishes signatures of pointers at the tag of the channel. The tag that never moves is one nobody looks at.
func (n *node) carry(signatures ...[]byte) {
	n.t.Helper()
	n.shown = append(n.shown, signatures)
	shown := bundle.Pointer{Channel: n.chann, Seq: time.Now().UnixNano(), Issued: time.Now()}
	if err := trust.PublishPointer(n.t.Context(), n.store, shown, signatures); err != nil {
		n.t.Fatal(err)
	}
}

// channelKeys are as many as the channel asks for.
func (n *node) channelKeys() []*trust.Signer {
	if n.chann == strict {
		return []*trust.Signer{n.keys.channel, n.keys.secondKey}
	}
	return []*trust.Signer{n.keys.channel}
}

// point signs and shows the next pointer, to d.
func (n *node) point(d bundle.Descriptor) {
	n.t.Helper()
	n.show(n.pointer(d), n.channelKeys()...)
}

// publish builds, signs and points, as the controller does.
func (n *node) publish(words string) bundle.Built {
	n.t.Helper()
	b := n.build(words, nil, bundle.Builder{})
	n.sign(b.Descriptor, n.keys.bundle, n.keys.secondBundle)
	if n.chann == held {
		n.approve(n.request(b.Descriptor), b.Descriptor, n.keys.ada, n.keys.ben)
	}
	n.point(b.Descriptor)
	return b
}

// drift breaks the host by hand.
func (n *node) drift() {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.host, "etc/motd"), []byte("by hand\n"), 0o644); err != nil {
		n.t.Fatal(err)
	}
}
