//go:build linux

package machine

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// maxLinks is how many symbolic links are followed in one path, as in the kernel.
const maxLinks = 40

// A tree is the root folder of a machine. All names are resolved relative to an open descriptor of it, so nothing that
// happens to links meanwhile leads outside.
type tree struct {
	root string // "/" or the path of the root folder on the machine that runs this program
	fd   int    // of the root folder; -1 when it is "/"
	slow bool   // resolve step by step even where openat2 could; for tests and kernels before 5.6
}

func openTree(root string) (*tree, error) {
	if root == "/" {
		return &tree{root: root, fd: -1}, nil
	}
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", root, err)
	}
	return &tree{root: root, fd: fd}, nil
}

func (t *tree) close() error {
	if t.fd < 0 {
		return nil
	}
	return unix.Close(t.fd)
}

// live reports whether the tree is the running machine itself.
func (t *tree) live() bool { return t.root == "/" }

// real returns where name is on the machine that runs this program. Only for handing to programs that check a file.
func (t *tree) real(name string) string { return filepath.Join(t.root, name) }

// check refuses names that are not absolute and clean.
func check(name string) error {
	if !path.IsAbs(name) || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return fmt.Errorf("%q: %w: want an absolute, clean path", name, unix.EINVAL)
	}
	return nil
}

// open opens name inside the tree, following links inside the tree. O_CLOEXEC is implied.
func (t *tree) open(name string, flags int) (int, error) {
	if err := check(name); err != nil {
		return -1, err
	}
	flags |= unix.O_CLOEXEC
	if t.live() {
		return retry(func() (int, error) { return unix.Open(name, flags, 0) })
	}
	if !t.slow {
		how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := retry(func() (int, error) { return unix.Openat2(t.fd, "."+name, &how) })
		// A filter of system calls may answer EPERM where the kernel is too old for ENOSYS.
		if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
			return fd, err
		}
	}
	return t.walk(name, flags)
}

// dir opens the folder that name is in, for the *at calls, and returns the last element of name. The caller closes it.
func (t *tree) dir(name string) (fd int, base string, err error) {
	if err := check(name); err != nil {
		return -1, "", err
	}
	fd, err = t.open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY)
	if name == "/" {
		return fd, ".", err
	}
	return fd, path.Base(name), err
}

// walk is open without openat2: one element at a time, each opened relative to the last, links read and put in place.
func (t *tree) walk(name string, flags int) (int, error) {
	stack := []int{t.fd} // open folders from the root to here
	defer func() {
		for _, fd := range stack[1:] {
			unix.Close(fd)
		}
	}()
	todo := elements(name)
	links := 0
	for len(todo) > 0 {
		elem := todo[0]
		todo = todo[1:]
		here := stack[len(stack)-1]
		if elem == ".." {
			if len(stack) > 1 {
				unix.Close(here)
				stack = stack[:len(stack)-1]
			}
			continue
		}
		if len(todo) == 0 && flags&unix.O_NOFOLLOW != 0 {
			return unix.Openat(here, elem, flags, 0)
		}
		fd, err := unix.Openat(here, elem, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return -1, err
		}
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFLNK:
			unix.Close(fd)
			if links++; links > maxLinks {
				return -1, unix.ELOOP
			}
			target, err := readlink(here, elem)
			if err != nil {
				return -1, err
			}
			if path.IsAbs(target) {
				for _, fd := range stack[1:] {
					unix.Close(fd)
				}
				stack = stack[:1]
			}
			todo = append(elements(target), todo...)
		case len(todo) == 0:
			unix.Close(fd)
			// What is opened may be another file than the one looked at, but never a link.
			return unix.Openat(here, elem, flags|unix.O_NOFOLLOW, 0)
		default:
			stack = append(stack, fd)
		}
	}
	return unix.Openat(stack[len(stack)-1], ".", flags, 0)
}

func elements(name string) []string {
	var all []string
	for elem := range strings.SplitSeq(name, "/") {
		if elem != "" && elem != "." {
			all = append(all, elem)
		}
	}
	return all
}

func readlink(dirfd int, name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dirfd, name, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// retry repeats a call that a signal interrupted, or that openat2 gave up because something was renamed meanwhile.
func retry(call func() (int, error)) (int, error) {
	for range 100 {
		n, err := call()
		if err != unix.EINTR && err != unix.EAGAIN {
			return n, err
		}
	}
	return call()
}

// failed puts name and the sentinels of package host into an error of a system call.
func failed(doing, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s %s: %w (%w)", doing, name, host.ErrNotFound, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s %s: %w (%w)", doing, name, host.ErrBusy, err)
	}
	return fmt.Errorf("%s %s: %w", doing, name, err)
}
