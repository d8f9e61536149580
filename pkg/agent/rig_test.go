package agent

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
	"vigo.dev/pkg/trust"
)

// rig is a fleet of one node: a registry with signed bundles and pointers, a host in a folder, and the agent of it.
type rig struct {
	t        *testing.T
	now      time.Time
	registry string // folder
	store    bundle.Store
	origin   *line
	keys     keys
	root     string // the host
	state    State
	service  *recorder
	version  string
	seq      int64
	shown    []string // digests of the content that carries the newest pointer
	logged   *bytes.Buffer
}

type keys struct {
	owner, bundle, channel *trust.Signer // owner signs root documents
	root                   trust.Root    // the newest
}

func newKey(t testing.TB) *trust.Signer {
	t.Helper()
	s, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newKeys(t testing.TB) keys {
	k := keys{owner: newKey(t), bundle: newKey(t), channel: newKey(t)}
	k.root.Version = 1
	k.root.Grant(trust.RoleRoot, 1, trust.Key{Public: k.owner.Public()})
	k.root.Grant(trust.RoleBundle, 1, trust.Key{Public: k.bundle.Public()})
	k.root.Grant(trust.RoleAnyChannel, 1, trust.Key{Public: k.channel.Public()})
	return k
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), registry: t.TempDir(), keys: newKeys(t), root: t.TempDir(),
		service: &recorder{}, version: "1.0.0", logged: &bytes.Buffer{}}
	reg, err := registry.New(registry.Options{Dir: r.registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.store, err = reg.Store(t.Context(), "vigo/bundles"); err != nil {
		t.Fatal(err)
	}
	r.origin = &line{Source: r.store}
	if err := os.Mkdir(filepath.Join(r.root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r.state, err = OpenState(filepath.Join(t.TempDir(), "state")); err != nil {
		t.Fatal(err)
	}
	e := enrolment()
	if err := errors.Join(r.state.beginTrust(e), r.state.SaveEnrolment(e)); err != nil {
		t.Fatal(err)
	}
	r.pin()
	return r
}

// pin makes the newest root the one in force on the host, as enrolment does.
func (r *rig) pin() {
	r.t.Helper()
	document, err := r.keys.root.Marshal()
	if err := errors.Join(err, os.WriteFile(r.state.Path(rootFile), document, 0o600)); err != nil {
		r.t.Fatal(err)
	}
}

func enrolment() Enrolment {
	return Enrolment{Node: "web-1", Fleet: "lab", Channel: "main", Interval: 30 * time.Second, Labels: map[string]string{"role": "web"}}
}

// motdPolicy is a fleet with one module that writes /etc/motd, and what files add to it.
func motdPolicy(motd string, files ...map[string]string) fstest.MapFS {
	all := map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: lab\nchannels:\n  main: {nodes: role == \"web\"}\nlabels: [role]\n",
		"roles/web.yaml":           "kind: Role\nwhen: role == \"web\"\nmodules:\n  - motd\n",
		"modules/motd/module.yaml": "kind: Module\nabout: What people read.\nresources:\n  - file: /etc/motd\n    content: \"" + motd + "\\n\"\n    mode: \"0644\"\n",
	}
	for _, more := range files {
		maps.Copy(all, more)
	}
	tree := fstest.MapFS{}
	for name, text := range all {
		tree[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return tree
}

func language() catalog.Language {
	schema := expr.NewSchema()
	traits.Schema(schema)
	return catalog.Language{Kinds: resources.Registry(), Schema: schema, Guardrails: resources.Guardrails(resources.UsualAgent())}
}

// build compiles a policy to a bundle and pushes it; edit may change what is built first. It is not signed.
func (r *rig) build(files fs.FS, edit func(*bundle.Config, []bundle.LayerInput), b bundle.Builder) bundle.Built {
	r.t.Helper()
	cfg, layers, err := controller.Compile(files, language(), bundle.Config{Source: bundle.Origin{Commit: "c0ffee"}})
	if err != nil {
		r.t.Fatal(err)
	}
	inputs := controller.Inputs(layers)
	if edit != nil {
		edit(&cfg, inputs)
	}
	built, err := b.Build(cfg, inputs)
	if err == nil {
		err = built.Push(r.t.Context(), r.store, "")
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return built
}

func (r *rig) sign(d bundle.Descriptor, key *trust.Signer) {
	r.t.Helper()
	sig, err := key.SignManifest(r.t.Context(), d)
	if err == nil {
		_, err = trust.Attach(r.t.Context(), r.store, d, sig, r.now)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// pointer is the next one, to d.
func (r *rig) pointer(d bundle.Descriptor) bundle.Pointer {
	r.seq++
	return bundle.Pointer{Fleet: "lab", Channel: "main", Epoch: r.keys.root.Version, Seq: r.seq, Issued: r.now, Expires: r.now.Add(time.Hour),
		Stable: bundle.Target{Digest: d.Digest, Size: d.Size}}
}

// point shows a pointer at the tag of channel main, whatever it says.
func (r *rig) point(p bundle.Pointer, key *trust.Signer) {
	r.t.Helper()
	sig, err := key.SignPointer(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	// Published under another name first: what it says may be about another channel, or a number that was used.
	shown := p
	shown.Channel, shown.Seq = "main", time.Now().UnixNano()
	if err := trust.PublishPointer(r.t.Context(), r.store, shown, [][]byte{sig}); err != nil {
		r.t.Fatal(err)
	}
	d, err := r.store.Resolve(r.t.Context(), "channel-main")
	if err != nil {
		r.t.Fatal(err)
	}
	r.shown = []string{d.Digest, bundle.DigestOf(sig)}
}

// publish builds, signs and points.
func (r *rig) publish(files fs.FS) bundle.Built {
	r.t.Helper()
	built := r.build(files, nil, bundle.Builder{})
	r.sign(built.Descriptor, r.keys.bundle)
	r.point(r.pointer(built.Descriptor), r.keys.channel)
	return built
}

// start makes an agent as a new process would.
func (r *rig) start(edit ...func(*Config)) *Agent {
	r.t.Helper()
	a, err := r.tryStart(edit...)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) tryStart(edit ...func(*Config)) (*Agent, error) {
	r.t.Helper()
	e, err := r.state.LoadEnrolment()
	if err != nil {
		return nil, err
	}
	root, err := r.state.LoadRoot()
	if err != nil {
		return nil, err
	}
	cache, err := ocistore.Cached(r.origin, r.state.Path(cacheDir), r.clock)
	if err != nil {
		return nil, err
	}
	m, err := machine.New(machine.Options{Root: r.root, Now: r.clock})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			r.t.Error(err)
		}
	})
	c := Config{Version: r.version, Enrolment: e, State: r.state, Root: root, Origin: cache, Service: r.service, Language: language(),
		NewHost: m.Host, Log: slog.New(slog.NewTextHandler(r.logged, nil)), Now: r.clock, Jitter: func() float64 { return 0.5 }}
	for _, f := range edit {
		f(&c)
	}
	return New(c)
}

func (r *rig) clock() time.Time { return r.now }

// once makes a cycle with its report.
func (r *rig) once(a *Agent) report.Run {
	r.t.Helper()
	run, err := a.Once(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return run
}

func (r *rig) motd() string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.root, "etc/motd"))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSuffix(string(data), "\n")
}

// wantMotd fails unless the host says text.
func (r *rig) wantMotd(text string) {
	r.t.Helper()
	if got := r.motd(); got != text {
		r.t.Errorf("/etc/motd says %q, want %q\n%s", got, text, r.logged)
	}
}

// wantRefusal fails unless the last check-in told of a refusal of this name alone.
func (r *rig) wantRefusal(name string) {
	r.t.Helper()
	var names []string
	for _, f := range r.service.last(r.t).Refusals {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{name}) {
		r.t.Errorf("refusals in the report: %v, want %q\n%s", names, name, r.logged)
	}
}

// snapshot is a folder as text: names, modes and content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + bundle.DigestOf(data)
		}
		rel, err := filepath.Rel(dir, path)
		all[rel] = text
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}
