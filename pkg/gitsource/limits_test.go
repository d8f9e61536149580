package gitsource

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"vigo.dev/pkg/gitsource/gitsourcetest"
)

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
