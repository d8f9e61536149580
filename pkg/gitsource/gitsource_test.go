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
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource/gitsourcetest"
)

func open(t *testing.T, o Options) *Source {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func fetch(t *testing.T, s *Source) Commit {
	t.Helper()
	c, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, s *Source, c Commit, name string) string {
	t.Helper()
	tree, err := s.Tree(c)
	if err != nil {
		t.Fatal(err)
	}
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFetchFollowsTheBranch(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"fleet.yaml": "one", "modules/a/module.yaml": "a"})
	first := repo.Commit("first\n\nbody")
	for _, url := range []string{repo.Dir, "file://" + repo.Dir} {
		s := open(t, Options{URL: url, Dir: t.TempDir()})
		got := fetch(t, s)
		want := Commit{Hash: first, Time: time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC), Author: "Ada <ada@example.com>", Subject: "first", Count: 1, Tree: got.Tree}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("commit differs (-want +got):\n%s", diff)
		}
		if s.URL() != "" {
			t.Errorf("URL of a local repository is %q", s.URL())
		}
	}
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	c := fetch(t, s)
	if err := s.Accept(c); err != nil {
		t.Fatal(err)
	}
	second := repo.Put(map[string]string{"fleet.yaml": "two"}).Commit("second")
	c2 := fetch(t, s)
	if c2.Hash != second || c2.Count != 2 {
		t.Errorf("second fetch: %+v", c2)
	}
	if got := read(t, s, c2, "fleet.yaml") + read(t, s, c, "fleet.yaml"); got != "twoone" {
		t.Errorf("files of both commits: %q", got)
	}
}

func TestTreeIsAFileSystem(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"fleet.yaml": "x", "foo/bar": "1", "foo.txt": "2", "foo-a/b/c/d": "3"})
	repo.PutMode("foo/run", "#!/bin/sh\n", filemode.Executable)
	repo.Commit("files")
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	tree, err := s.Tree(fetch(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(tree, "fleet.yaml", "foo/bar", "foo.txt", "foo-a/b/c/d", "foo/run"); err != nil {
		t.Error(err)
	}
	info, err := fs.Stat(tree, "foo/run")
	if err != nil || info.Mode() != 0o755 || info.Size() != 10 {
		t.Errorf("executable: %v, %v", info, err)
	}
	a, err1 := tree.Hash("foo")
	b, err2 := tree.Hash("foo-a")
	if err1 != nil || err2 != nil || a == b || len(a) != 40 {
		t.Errorf("hashes %q %v, %q %v", a, err1, b, err2)
	}
}

func TestTreeRefusesLinks(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"fleet.yaml": "x"})
	repo.PutMode("link", "fleet.yaml", filemode.Symlink).PutMode("dir", "/etc", filemode.Symlink)
	repo.Commit("links")
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	tree, err := s.Tree(fetch(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "dir/passwd"} {
		if _, err := fs.ReadFile(tree, name); !errors.Is(err, ErrNotFile) || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTreeLimits(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"big": strings.Repeat("x", 101), "a/b/c/d": "deep", "ok": "1"})
	repo.Commit("big")
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir(), Limits: Limits{File: 100, Depth: 2, Entries: 5}})
	tree, err := s.Tree(fetch(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"big", "a/b/c/d"} {
		if _, err := fs.ReadFile(tree, name); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wide := map[string]string{}
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		wide["wide/"+n] = n
	}
	repo.Put(wide).Commit("wide")
	tree, err = s.Tree(fetch(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadDir(tree, "wide"); !errors.Is(err, ErrLimit) {
		t.Errorf("wide: %v", err)
	}
}

func TestRewrittenBranchIsRefused(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"f": "1"})
	base := repo.Commit("base")
	old := repo.Put(map[string]string{"f": "2"}).Commit("published")
	dir := t.TempDir()
	s := open(t, Options{URL: repo.Dir, Dir: dir})
	if err := s.Accept(fetch(t, s)); err != nil {
		t.Fatal(err)
	}
	rewritten := repo.Put(map[string]string{"f": "3"}).CommitOn("instead", plumbing.NewHash(base))
	_, err := s.Fetch(t.Context())
	var refused *RewrittenError
	if !errors.As(err, &refused) || refused.Old != old || refused.New != rewritten || refused.Lost != 1 || !strings.Contains(err.Error(), "1 published commits would be lost") {
		t.Fatalf("error is %v", err)
	}
	if len(fault.Hints(err)) == 0 || !errors.Is(err, ErrRewritten) {
		t.Errorf("hints %q of %v", fault.Hints(err), err)
	}
	// The refusal survives a restart and the loss of the copy.
	if err := os.RemoveAll(filepath.Join(dir, "repo.git")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, Options{URL: repo.Dir, Dir: dir}).Fetch(t.Context()); !errors.Is(err, ErrRewritten) {
		t.Errorf("after a restart: %v", err)
	}
	allowed := open(t, Options{URL: repo.Dir, Dir: dir, AllowRewrite: rewritten})
	c := fetch(t, allowed)
	if c.Hash != rewritten || c.Count != 2 {
		t.Errorf("allowed: %+v", c)
	}
	if got := allowed.Replaced(); got != old {
		t.Errorf("it replaces %q", got)
	}
	if _, err := allowed.Lookup(old); !errors.Is(err, ErrNoCommit) {
		t.Errorf("the commit that is gone: %v", err)
	}
	if err := allowed.Accept(c); err != nil {
		t.Fatal(err)
	}
	if got := allowed.Replaced(); got != "" {
		t.Errorf("it still replaces %q", got)
	}
	next := repo.Commit("next")
	if c := fetch(t, open(t, Options{URL: repo.Dir, Dir: dir})); c.Hash != next || c.Count != 3 {
		t.Errorf("after the rewrite: %+v", c)
	}
}

func TestUnpublishedCommitMayBeReplaced(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"f": "1"})
	base := repo.Commit("base")
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	if err := s.Accept(fetch(t, s)); err != nil {
		t.Fatal(err)
	}
	repo.Put(map[string]string{"f": "broken"}).Commit("does not compile")
	fetch(t, s)
	fixed := repo.Put(map[string]string{"f": "2"}).CommitOn("fixed", plumbing.NewHash(base))
	if c := fetch(t, s); c.Hash != fixed || c.Count != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestMergesAreCountedOnce(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"f": "1"})
	base := repo.Commit("base")
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	left := repo.Commit("left")
	if err := s.Accept(fetch(t, s)); err != nil {
		t.Fatal(err)
	}
	right := repo.CommitOn("right", plumbing.NewHash(base))
	merge := repo.CommitOn("merge", plumbing.NewHash(right), plumbing.NewHash(left))
	if c := fetch(t, s); c.Hash != merge || c.Count != 4 {
		t.Errorf("got %+v", c)
	}
}

func TestMissingBranch(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	_, err := s.Fetch(t.Context())
	if !errors.Is(err, ErrNoBranch) || !strings.Contains(strings.Join(fault.Hints(err), ""), "empty") {
		t.Errorf("empty repository: %v %q", err, fault.Hints(err))
	}
	repo.Put(map[string]string{"f": "1"}).Commit("one")
	s = open(t, Options{URL: repo.Dir, Branch: "mian", Dir: t.TempDir()})
	_, err = s.Fetch(t.Context())
	if !errors.Is(err, ErrNoBranch) || !strings.Contains(strings.Join(fault.Hints(err), ""), `"main"`) {
		t.Errorf("misspelt branch: %v %q", err, fault.Hints(err))
	}
	s = open(t, Options{URL: t.TempDir(), Dir: t.TempDir()})
	if _, err = s.Fetch(t.Context()); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("no repository: %v", err)
	}
}

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

func TestDamagedCopyIsMadeAnew(t *testing.T) {
	t.Parallel()
	damages := map[string]func(t *testing.T, git string){
		"truncated pack": func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, "objects/pack/*.pack")) },
		"lost index":     func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "objects/pack/*.idx")) },
		"lost objects":   func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "objects/pack/*")) },
		"empty ref":      func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, "refs/heads/main")) },
		"no HEAD":        func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "HEAD")) },
		"half a pack": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "objects/pack/tmp_pack_1"), []byte("PACK"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gitsourcetest.New(t).Put(map[string]string{"f": "1"})
			repo.Commit("one")
			dir := t.TempDir()
			s, err := Open(Options{URL: repo.Dir, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			c := fetch(t, s)
			if err := errors.Join(s.Accept(c), s.Close()); err != nil {
				t.Fatal(err)
			}
			damage(t, filepath.Join(dir, "repo.git"))
			s = open(t, Options{URL: repo.Dir, Dir: dir})
			again := fetch(t, s)
			if again != c || read(t, s, again, "f") != "1" {
				t.Errorf("got %+v, want %+v", again, c)
			}
		})
	}
}

func truncate(t *testing.T, pattern string) {
	t.Helper()
	for _, name := range glob(t, pattern) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chmod(name, 0o600), os.Truncate(name, info.Size()/2)); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, pattern string) {
	t.Helper()
	for _, name := range glob(t, pattern) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("nothing matches %s: %v", pattern, err)
	}
	return names
}

func TestManyFetchesArePutTogether(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"f": "0"})
	repo.Commit("zero")
	dir := t.TempDir()
	s := open(t, Options{URL: repo.Dir, Dir: dir})
	var last Commit
	for i := range tooManyPack + 6 {
		repo.Put(map[string]string{"f": strings.Repeat("x", i)}).Commit("more")
		last = fetch(t, s)
		if err := s.Accept(last); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(glob(t, filepath.Join(dir, "repo.git/objects/pack/*.pack"))); n > 10 {
		t.Errorf("%d packs are left", n)
	}
	if got := read(t, s, last, "f"); len(got) != tooManyPack+5 {
		t.Errorf("the file has %d bytes", len(got))
	}
	if err := s.copy.check(); err != nil {
		t.Error(err)
	}
}

func TestWorktreeBuildsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t).Put(map[string]string{"policy/fleet.yaml": "1", "readme": "r"})
	first := repo.Commit("one")
	repo.Put(map[string]string{"policy/fleet.yaml": "2"}).Commit("two")
	w, err := Worktree(t.Context(), repo.Dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if data, err := fs.ReadFile(w.Tree, "policy/fleet.yaml"); err != nil || string(data) != "2" || w.Commit.Count != 2 {
		t.Errorf("HEAD: %q %v %+v", data, err, w.Commit)
	}
	old, err := Worktree(t.Context(), repo.Dir, first[:8])
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if data, err := fs.ReadFile(old.Tree, "policy/fleet.yaml"); err != nil || string(data) != "1" || old.Commit.Count != 1 {
		t.Errorf("%s: %q %v %+v", first[:8], data, err, old.Commit)
	}
	if _, err := Worktree(t.Context(), repo.Dir, "nowhere"); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("unknown revision: %v", err)
	}
	if _, err := Worktree(t.Context(), t.TempDir(), ""); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("no repository: %v", err)
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

// What a process that was killed has left of a write is gone after the next start.
func TestWhatAKilledWriterLeftIsRemoved(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.New(t)
	repo.Put(map[string]string{"a": "1"}).Commit("one")
	dir := t.TempDir()
	left := filepath.Join(dir, ".accepted.json.tmp-123")
	if err := os.WriteFile(left, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	fetch(t, open(t, Options{URL: repo.Dir, Dir: dir}))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", left, err)
	}
}
