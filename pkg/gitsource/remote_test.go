package gitsource

import (
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource/gitsourcetest"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://user:secret@example.com/fleet.git": "https://example.com/fleet.git",
		"https://example.com:8443/fleet.git":        "https://example.com:8443/fleet.git",
		"git@example.com:fleet.git":                 "ssh://example.com/fleet.git",
		"ssh://git@example.com:2222/fleet.git":      "ssh://example.com:2222/fleet.git",
		"/srv/fleet":                                "",
	} {
		ep, err := parseURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := publicURL(ep); got != want {
			t.Errorf("%s is shown as %q, want %q", raw, got, want)
		}
	}
	for _, raw := range []string{"", "git://example.com/x", "http://u:p@example.com/x", "ftp://example.com/x"} {
		if _, err := Open(Options{URL: raw, Dir: t.TempDir()}); err == nil {
			t.Errorf("%q was accepted", raw)
		}
	}
}

// TestGitProgram reads what the real git writes: packed, with a work tree, in a folder of it.
func TestGitProgram(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Log("there is no git program: only repositories made by go-git were read")
		return
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(git, append([]string{"-C", dir, "-c", "user.name=A", "-c", "user.email=a@b.c"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	run("init", "-q", "-b", "main")
	put("policy/fleet.yaml", "1")
	run("add", ".")
	run("commit", "-q", "-m", "one")
	s := open(t, Options{URL: dir, Dir: t.TempDir()})
	fetch(t, s)
	put("policy/fleet.yaml", "2")
	run("commit", "-q", "-a", "-m", "two")
	run("gc", "-q")
	put("policy/fleet.yaml", "not committed")
	if got := read(t, s, fetch(t, s), "policy/fleet.yaml"); got != "2" {
		t.Errorf("fetched %q", got)
	}
	w, err := Worktree(t.Context(), filepath.Join(dir, "policy"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if data, err := fs.ReadFile(w.Tree, "fleet.yaml"); err != nil || string(data) != "2" {
		t.Errorf("folder of a repository: %q, %v", data, err)
	}
	run("worktree", "add", "-q", dir+"-linked", "HEAD~1")
	linked, err := Worktree(t.Context(), dir+"-linked", "")
	if err != nil {
		t.Fatal(err)
	}
	defer linked.Close()
	if linked.Commit.Subject != "one" {
		t.Errorf("linked work tree: %+v", linked.Commit)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	run("clone", "-q", "--depth", "1", "file://"+dir, shallow)
	if _, err := Worktree(t.Context(), shallow, ""); !errors.Is(err, ErrShallow) {
		t.Errorf("shallow: %v", err)
	}
	if _, err := open(t, Options{URL: shallow, Dir: t.TempDir()}).Fetch(t.Context()); !errors.Is(err, ErrShallow) {
		t.Errorf("fetching from shallow: %v", err)
	}
}

// TestSmartHTTP fetches from the real git server program, over TLS and with a password.
func TestSmartHTTP(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Log("there is no git program to serve")
		return
	}
	repo := gitsourcetest.New(t).Put(map[string]string{"f": "1"})
	repo.Commit("one")
	requests := 0
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{
		"GIT_PROJECT_ROOT=" + repo.Dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if user, password, _ := r.BasicAuth(); user != "git" || password != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if _, err := open(t, Options{URL: server.URL, Dir: t.TempDir(), Auth: Auth{CABundle: ca}}).Fetch(t.Context()); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("without a password: %v", err)
	}
	s := open(t, Options{URL: server.URL, Dir: t.TempDir(), Auth: Auth{CABundle: ca, Password: "secret"}})
	c := fetch(t, s)
	if err := s.Accept(c); err != nil {
		t.Fatal(err)
	}
	before := requests
	if again := fetch(t, s); again != c || requests != before+1 {
		t.Errorf("nothing changed, and it took %d requests", requests-before)
	}
	repo.Put(map[string]string{"f": "2"}).Commit("two")
	if c := fetch(t, s); c.Count != 2 || read(t, s, c, "f") != "2" {
		t.Errorf("got %+v", c)
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(stop)
	s := open(t, Options{URL: server.URL, Dir: t.TempDir(), Timeout: 50 * time.Millisecond})
	if _, err := s.Fetch(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
