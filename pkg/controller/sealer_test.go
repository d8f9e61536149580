package controller

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/seal"
	"vigo.dev/pkg/secrets"
)

// sealRig is a controller of a policy with secrets, and the nodes it seals to.
type sealRig struct {
	*rig
	identity *age.X25519Identity
	keys     map[string]ed25519.PrivateKey
	roster   []report.Recipient
	away     error // why nobody says which nodes there are
	variable string
}

// Recipients implements Roster.
func (r *sealRig) Recipients(context.Context) ([]report.Recipient, error) {
	return slices.Clone(r.roster), r.away
}

func sealLanguage() catalog.Language {
	return catalog.Language{Kinds: resources.Registry(), Schema: expr.NewSchema()}
}

func newSealRig(t *testing.T) *sealRig {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	r := &sealRig{rig: newRig(t), identity: id, keys: map[string]ed25519.PrivateKey{}}
	r.repo.Put(map[string]string{
		"fleet.yaml":                "kind: Fleet\nname: acme\nchannels: {staging: , production: }\nsecrets: {up: {env: X_, refresh: 1s}}\nnodes:\n  - {match: \"db-*\", labels: {role: db}}\n  - {match: \"web-*\", labels: {role: web}}\n",
		"roles/db.yaml":             "kind: Role\nwhen: role == \"db\"\nmodules: [db]\n",
		"roles/web.yaml":            "kind: Role\nwhen: role == \"web\"\nmodules: [web]\n",
		"roles/vault.yaml":          "kind: Role\nwhen: site == \"ams\"\nmodules: [vault]\n",
		"modules/db/module.yaml":    "kind: Module\nresources:\n  - file: /a\n    content: '{{ secret \"db/password\" }}'\n",
		"modules/web/module.yaml":   "kind: Module\nresources:\n  - file: /a\n    content: '{{ secret \"web/key\" }}'\n",
		"modules/vault/module.yaml": "kind: Module\nresources:\n  - file: /b\n    content: '{{ secret \"up/token\" }}'\n",
	})
	r.secret("db/password", "hunter2")
	r.secret("web/key", "private")
	return r
}

// secret puts an encrypted value into the repository.
func (r *sealRig) secret(name, value string) {
	r.t.Helper()
	data, err := secrets.Encrypt([]byte(value), []age.Recipient{r.identity.Recipient()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.repo.Put(map[string]string{"secrets/" + name + ".age": string(data)})
}

// enrol makes a node.
func (r *sealRig) enrol(name string, labels map[string]string) {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	key := ed25519.NewKeyFromSeed(seed)
	r.keys[name] = key
	r.roster = append(r.roster, report.Recipient{Node: name, Channel: "production", Labels: labels, Key: key.Public().(ed25519.PublicKey)})
}

func (r *sealRig) retire(name string) {
	r.roster = slices.DeleteFunc(r.roster, func(n report.Recipient) bool { return n.Node == name })
}

func (r *sealRig) begin() {
	r.t.Helper()
	src, err := gitsource.Open(gitsource.Options{URL: r.repo.Dir, Dir: filepath.Join(r.data, "git")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = src.Close() })
	now := func() time.Time { return r.now }
	r.c, err = New(Config{Data: r.data, Git: src, Store: r.store, Keys: r.rig.keys, Builder: &Bundler{Check: sealLanguage()}, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: now,
		Secrets: &Sealer{Language: sealLanguage(), Roster: r, Opener: &secrets.Opener{Identities: []age.Identity{r.identity}, Now: now, Getenv: func(string) string { return r.variable }}}})
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.c
	r.t.Cleanup(func() { c.others.drop(func(policy.Origin) bool { return true }) })
}

// holds returns what a node can open of what the channel shows, and tries every other part of it too.
func (r *sealRig) holds(node string) map[string]string {
	r.t.Helper()
	p := r.pointer("production")
	if p.Secrets == nil {
		return nil
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Secrets.Digest, Size: p.Secrets.Size}
	key := r.keys[node]
	got := map[string]string{}
	for other, theirs := range r.keys {
		sealed, err := seal.Find(r.t.Context(), r.store, d, "acme", "production", seal.ID(theirs.Public().(ed25519.PublicKey)))
		if err != nil {
			r.t.Fatal(err)
		}
		if sealed == nil {
			continue
		}
		e, err := seal.Open(key, "acme", "production", node, sealed)
		if other != node {
			if !errors.Is(err, seal.ErrNotOurs) {
				r.t.Errorf("%s opens what is sealed to %s: %v", node, other, err)
			}
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		for name, v := range e.Secrets {
			got[name] = string(v.Value)
		}
	}
	return got
}

func (r *sealRig) wants(node string, want map[string]string) {
	r.t.Helper()
	if got := r.holds(node); !maps.Equal(got, want) {
		r.t.Errorf("%s holds %v, want %v", node, got, want)
	}
}

// TestSealedToWhoUsesIt seals to each node what its roles use, and to nobody else.
func TestSealedToWhoUsesIt(t *testing.T) {
	t.Parallel()
	r := newSealRig(t)
	r.enrol("db-1", nil)
	r.enrol("web-1", map[string]string{"role": "db"}) // fleet.yaml has the last word
	r.enrol("other", nil)
	r.repo.Commit("first")
	r.begin()
	r.step()
	r.wants("db-1", map[string]string{"db/password": "hunter2"})
	r.wants("web-1", map[string]string{"web/key": "private"})
	r.wants("other", nil)
	first := r.pointer("production")

	// Nothing changed: nothing is published, also after a restart.
	r.step()
	r.begin()
	r.step()
	if p := r.pointer("production"); p.Seq != first.Seq {
		t.Errorf("pointer %s became %s for nothing", first.Version(), p.Version())
	}

	// A node joins: another pointer, the same bundle; what was sealed to others keeps its bytes.
	r.enrol("db-2", nil)
	r.step()
	r.wants("db-2", map[string]string{"db/password": "hunter2"})
	second := r.pointer("production")
	if second.Stable.Digest != first.Stable.Digest || second.Seq != first.Seq+1 {
		t.Errorf("%+v became %+v", first, second)
	}

	// A node without secrets joins: nothing to publish.
	r.enrol("another", nil)
	r.step()
	if p := r.pointer("production"); p.Seq != second.Seq {
		t.Error("published for a node that gets nothing")
	}

	// A node is retired: it gets none anymore.
	r.retire("db-1")
	r.step()
	r.wants("db-1", nil)
	r.wants("db-2", map[string]string{"db/password": "hunter2"})

	// A new value is a new bundle.
	r.secret("db/password", "rotated")
	r.repo.Commit("rotate")
	r.step()
	r.wants("db-2", map[string]string{"db/password": "rotated"})
	if p := r.pointer("production"); p.Stable.Digest == first.Stable.Digest {
		t.Error("a new value is no new bundle")
	}

	// A key is replaced.
	r.retire("web-1")
	r.keys["web-1"] = nil
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = 7
	fresh := ed25519.NewKeyFromSeed(seed)
	r.keys["web-1"] = fresh
	r.roster = append(r.roster, report.Recipient{Node: "web-1", Channel: "production", Key: fresh.Public().(ed25519.PublicKey)})
	r.step()
	r.wants("web-1", map[string]string{"web/key": "private"})
	if strings.Contains(r.log.String(), "hunter2") || strings.Contains(r.log.String(), "rotated") {
		t.Error("the log shows a secret")
	}
}

// TestSealingKeepsWhatNodesHave: when nobody says which nodes there are, or a provider does not answer, nodes keep what they have.
func TestSealingKeepsWhatNodesHave(t *testing.T) {
	t.Parallel()
	r := newSealRig(t)
	r.variable = "from-outside"
	r.enrol("db-1", map[string]string{"site": "ams"})
	r.repo.Commit("first")
	r.begin()
	r.step()
	all := map[string]string{"db/password": "hunter2", "up/token": "from-outside"}
	r.wants("db-1", all)

	r.variable, r.now = "", r.now.Add(time.Minute)
	r.enrol("db-2", map[string]string{"site": "ams"})
	if err := r.c.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "modules/vault/module.yaml:4") || r.c.Status().Failure.Kind != FailedSecrets {
		t.Errorf("got %v", err)
	}
	r.wants("db-1", all)
	r.wants("db-2", map[string]string{"db/password": "hunter2"})

	r.away, r.variable = errors.New("no route to host"), "changed"
	r.now = r.now.Add(time.Minute)
	if err := r.c.Step(t.Context()); err == nil {
		t.Error("nobody says which nodes there are, and nobody is told")
	}
	r.wants("db-1", all)

	r.away, r.now = nil, r.now.Add(time.Minute)
	r.step()
	r.wants("db-1", map[string]string{"db/password": "hunter2", "up/token": "changed"})
	r.wants("db-2", map[string]string{"db/password": "hunter2", "up/token": "changed"})
}

// TestUnreadableSecretIsTheAuthorsMistake refuses a commit with a secret that the controller cannot open, and names the place.
func TestUnreadableSecretIsTheAuthorsMistake(t *testing.T) {
	t.Parallel()
	r := newSealRig(t)
	r.enrol("db-1", nil)
	r.repo.Commit("first")
	r.begin()
	r.step()
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	data, err := secrets.Encrypt([]byte("x"), []age.Recipient{other.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	r.repo.Put(map[string]string{"secrets/db/password.age": string(data)})
	r.repo.Commit("to nobody")
	if err := r.c.Step(t.Context()); err == nil {
		t.Fatal("it was published")
	}
	f := r.c.Status().Failure
	if f.Kind != FailedPolicy || len(f.Problems) != 1 || f.Problems[0].Pos.String() != "modules/db/module.yaml:4:5" || !strings.Contains(f.Problems[0].Msg, "other recipients") {
		t.Errorf("%+v", f)
	}
	r.wants("db-1", map[string]string{"db/password": "hunter2"})
}
