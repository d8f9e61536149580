package gitsource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Limits bound what a hostile repository can cost. Zero values mean the defaults.
type Limits struct {
	File    int64 // bytes of one file; default 16 MiB
	Entries int   // files and folders one Tree lists, counting each time a folder appears; default 200,000
	Depth   int   // folders inside folders; default 32
}

func (l Limits) orDefault() Limits {
	if l.File == 0 {
		l.File = 16 << 20
	}
	if l.Entries == 0 {
		l.Entries = 200_000
	}
	if l.Depth == 0 {
		l.Depth = 32
	}
	return l
}

// A Tree is the files of one commit as an fs.FS. Modes are those of git: 0644, 0755, folders 0755; there are no times.
// Opening a link or a submodule fails with [ErrNotFile]. It may be used from several goroutines.
type Tree struct {
	objects *objects
	root    plumbing.Hash
	limits  Limits
	dirs    map[string]*folder // under objects.mu
	listed  int                // under objects.mu
}

var (
	_ fs.ReadFileFS = (*Tree)(nil)
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)
)

type folder struct {
	hash    plumbing.Hash
	entries []fs.DirEntry // sorted by name
	byName  map[string]*entry
}

// newTree shows the tree of a commit.
func newTree(o *objects, c Commit, l Limits) (*Tree, error) {
	t := &Tree{objects: o, root: plumbing.NewHash(c.Tree), limits: l.orDefault(), dirs: map[string]*folder{}}
	if _, err := t.ReadDir("."); err != nil {
		return nil, fmt.Errorf("reading commit %s: %w", c.Hash, err)
	}
	return t, nil
}

// Hash returns the git object hash of a file or folder: equal hashes, equal content.
func (t *Tree) Hash(name string) (string, error) {
	t.objects.mu.Lock()
	defer t.objects.mu.Unlock()
	e, err := t.find("hash", name)
	if err != nil {
		return "", err
	}
	return e.hash.String(), nil
}

// Open implements fs.FS.
func (t *Tree) Open(name string) (fs.File, error) {
	t.objects.mu.Lock()
	defer t.objects.mu.Unlock()
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		d, err := t.dir(name, e.hash)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openDir{entry: e, entries: d.entries}, nil
	}
	data, err := t.read(e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{entry: e.sized(int64(len(data))), Reader: strings.NewReader(string(data))}, nil
}

// ReadFile implements fs.ReadFileFS.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	t.objects.mu.Lock()
	defer t.objects.mu.Unlock()
	e, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	data, err := t.read(e)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// ReadDir implements fs.ReadDirFS. Links and submodules are listed with their type.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	t.objects.mu.Lock()
	defer t.objects.mu.Unlock()
	e, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a folder")}
	}
	d, err := t.dir(name, e.hash)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return slices.Clone(d.entries), nil
}

// Stat implements fs.StatFS. It does not follow links: it describes them.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	t.objects.mu.Lock()
	defer t.objects.mu.Unlock()
	e, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return e.Info()
}

// find walks down to an entry; the lock is held.
func (t *Tree) find(op, name string) (*entry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	root := &entry{name: ".", mode: filemode.Dir, hash: t.root, tree: t}
	if name == "." {
		return root, nil
	}
	at, cur := ".", root
	for part := range strings.SplitSeq(name, "/") {
		if !cur.IsDir() {
			return nil, &fs.PathError{Op: op, Path: name, Err: cur.notFolder()}
		}
		d, err := t.dir(at, cur.hash)
		if err != nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: err}
		}
		next, ok := d.byName[part]
		if !ok {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		at, cur = path.Join(at, part), next
	}
	return cur, nil
}

// dir reads a folder, once; the lock is held.
func (t *Tree) dir(name string, h plumbing.Hash) (*folder, error) {
	if d, ok := t.dirs[name]; ok {
		return d, nil
	}
	if strings.Count(name, "/") >= t.limits.Depth {
		return nil, fmt.Errorf("folders are nested deeper than %d: %w", t.limits.Depth, ErrLimit)
	}
	tree, err := object.GetTree(t.objects.store, h)
	if err != nil {
		return nil, fmt.Errorf("%w: tree %s: %w", ErrCorrupt, h, err)
	}
	if t.listed += len(tree.Entries); t.listed > t.limits.Entries {
		return nil, fmt.Errorf("the repository has more than %d files and folders: %w", t.limits.Entries, ErrLimit)
	}
	d := &folder{hash: h, byName: make(map[string]*entry, len(tree.Entries))}
	for _, te := range tree.Entries {
		if !fs.ValidPath(te.Name) || strings.ContainsAny(te.Name, "/\\\x00") || te.Name == "." || strings.EqualFold(te.Name, ".git") {
			return nil, fmt.Errorf("the file name %q is not allowed: %w", te.Name, fs.ErrInvalid)
		}
		e := &entry{name: te.Name, mode: te.Mode, hash: te.Hash, tree: t, size: -1}
		if d.byName[te.Name] != nil {
			return nil, fmt.Errorf("the file name %q appears twice: %w", te.Name, fs.ErrInvalid)
		}
		d.byName[te.Name] = e
		d.entries = append(d.entries, e)
	}
	slices.SortFunc(d.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	t.dirs[name] = d
	return d, nil
}

// read returns the content of a file; the lock is held.
func (t *Tree) read(e *entry) ([]byte, error) {
	if !e.mode.IsFile() || e.mode == filemode.Symlink {
		return nil, e.notFolder()
	}
	size, err := t.objects.store.EncodedObjectSize(e.hash)
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", ErrCorrupt, e.hash, err)
	}
	if size > t.limits.File {
		return nil, fmt.Errorf("the file has %d bytes, at most %d are allowed: %w", size, t.limits.File, ErrLimit)
	}
	obj, err := t.objects.store.EncodedObject(plumbing.BlobObject, e.hash)
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", ErrCorrupt, e.hash, err)
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", ErrCorrupt, e.hash, err)
	}
	data := make([]byte, obj.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: blob %s: %w", ErrCorrupt, e.hash, err), r.Close())
	}
	return data, r.Close()
}

// size returns the size of a file; it takes the lock.
func (t *Tree) size(e *entry) int64 {
	t.objects.mu.Lock()
	defer t.objects.mu.Unlock()
	n, err := t.objects.store.EncodedObjectSize(e.hash)
	if err != nil {
		return 0 // reading it will say what is wrong
	}
	return n
}

// noTime is the modification time of everything in a tree.
var noTime = time.Time{}
