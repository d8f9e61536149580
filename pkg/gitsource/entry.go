package gitsource

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// An entry is one name of a folder; it is its own fs.DirEntry.
type entry struct {
	name string
	mode filemode.FileMode
	hash plumbing.Hash
	tree *Tree
	size int64 // -1: not looked up
}

func (e *entry) Name() string               { return e.name }
func (e *entry) IsDir() bool                { return e.mode == filemode.Dir }
func (e *entry) Type() fs.FileMode          { return e.fileMode().Type() }
func (e *entry) Info() (fs.FileInfo, error) { return info{e}, nil }

func (e *entry) fileMode() fs.FileMode {
	switch e.mode {
	case filemode.Dir:
		return fs.ModeDir | 0o755
	case filemode.Executable:
		return 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Submodule:
		return fs.ModeIrregular
	}
	return 0o644
}

// notFolder says what an entry is that cannot be read or entered.
func (e *entry) notFolder() error {
	switch e.mode {
	case filemode.Symlink:
		return fmt.Errorf("is a symbolic link; a policy repository holds files and folders only: %w", ErrNotFile)
	case filemode.Submodule:
		return fmt.Errorf("is a submodule; a policy repository holds files and folders only: %w", ErrNotFile)
	}
	return fs.ErrNotExist
}

func (e *entry) sized(n int64) *entry {
	c := *e
	c.size = n
	return &c
}

type info struct{ *entry }

func (i info) Mode() fs.FileMode  { return i.fileMode() }
func (i info) ModTime() time.Time { return noTime }
func (i info) Sys() any           { return nil }
func (i info) Size() int64 {
	if i.mode == filemode.Dir || i.mode == filemode.Submodule {
		return 0
	}
	if i.size >= 0 {
		return i.size
	}
	return i.tree.size(i.entry)
}

type openFile struct {
	entry *entry
	*strings.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.entry.Info() }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	entry   *entry
	entries []fs.DirEntry
	next    int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.entry.Info() }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.entry.name, Err: fmt.Errorf("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.entries[d.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.next += len(rest)
	return append([]fs.DirEntry(nil), rest...), nil
}
