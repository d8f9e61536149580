package secrets_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/secrets"
)

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestFiles opens what was encrypted to one of several, and says why it cannot open the rest.
func TestFiles(t *testing.T) {
	t.Parallel()
	mine, other := identity(t), identity(t)
	to, err := secrets.ParseRecipients("r", []byte("# us\n"+mine.Recipient().String()+"\n\n"+other.Recipient().String()+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	both, err := secrets.Encrypt([]byte("hunter2\n"), to)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := secrets.Encrypt([]byte("x"), to[1:])
	if err != nil {
		t.Fatal(err)
	}
	repo := fstest.MapFS{"secrets/both.age": {Data: both}, "secrets/theirs.age": {Data: theirs}, "secrets/clear.age": {Data: []byte("hunter3")}, "secrets/s.yaml": {Data: []byte("a: hunter4\n")}}
	rules, err := policy.ListSecrets(repo)
	if err != nil {
		t.Fatal(err)
	}
	o := &secrets.Opener{Identities: []age.Identity{mine}, Now: time.Now}
	value, err := o.In(repo, rules).Open(t.Context(), "both")
	if err != nil || string(value) != "hunter2\n" {
		t.Errorf("got %q, %v", value, err)
	}
	for name, want := range map[string]string{
		"theirs": "encrypted to other recipients", "clear": "no age file", "s/a": "no file that SOPS has encrypted", "s/b": "no file that SOPS", "nowhere": "there is no secret",
	} {
		_, err := o.In(repo, rules).Open(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") || errors.Is(err, secrets.ErrElsewhere) {
			t.Errorf("%s: want %q, got %v", name, want, err)
		}
	}
	if _, err := (&secrets.Opener{Now: time.Now}).In(repo, rules).Open(t.Context(), "both"); !errors.Is(err, secrets.ErrNoIdentity) {
		t.Errorf("without an identity: %v", err)
	}
}

// TestRecipients names every line that is wrong, and shows no private key.
func TestRecipients(t *testing.T) {
	t.Parallel()
	id := identity(t)
	_, err := secrets.ParseRecipients("r.txt", []byte(id.Recipient().String()+"\n"+id.String()+"\nnobody\nage1x\n"))
	if err == nil || strings.Contains(err.Error(), id.String()) {
		t.Fatalf("got %v", err)
	}
	for _, line := range []string{"r.txt:2: ", "r.txt:3: ", "r.txt:4: "} {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("%s is missing in %v", line, err)
		}
	}
	public, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public())
	if err != nil {
		t.Fatal(err)
	}
	line := string(ssh.MarshalAuthorizedKey(public))
	if to, err := secrets.ParseRecipients("r", []byte(line)); err != nil || len(to) != 1 {
		t.Errorf("an SSH key: %v, %v", to, err)
	}
}

// TestIdentities reads identities where they may be, and refuses a file that others may read.
func TestIdentities(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	made, err := secrets.KeepIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := secrets.KeepIdentity(path)
	if err != nil || secrets.RecipientsOf(again)[0] != secrets.RecipientsOf(made)[0] {
		t.Errorf("made twice: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := secrets.IdentityOptions{Getenv: func(name string) string { return map[string]string{"KEY": string(text)}[name] }}
	for ref, ok := range map[string]bool{path: true, "file:" + path: true, "env:KEY": true, "env:NONE": false, "exec:": false, "ftp:x": false, path + ".pub": false} {
		if _, err := secrets.ReadIdentities(t.Context(), ref, o); (err == nil) != ok {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.ReadIdentities(t.Context(), path, o); err == nil || !strings.Contains(err.Error(), "others may read it") {
		t.Errorf("a file for all: %v", err)
	}
}

// requests are those that a server had, in order.
type requests struct {
	mu  sync.Mutex
	all []string
}

func (r *requests) add(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, what)
}

func (r *requests) number() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

func (r *requests) newest() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[len(r.all)-1]
}

// vault answers as Vault 1.15 and OpenBao 2.1 do: paths, headers, statuses and bodies are those of the API documentation of the
// KV version 2 engine (GET /v1/:mount/data/:path), and of what reads a secret in builtin/logical/kv/path_data.go of OpenBao.
func vault(t *testing.T, asked *requests) *httptest.Server {
	t.Helper()
	const body = `{"request_id":"1","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":%s,"metadata":{"created_time":"2026-03-22T02:24:06.945319214Z","custom_metadata":null,"deletion_time":"%s","destroyed":%v,"version":3}},"wrap_info":null,"warnings":null,"auth":null}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.add(r.Method + " " + r.URL.Path + " " + r.Header.Get("X-Vault-Namespace"))
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("X-Vault-Token") != "s.token" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`)
			return
		}
		switch r.URL.Path {
		case "/v1/kv/data/vigo/db":
			fmt.Fprintf(w, body, `{"password":"hunter2","port":5432}`, "", false)
		case "/v1/kv/data/vigo/one":
			fmt.Fprintf(w, body, `{"anything":"alone"}`, "", false)
		case "/v1/kv/data/vigo/short": // of an engine with delete_version_after, before that time
			fmt.Fprintf(w, body, `{"anything":"for a while"}`, "2096-03-22T02:36:43.986212308Z", false)
		case "/v1/kv/data/vigo/first": // of an engine of version 1 that has a secret of this name
			fmt.Fprint(w, `{"request_id":"1","lease_id":"","renewable":false,"lease_duration":2764800,"data":{"password":"hunter2"},"wrap_info":null,"warnings":null,"auth":null}`)
		case "/v1/kv/data/vigo/destroyed":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, body, `null`, "", true)
		case "/v1/kv/data/vigo/gone":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, body, `null`, "2026-03-22T02:36:43.986212308Z", false)
		case "/v1/kv/data/vigo/sealed":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"errors":["Vault is sealed"]}`)
		case "/v1/kv/data/vigo/moved":
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusTemporaryRedirect)
		case "/v1/kv/data/vigo/slow":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[]}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// TestVault asks a server for what is there, and for what is not in each way it can be missing.
func TestVault(t *testing.T) {
	t.Parallel()
	var asked requests
	server := vault(t, &asked)
	now := time.Unix(0, 0)
	token := "s.token"
	o := &secrets.Opener{Now: func() time.Time { return now }, Vaults: map[string]secrets.Token{server.URL: func() (string, error) { return token + "\n", nil }}}
	rules := policy.Secrets{Providers: map[string]policy.SecretProvider{
		"prod":  {Kind: "vault", Address: server.URL, Mount: "kv", Path: "vigo", Namespace: "team", Timeout: time.Minute},
		"hasty": {Kind: "vault", Address: server.URL, Mount: "kv", Path: "vigo", Timeout: 200 * time.Millisecond},
		"thief": {Kind: "vault", Address: "http://thief.invalid"},
	}}
	open := func(name string) (string, error) {
		v, err := o.In(fstest.MapFS{}, rules).Open(t.Context(), name)
		return string(v), err
	}
	for name, want := range map[string]string{"prod/db#password": "hunter2", "prod/db#port": "5432", "prod/one": "alone", "prod/short": "for a while"} {
		if got, err := open(name); err != nil || got != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"prod/db": "has no field", "prod/db#nothing": "has no field", "prod/gone#x": "is deleted", "prod/destroyed": "is deleted", "prod/first": "not of a KV engine of version 2", "prod/nowhere": "there is no kv/vigo/nowhere", "prod/sealed": "Vault is sealed",
		"prod/moved": "status 307", "hasty/slow": "no answer within 200ms", "thief/x": "may not ask http://thief.invalid",
	} {
		_, err := open(name)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s.token") || strings.Contains(err.Error(), "hunter2") || !errors.Is(err, secrets.ErrElsewhere) {
			t.Errorf("%s: want %q, got %v", name, want, err)
		}
	}
	before := asked.number()
	if _, err := open("prod/db#password"); err != nil || asked.number() != before {
		t.Errorf("asked again at once: %v", err)
	}
	token, now = "s.expired", now.Add(6*time.Minute)
	if _, err := open("prod/db#password"); err == nil || !strings.Contains(err.Error(), "refuses to show kv/vigo/db: 2 errors occurred: * permission denied * invalid token") || !errors.Is(err, secrets.ErrUnreachable) {
		t.Errorf("an expired token: %v", err)
	}
	if asked.newest() != "GET /v1/kv/data/vigo/db team" {
		t.Errorf("asked %q", asked.newest())
	}
}

// TestFilesAndVariables reads what the operator allows, and nothing around it.
func TestFilesAndVariables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"policies/web/key": "from a file", "private": "the controller's own"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../private", filepath.Join(dir, "policies/web/link")); err != nil {
		t.Fatal(err)
	}
	o := &secrets.Opener{Now: time.Now, Dir: filepath.Join(dir, "policies"), Getenv: func(name string) string {
		return map[string]string{"VIGO_SECRET_CI_DEPLOY_KEY": "from the environment", "CI_DEPLOY_KEY": "not for policies"}[name]
	}}
	rules := policy.Secrets{Providers: map[string]policy.SecretProvider{"disk": {Kind: "file", Path: "web"}, "up": {Kind: "file", Path: ".."}, "ci": {Kind: "env", Prefix: "CI_"}}}
	for name, want := range map[string]string{"disk/key": "from a file", "ci/deploy-key": "from the environment"} {
		if got, err := o.In(fstest.MapFS{}, rules).Open(t.Context(), name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"disk/link", "disk/none", "disk/../private", "up/private", "ci/other"} {
		if got, err := o.In(fstest.MapFS{}, rules).Open(context.Background(), name); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// FuzzDecrypt feeds anything to the reader of age files.
func FuzzDecrypt(f *testing.F) {
	id := identity(f)
	good, err := secrets.Encrypt([]byte("hunter2"), []age.Recipient{id.Recipient()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\ny\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := secrets.Decrypt(data, []age.Identity{id})
		if err != nil && value != nil {
			t.Error("a value beside an error")
		}
	})
}

// FuzzParseRecipients feeds anything to the reader of recipients.
func FuzzParseRecipients(f *testing.F) {
	f.Add([]byte("age1dq9s5aeewtjpfs05r83t6fyfjd3x9udvc9hpezss5dlpzq6at54stwxm3n\n# x\nssh-ed25519 AAAA\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		to, err := secrets.ParseRecipients("r", data)
		if err == nil && len(to) == 0 {
			t.Error("nobody, and no error")
		}
	})
}
