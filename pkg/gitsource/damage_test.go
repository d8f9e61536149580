package gitsource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/pkg/gitsource/gitsourcetest"
)

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
