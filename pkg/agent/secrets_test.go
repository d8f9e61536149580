package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/seal"
)

// planted is a secret that is easy to find.
const planted = "planted-S3cret+/&'value"

// secretPolicy writes the secret to a file, gives it to a program, and makes two resources fail in ways that would show it.
func secretPolicy() fstest.MapFS {
	return motdPolicy("hello", map[string]string{
		"secrets/db/password.age": "sealed in git",
		"roles/web.yaml":          "kind: Role\nwhen: role == \"web\"\nmodules:\n  - motd\n  - db: {password: '{{ secret \"db/password\" }}'}\n",
		"modules/db/module.yaml": `kind: Module
params:
  password: secret
resources:
  - file: /etc/db.conf
    content: "user=app\npassword={{ .param.password }}\n"
  - file: /etc/db.b64
    template: encoded
    mode: "0640"
  - block: db
    path: /etc/motd
    content: "password {{ .param.password }}"
`,
		"modules/db/templates/encoded": `{{ with .param }}{{ .password | quote }}{{ end }}`,
	})
}

func nodeKey(t *testing.T) identity.NodeKey {
	t.Helper()
	key, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sealed publishes an envelope for the node, made to the key of to, as the secrets of a pointer.
func (r *rig) sealed(to identity.NodeKey, edit func(*seal.Envelope)) *bundle.Target {
	r.t.Helper()
	e := seal.Envelope{Fleet: "lab", Channel: "main", Node: "web-1", Key: seal.ID(to.Public()),
		Secrets: map[string]seal.Value{"db/password": {Value: []byte(planted), Version: version(r.t, secretPolicy(), "db/password.age")}}}
	if edit != nil {
		edit(&e)
	}
	data, err := e.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	closed, err := seal.Seal(to.Public(), data)
	if err != nil {
		r.t.Fatal(err)
	}
	built, err := seal.Pack("lab", "main", map[string][]byte{seal.ID(to.Public()): closed}, r.now)
	if err == nil {
		err = built.Push(r.t.Context(), r.store, seal.Tag(built.Descriptor.Digest))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return &bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}
}

func version(t *testing.T, fsys fs.FS, file string) string {
	t.Helper()
	s, err := policy.ListSecrets(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return s.Files[file]
}

// publishSecret publishes a policy with what is sealed to the node.
func (r *rig) publishSecret(files fs.FS, secrets *bundle.Target) {
	r.t.Helper()
	built := r.build(files, nil, bundle.Builder{})
	r.sign(built.Descriptor, r.keys.bundle)
	p := r.pointer(built.Descriptor)
	p.Secrets = secrets
	r.point(p, r.keys.channel)
}

func withKey(k identity.NodeKey) func(*Config) { return func(c *Config) { c.Key = k } }

func (r *rig) file(name string) string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.root, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Fatal(err)
	}
	return string(data)
}

// leaks fails when text shows the secret in any form.
func leaks(t *testing.T, where string, text []byte) {
	t.Helper()
	quoted, err := json.Marshal(planted)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{planted, strings.Trim(string(quoted), `"`), base64.StdEncoding.EncodeToString([]byte(planted)), hex.EncodeToString([]byte(planted)), "planted", "S3cret"} {
		if bytes.Contains(text, []byte(form)) {
			t.Errorf("%s shows the secret, as %q", where, form)
		}
	}
}

// scan looks at everything that the agent keeps, says and logs.
func (r *rig) scan(runs ...report.Run) {
	r.t.Helper()
	for _, run := range append(runs, r.service.runs...) {
		data, err := json.Marshal(run)
		if err != nil {
			r.t.Fatal(err)
		}
		leaks(r.t, "a report", data)
	}
	r.service.mu.Lock()
	said, err := json.Marshal(r.service.checkIns)
	r.service.mu.Unlock()
	if err != nil {
		r.t.Fatal(err)
	}
	leaks(r.t, "a check-in", said)
	leaks(r.t, "the log", r.logged.Bytes())
	err = filepath.WalkDir(r.state.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		leaks(r.t, path, data)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if st, err := ReadStatus(r.state.dir); err != nil {
		r.t.Fatal(err)
	} else if data, err := json.Marshal(st); err != nil {
		r.t.Fatal(err)
	} else {
		leaks(r.t, "the status", data)
	}
}

// TestPlantedSecretIsNowhere follows one secret through a dry run, a first run, drift and a run that fails: it is in the files it
// belongs to and in nothing that the agent says, logs or keeps.
func TestPlantedSecretIsNowhere(t *testing.T) {
	t.Parallel()
	r, key := newRig(t), nodeKey(t)
	r.publishSecret(secretPolicy(), r.sealed(key, nil))
	dry := r.once(r.start(withKey(key), func(c *Config) { c.DryRun = true }))
	if len(dry.Results) == 0 {
		t.Fatal("the dry run saw nothing")
	}
	a := r.start(withKey(key))
	first := r.once(a)
	if got := r.file("etc/db.conf"); !strings.Contains(got, "password="+planted+"\n") {
		t.Fatalf("the file says %q: %+v", got, first.Results)
	}
	info, err := os.Stat(filepath.Join(r.root, "etc/db.conf"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new file with a secret has mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(r.root, "etc/db.conf"), []byte("password=another-"+planted+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	drift := r.once(a)
	if drift.Counts.Corrected == 0 {
		t.Errorf("drift was not corrected: %+v", drift)
	}
	if err := errors.Join(os.Remove(filepath.Join(r.root, "etc/db.conf")), os.Mkdir(filepath.Join(r.root, "etc/db.conf"), 0o755)); err != nil {
		t.Fatal(err)
	}
	failed := r.once(a)
	if failed.Counts.Failed == 0 {
		t.Errorf("nothing failed: %+v", failed)
	}
	r.scan(dry, first, drift, failed)
	shown := ""
	for _, res := range first.Results {
		for _, c := range res.Changes {
			shown += res.ID + " " + c.String() + "\n"
		}
	}
	if !strings.Contains(shown, "db/file:/etc/db.conf content: (masked) -> (masked)\n") || !strings.Contains(shown, "db/file:/etc/db.b64 ensure: absent -> file\n") {
		t.Errorf("shown is\n%s", shown)
	}
}

// TestSecretsWithoutANetwork opens what was sealed after a restart without any line.
func TestSecretsWithoutANetwork(t *testing.T) {
	t.Parallel()
	r, key := newRig(t), nodeKey(t)
	r.publishSecret(secretPolicy(), r.sealed(key, nil))
	r.once(r.start(withKey(key)))
	if err := os.Remove(filepath.Join(r.root, "etc/db.conf")); err != nil {
		t.Fatal(err)
	}
	r.origin.cut(true)
	r.once(r.start(withKey(key)))
	if got := r.file("etc/db.conf"); !strings.Contains(got, planted) {
		t.Errorf("the file says %q", got)
	}
	r.scan()
}

// TestNotOurs gives the node envelopes it must not use, and none at all: what needs the secret fails, the rest is enforced.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to   bool // another key
		edit func(*seal.Envelope)
		want string
	}{
		"another key":     {to: true, want: "is not sealed to this node"},
		"another node":    {edit: func(e *seal.Envelope) { e.Node = "web-2" }, want: "is not sealed to this node"},
		"another channel": {edit: func(e *seal.Envelope) { e.Channel = "canary" }, want: "is not sealed to this node"},
		"another fleet":   {edit: func(e *seal.Envelope) { e.Fleet = "acme" }, want: "is not sealed to this node"},
		"another version": {edit: func(e *seal.Envelope) {
			e.Secrets["db/password"] = seal.Value{Value: []byte("old"), Version: "sha256:old"}
		}, want: "another version"},
		"nothing of it": {edit: func(e *seal.Envelope) { delete(e.Secrets, "db/password") }, want: "is not sealed to this node"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, key := newRig(t), nodeKey(t)
			to := key
			if c.to {
				to = nodeKey(t)
			}
			r.publishSecret(secretPolicy(), r.sealed(to, c.edit))
			run := r.once(r.start(withKey(key)))
			if run.Counts.Failed != 3 || !strings.Contains(run.Results[len(run.Results)-1].Reason, c.want) {
				t.Errorf("%+v", run)
			}
			if got := r.motd(); got != "hello" {
				t.Errorf("the host says %q", got)
			}
			if r.file("etc/db.conf") != "" {
				t.Errorf("the file says %q", r.file("etc/db.conf"))
			}
		})
	}
}

// TestSecretsFollowThePointer brings a secret with a later pointer to the same bundle, changes it, and takes it away; an older
// pointer brings nothing back.
func TestSecretsFollowThePointer(t *testing.T) {
	t.Parallel()
	r, key := newRig(t), nodeKey(t)
	built := r.build(secretPolicy(), nil, bundle.Builder{})
	r.sign(built.Descriptor, r.keys.bundle)
	point := func(s *bundle.Target) bundle.Pointer {
		p := r.pointer(built.Descriptor)
		p.Secrets = s
		r.point(p, r.keys.channel)
		return p
	}
	point(nil)
	a := r.start(withKey(key))
	if run := r.once(a); run.Counts.Failed != 3 {
		t.Fatalf("without secrets: %+v", run.Counts)
	}
	first := point(r.sealed(key, nil))
	if run := r.once(a); run.Counts.Failed != 0 || !strings.Contains(r.file("etc/db.conf"), planted) {
		t.Fatalf("with secrets: %+v", run)
	}
	changed := r.sealed(key, func(e *seal.Envelope) {
		v := e.Secrets["db/password"]
		v.Value = []byte("planted-S3cret-two")
		e.Secrets["db/password"] = v
	})
	point(changed)
	if run := r.once(a); run.Counts.Failed != 0 || !strings.Contains(r.file("etc/db.conf"), "planted-S3cret-two") {
		t.Fatalf("with other secrets: %+v", run)
	}
	r.point(first, r.keys.channel) // replayed
	r.once(a)
	if !strings.Contains(r.file("etc/db.conf"), "planted-S3cret-two") {
		t.Error("an old pointer brought an old secret back")
	}
	point(nil)
	if run := r.once(a); run.Counts.Failed != 3 {
		t.Errorf("taken away: %+v", run.Counts)
	}
	r.scan()
}
