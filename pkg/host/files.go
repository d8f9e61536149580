package host

import (
	"context"
	"io"
	"io/fs"
	"time"
)

// FS is the file system of a machine. Paths are absolute, clean and as the machine sees them; an implementation for
// another root folder maps and confines them.
type FS interface {
	FileReader
	FileWriter
}

// FileReader looks at files and changes nothing, not even access times where that can be had.
type FileReader interface {
	// Stat describes path itself, without following a final symbolic link. ErrNotFound if it is not there.
	Stat(path string) (Info, error)
	// Open opens a regular file for reading, following symbolic links; the caller closes it. ErrNotFound if it is
	// not there.
	Open(path string) (io.ReadCloser, error)
	// Read returns the content of a regular file, which is an error when it is longer than limit bytes (0: 64 MiB).
	Read(path string, limit int64) ([]byte, error)
	// List describes the entries of a directory, sorted by name.
	List(dir string) ([]Info, error)
	// Digest returns "sha256:<hex>" of the content of a regular file. It may answer from a cache keyed by device,
	// inode, size and times.
	Digest(path string) (string, error)
}

// FileWriter changes files. Every method is atomic towards readers and towards a crash: the old or the new state is
// seen, never a part.
type FileWriter interface {
	// Write replaces or creates the regular file at path: temporary file beside it, validated, synced, renamed. A
	// final symbolic link is replaced, not followed.
	Write(ctx context.Context, path string, content io.Reader, opt WriteOptions) error
	// SetAttr sets the mode and owner of path where given.
	SetAttr(ctx context.Context, path string, a Attr) error
	// MakeDir creates the directory, and its missing parents with mode 0755.
	MakeDir(ctx context.Context, path string, a Attr) error
	// Link makes path a symbolic link to target, replacing a link or file that is there.
	Link(ctx context.Context, path, target string) error
	// Remove removes path: a file, link or empty directory; with all, a whole tree, never leaving the file system
	// it is on. What is not there is no error.
	Remove(ctx context.Context, path string, all bool) error
}

// Kind is what a path is.
type Kind string

// The kinds of file.
const (
	File    Kind = "file"
	Dir     Kind = "directory"
	Symlink Kind = "symlink"
	Other   Kind = "other" // device, socket, fifo
)

// Info describes one file.
type Info struct {
	Name     string // base name
	Kind     Kind
	Size     int64
	Mode     fs.FileMode // permission bits, and setuid, setgid and sticky
	UID, GID int
	Target   string // of a symbolic link
	ModTime  time.Time
	Links    uint64 // number of hard links
	// Device and Inode tell one file from another while both are there; 0 where nobody knows.
	Device, Inode uint64
}

// Attr is what to set on a file; what is nil is left alone (for a new file: 0644, or 0755 for a directory, and the
// owner that runs the program).
type Attr struct {
	Mode     *fs.FileMode
	UID, GID *int
}

// WriteOptions says how to write a file.
type WriteOptions struct {
	Attr Attr
	// Validate, if set, is called with the path of the finished temporary file as the machine sees it, before it
	// takes the place of the old one. An error leaves the old file as it was.
	Validate func(ctx context.Context, candidate string) error
	// Backup, if not empty, is where the old file is copied to before the new one takes its place.
	Backup string
	// Partial, if not empty, is a path in the same directory that keeps what there was of the content, mode 0600, when
	// reading it fails or ctx ends.
	Partial string
}
