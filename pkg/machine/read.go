//go:build linux

package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// defaultReadLimit is what [host.FileReader].Read reads at most when no limit is given.
const defaultReadLimit = 64 << 20

// files is host.FS: a view of the tree for one run.
type files struct {
	tree    *tree
	digests *digests
	now     func() time.Time
	swept   sweeper
}

var _ host.FS = (*files)(nil)

// Stat implements [host.FileReader].
func (f *files) Stat(name string) (host.Info, error) {
	dirfd, base := unix.AT_FDCWD, name
	if !f.tree.live() {
		fd, b, err := f.tree.dir(name)
		if err != nil {
			return host.Info{}, failed("looking at", name, err)
		}
		defer unix.Close(fd)
		dirfd, base = fd, b
	} else if err := check(name); err != nil {
		return host.Info{}, failed("looking at", name, err)
	}
	info, err := statAt(dirfd, base)
	info.Name = path.Base(name)
	return info, failed("looking at", name, err)
}

func statAt(dirfd int, base string) (host.Info, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return host.Info{}, err
	}
	info := infoOf(base, &st)
	if info.Kind == host.Symlink {
		target, err := readlink(dirfd, base)
		if err != nil {
			return host.Info{}, err
		}
		info.Target = target
	}
	return info, nil
}

func infoOf(base string, st *unix.Stat_t) host.Info {
	info := host.Info{
		Name:    base,
		Kind:    host.Other,
		Size:    st.Size,
		Mode:    fs.FileMode(st.Mode & 0o777),
		UID:     int(st.Uid),
		GID:     int(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()),
		Links:   uint64(st.Nlink),
		Device:  uint64(st.Dev),
		Inode:   st.Ino,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		info.Kind = host.File
	case unix.S_IFDIR:
		info.Kind = host.Dir
	case unix.S_IFLNK:
		info.Kind = host.Symlink
	}
	if st.Mode&unix.S_ISUID != 0 {
		info.Mode |= fs.ModeSetuid
	}
	if st.Mode&unix.S_ISGID != 0 {
		info.Mode |= fs.ModeSetgid
	}
	if st.Mode&unix.S_ISVTX != 0 {
		info.Mode |= fs.ModeSticky
	}
	return info
}

// unixMode turns a mode into the bits of chmod(2).
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= unix.S_ISUID
	}
	if m&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if m&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}

// Open implements [host.FileReader].
func (f *files) Open(name string) (io.ReadCloser, error) {
	file, _, err := f.open(name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// open opens a regular file. It never waits for the other end of a fifo, and leaves the access time alone where the
// kernel lets it.
func (f *files) open(name string) (*os.File, *unix.Stat_t, error) {
	fd, st, err := f.descriptor(name)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), name), st, nil
}

func (f *files) descriptor(name string) (int, *unix.Stat_t, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := f.tree.open(name, flags|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) { // only the owner may leave access times alone
		fd, err = f.tree.open(name, flags)
	}
	if err != nil {
		return -1, nil, failed("opening", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, nil, failed("opening", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return -1, nil, fmt.Errorf("opening %s: not a regular file", name)
	}
	return fd, &st, nil
}

// Read implements [host.FileReader]. It reads the descriptor itself: an os.File would register it with the poller, which
// costs more than reading one of the many small files of /proc.
func (f *files) Read(name string, limit int64) ([]byte, error) {
	if limit == 0 {
		limit = defaultReadLimit
	}
	fd, st, err := f.descriptor(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if st.Size > limit {
		return nil, fmt.Errorf("reading %s: %d bytes, more than the limit of %d", name, st.Size, limit)
	}
	data := make([]byte, 0, max(512, st.Size+1))
	for {
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, failed("reading", name, err)
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
		if int64(len(data)) > limit {
			return nil, fmt.Errorf("reading %s: more than the limit of %d bytes", name, limit)
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// List implements [host.FileReader].
func (f *files) List(name string) ([]host.Info, error) {
	fd, err := f.tree.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, failed("listing", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", name, err)
	}
	sort.Strings(names)
	infos := make([]host.Info, 0, len(names))
	for _, n := range names {
		info, err := statAt(fd, n)
		if errors.Is(err, unix.ENOENT) {
			continue // gone since it was listed
		}
		if err != nil {
			return nil, failed("looking at", path.Join(name, n), err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Digest implements [host.FileReader].
func (f *files) Digest(name string) (string, error) {
	if f.tree.live() && f.digests.hits.Load() && check(name) == nil {
		var st unix.Stat_t
		if unix.Stat(name, &st) == nil {
			if digest, ok := f.digests.lookup(&st); ok {
				return digest, nil
			}
		}
		f.digests.hits.Store(false)
	}
	fd, st, err := f.descriptor(name)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	digest, err := f.digests.of(fd, st)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return digest, nil
}
