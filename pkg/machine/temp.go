//go:build linux

package machine

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// Temporary names look like .vigo-<random>.tmp and are beside the file they are for.
const tempPrefix, tempSuffix = ".vigo-", ".tmp"

func tempName() string { return tempPrefix + rand.Text() + tempSuffix }

func isTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}

// A temp is a file being written. It is locked as long as its writer lives, so that others can tell what a writer that
// was killed has left behind.
type temp struct {
	dirfd int
	name  string
	file  *os.File // for writing; nil when finished
	lock  int      // a descriptor of its own, open until the end
	moved bool
}

func newTemp(dirfd int) (*temp, error) {
	for range 100 {
		name := tempName()
		fd, err := unix.Openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t := &temp{dirfd: dirfd, name: name, file: os.NewFile(uintptr(fd), name), lock: -1}
		// Locked through a second descriptor: the first is closed before validation, because a program that is
		// open for writing cannot be run.
		t.lock, err = unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Flock(t.lock, unix.LOCK_EX|unix.LOCK_NB)
		}
		var st unix.Stat_t
		if err == nil {
			err = unix.Fstat(t.lock, &st)
		}
		if err == nil && st.Nlink > 0 {
			return t, nil
		}
		// Another writer swept the folder between creation and lock.
		t.discard()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
	return nil, errors.New("no free name")
}

// dress gives the temporary file the owner, mode and extended attributes (SELinux label, ACL) of the file it is to
// replace, and what is asked for.
func (t *temp) dress(dirfd int, base string, old host.Info, replace bool, a host.Attr) error {
	fd := int(t.file.Fd())
	mode := fs.FileMode(0o644)
	if replace {
		mode = old.Mode
		if a.UID == nil {
			a.UID = &old.UID
		}
		if a.GID == nil {
			a.GID = &old.GID
		}
	}
	if a.Mode != nil {
		mode = *a.Mode
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	uid, gid := orKeep(a.UID), orKeep(a.GID)
	if (uid != -1 && uid != int(st.Uid)) || (gid != -1 && gid != int(st.Gid)) {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return err
		}
	}
	if replace {
		copyXattrs(dirfd, base, fd)
	}
	return unix.Fchmod(fd, unixMode(mode)) // after chown, which takes setuid away, and after an ACL, which sets the group bits
}

// copyXattrs is best effort: some attributes may not be read or set without privileges, and a file system may have
// none at all.
func copyXattrs(dirfd int, base string, to int) {
	from, err := unix.Openat(dirfd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(from)
	size, err := unix.Flistxattr(from, nil)
	if err != nil || size == 0 {
		return
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(from, list); err != nil {
		return
	}
	for attr := range strings.SplitSeq(string(list[:size]), "\x00") {
		// Capabilities and integrity hashes belong to the old content.
		if attr == "" || attr == "security.capability" || attr == "security.ima" || attr == "security.evm" {
			continue
		}
		n, err := unix.Fgetxattr(from, attr, nil)
		if err != nil {
			continue
		}
		value := make([]byte, n)
		if n, err = unix.Fgetxattr(from, attr, value); err == nil {
			_ = unix.Fsetxattr(to, attr, value[:n], 0)
		}
	}
}

// finish makes the content durable.
func (t *temp) finish() error {
	err := t.file.Sync()
	if errors.Is(err, unix.EINVAL) {
		err = nil
	}
	if cerr := t.file.Close(); err == nil {
		err = cerr
	}
	t.file = nil
	return unwrapPath(err)
}

// replace puts the finished file in place of base.
func (t *temp) replace(base string) error {
	if err := unix.Renameat(t.dirfd, t.name, t.dirfd, base); err != nil {
		return err
	}
	t.moved = true
	return syncDir(t.dirfd)
}

// keep gives what was written another name.
func (t *temp) keep(base string) error {
	if err := t.finish(); err != nil {
		return err
	}
	return t.replace(base)
}

// discard lets go of everything; what was not put in place is removed.
func (t *temp) discard() {
	if t.file != nil {
		t.file.Close()
	}
	if !t.moved {
		unix.Unlinkat(t.dirfd, t.name, 0)
	}
	if t.lock >= 0 {
		unix.Close(t.lock)
	}
}

// A sweeper removes what writers that were killed have left, once per folder that is written to.
type sweeper struct{ done sync.Map }

func (s *sweeper) sweep(dirfd int, dir string, now time.Time) {
	if _, already := s.done.LoadOrStore(dir, true); already {
		return
	}
	fd, err := unix.Openat(dirfd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	d := os.NewFile(uintptr(fd), dir)
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if isTemp(name) {
			sweepOne(fd, name, now)
		}
	}
}

func sweepOne(dirfd int, name string, now time.Time) {
	var st unix.Stat_t
	if unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			unix.Unlinkat(dirfd, name, 0)
		}
	case unix.S_IFLNK, unix.S_IFDIR: // these exist under such a name for an instant only
		if now.Sub(time.Unix(st.Ctim.Unix())) < time.Minute {
			return
		}
		flags := 0
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			flags = unix.AT_REMOVEDIR
		}
		unix.Unlinkat(dirfd, name, flags)
	}
}
