package agent

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/seal"
)

// A value that the policy no longer has shows in the diff of the file that held it, and is masked there although the agent was
// started anew in between: one that ran before, one that was killed, and one that only looks.
func TestReplacedSecretIsMaskedAfterARestart(t *testing.T) {
	t.Parallel()
	r, key := newRig(t), nodeKey(t)
	r.publishSecret(secretPolicy(), r.sealed(key, nil))
	r.once(r.start(withKey(key)))
	if !strings.Contains(r.file("etc/db.conf"), planted) {
		t.Fatal("the secret was not enforced")
	}
	plain := secretPolicy()
	plain["roles/web.yaml"].Data = []byte("kind: Role\nwhen: role == \"web\"\nmodules: [motd, db]\n")
	plain["modules/db/module.yaml"].Data = []byte("kind: Module\nresources:\n  - file: /etc/db.conf\n    content: \"no secret\\n\"\n")
	delete(plain, "modules/db/templates/encoded")
	r.publishSecret(plain, nil)
	dry := r.once(r.start(withKey(key), func(c *Config) { c.DryRun = true }))
	run := r.once(r.start(withKey(key)))
	if got := r.file("etc/db.conf"); got != "no secret\n" {
		t.Fatalf("the file says %q", got)
	}
	said, err := json.Marshal(run)
	if err != nil || !strings.Contains(string(said), "-password=") {
		t.Errorf("the old line is not shown at all, so this proves nothing: %s, %v", said, err)
	}
	r.scan(dry, run)
	info, err := os.Stat(r.state.Path(rememberedFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of values: %v, %v", info, err)
	}

	r.now = r.now.Add(rememberedFor + time.Hour)
	r.publishSecret(plain, nil) // another pointer, since the last has expired
	r.once(r.start(withKey(key)))
	if past, err := readRemembered(r.state.Path(rememberedFile), privateOf(key)); err != nil || len(past.Values) > 0 {
		t.Errorf("after its time %d values are kept, %v", len(past.Values), err)
	}
}

func TestRemembered(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var r remembered
	for n, step := range []struct {
		in   []string
		news bool
		all  int
	}{{[]string{"a", "b"}, true, 2}, {[]string{"b", "a"}, false, 2}, {[]string{"b", "c"}, true, 3}, {[]string{"b", "c"}, false, 3}, {[]string{"a", "b", "c"}, true, 3}} {
		if news := r.inForce(step.in, now); news != step.news || len(r.Values) != step.all {
			t.Errorf("step %d: news %v, %d values", n, news, len(r.Values))
		}
	}
	if !r.inForce(nil, now) || r.inForce(nil, now.Add(rememberedFor-1)) || !r.inForce(nil, now.Add(rememberedFor)) || len(r.Values) != 0 {
		t.Errorf("what is out of force is %d values", len(r.Values))
	}
	for n := range 2 * maxRemembered {
		r.inForce([]string{"last", fmt.Sprint(n)}, now.Add(time.Duration(n)))
	}
	if texts := r.texts(); len(texts) != maxRemembered || texts[0] != "last" {
		t.Errorf("%d values are kept", len(texts))
	}
}

// A file that another key closed, or that is damaged, is said, and the agent goes on.
func TestRememberedOfAnother(t *testing.T) {
	t.Parallel()
	key, other := nodeKey(t), nodeKey(t)
	path := filepath.Join(t.TempDir(), rememberedFile)
	if got, err := readRemembered(path, privateOf(key)); err != nil || len(got.Values) > 0 {
		t.Errorf("a file that is not there: %v, %v", got, err)
	}
	junk, err := seal.Seal(key.Public(), []byte(planted))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"damaged": []byte("age"), "junk": junk} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readRemembered(path, privateOf(key))
		if err == nil || got == nil || strings.Contains(err.Error(), planted) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	kept := &remembered{Format: 1, Values: []pastSecret{{Value: []byte("x")}}}
	if err := errors.Join(kept.save(path, privateOf(other))); err != nil {
		t.Fatal(err)
	}
	if _, err := readRemembered(path, privateOf(key)); err == nil {
		t.Error("what another node closed was opened")
	}
}

func privateOf(k identity.NodeKey) ed25519.PrivateKey { return k.Signer().(ed25519.PrivateKey) }
