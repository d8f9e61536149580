// Package gitsourcetest makes git repositories for tests, by writing their objects directly.
//
// It refuses to run the git program and to keep a work tree, so that a thousand modules are made in a moment.
package gitsourcetest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// A Repo is a bare repository whose next commit is edited in memory.
type Repo struct {
	Dir string
	Git *git.Repository
	// Sign, if not nil, makes the armoured signature of each commit.
	Sign func(payload []byte) []byte

	tb    testing.TB
	files map[string]item
	clock time.Time
	blobs map[plumbing.Hash]bool
	trees map[plumbing.Hash]bool
}

type item struct {
	hash plumbing.Hash
	mode filemode.FileMode
}

// New makes an empty repository in a folder of the test, with the branch main.
func New(tb testing.TB) *Repo {
	tb.Helper()
	r := &Repo{
		Dir: tb.TempDir(), tb: tb, files: map[string]item{}, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		blobs: map[plumbing.Hash]bool{}, trees: map[plumbing.Hash]bool{},
	}
	var err error
	r.Git, err = git.PlainInitWithOptions(r.Dir, &git.PlainInitOptions{Bare: true, InitOptions: git.InitOptions{DefaultBranch: "refs/heads/main"}})
	r.must(err)
	return r
}

// Put adds or replaces files of the next commit.
func (r *Repo) Put(files map[string]string) *Repo {
	r.tb.Helper()
	for name, content := range files {
		r.PutMode(name, content, filemode.Regular)
	}
	return r
}

// PutMode adds one file with a mode of git, such as a symbolic link whose target is the content.
func (r *Repo) PutMode(name, content string, mode filemode.FileMode) *Repo {
	r.tb.Helper()
	r.files[name] = item{r.write(plumbing.BlobObject, []byte(content), r.blobs), mode}
	return r
}

// Remove removes files, and folders with all in them, from the next commit.
func (r *Repo) Remove(names ...string) *Repo {
	for _, name := range names {
		for file := range r.files {
			if file == name || strings.HasPrefix(file, name+"/") {
				delete(r.files, file)
			}
		}
	}
	return r
}

// Now sets the clock of the next commits.
func (r *Repo) Now(t time.Time) { r.clock = t }

// Commit records the files on the branch main, after its tip, and returns the hash. Each commit is a minute later.
func (r *Repo) Commit(message string) string {
	r.tb.Helper()
	var parents []plumbing.Hash
	if ref, err := r.Git.Reference("refs/heads/main", true); err == nil {
		parents = []plumbing.Hash{ref.Hash()}
	}
	return r.CommitOn(message, parents...)
}

// CommitOn records the files as a commit with the given parents, moves main to it and returns the hash.
func (r *Repo) CommitOn(message string, parents ...plumbing.Hash) string {
	r.tb.Helper()
	r.clock = r.clock.Add(time.Minute)
	who := object.Signature{Name: "Ada", Email: "ada@example.com", When: r.clock}
	c := &object.Commit{Author: who, Committer: who, Message: message, TreeHash: r.tree(r.files), ParentHashes: parents}
	obj := &plumbing.MemoryObject{}
	r.must(c.Encode(obj))
	rd, err := obj.Reader()
	r.must(err)
	raw, err := io.ReadAll(rd)
	r.must(err)
	if r.Sign != nil {
		signature := strings.ReplaceAll(strings.TrimSpace(string(r.Sign(raw))), "\n", "\n ")
		raw = []byte(strings.Replace(string(raw), "\n\n", "\ngpgsig "+signature+"\n\n", 1))
	}
	h := r.write(plumbing.CommitObject, raw, map[plumbing.Hash]bool{})
	r.move("main", h)
	return h.String()
}

// Branch makes a branch, or moves it, to a commit.
func (r *Repo) Branch(name, commit string) {
	r.tb.Helper()
	r.move(name, plumbing.NewHash(commit))
}

// move moves a branch as git does, in one step. go-git empties the file first: who fetches just then is told that the branch is
// not there.
func (r *Repo) move(branch string, to plumbing.Hash) {
	r.tb.Helper()
	path := filepath.Join(r.Dir, "refs", "heads", filepath.FromSlash(branch))
	r.must(os.MkdirAll(filepath.Dir(path), 0o755))
	next := filepath.Join(r.Dir, "next-tip")
	r.must(os.WriteFile(next, []byte(to.String()+"\n"), 0o644))
	r.must(os.Rename(next, path))
}

// tree writes the trees of files and returns the root.
func (r *Repo) tree(files map[string]item) plumbing.Hash {
	var t object.Tree
	below := map[string]map[string]item{}
	for name, it := range files {
		if dir, rest, ok := strings.Cut(name, "/"); ok {
			if below[dir] == nil {
				below[dir] = map[string]item{}
			}
			below[dir][rest] = it
			continue
		}
		t.Entries = append(t.Entries, object.TreeEntry{Name: name, Mode: it.mode, Hash: it.hash})
	}
	for dir, inside := range below {
		t.Entries = append(t.Entries, object.TreeEntry{Name: dir, Mode: filemode.Dir, Hash: r.tree(inside)})
	}
	slices.SortFunc(t.Entries, func(a, b object.TreeEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	var raw []byte
	for _, e := range t.Entries {
		raw = fmt.Appendf(raw, "%o %s\x00", uint32(e.Mode), e.Name)
		raw = append(raw, e.Hash[:]...)
	}
	return r.write(plumbing.TreeObject, raw, r.trees)
}

// sortName is how git orders the names of a tree: folders as if they ended with a slash.
func sortName(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

// write stores an object unless it is there.
func (r *Repo) write(kind plumbing.ObjectType, data []byte, known map[plumbing.Hash]bool) plumbing.Hash {
	r.tb.Helper()
	if h := plumbing.ComputeHash(kind, data); known[h] {
		return h
	}
	obj := r.Git.Storer.NewEncodedObject()
	obj.SetType(kind)
	w, err := obj.Writer()
	r.must(err)
	_, err = w.Write(data)
	r.must(err)
	r.must(w.Close())
	h, err := r.Git.Storer.SetEncodedObject(obj)
	r.must(err)
	known[h] = true
	return h
}

func (r *Repo) must(err error) {
	r.tb.Helper()
	if err != nil {
		r.tb.Fatal(err)
	}
}
