package gitsource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
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
