//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// extended is host.Extended: attributes and flags through descriptors.
type extended struct{ tree *tree }

var _ host.Extended = (*extended)(nil)

// maxXattr is the size of the largest value that Linux keeps.
const maxXattr = 64 << 10

// pinned calls do with a name in /proc for the file at path itself, which is not followed if it is a link.
func (e *extended) pinned(name string, do func(proc string, fd int) error) error {
	dirfd, base, err := e.tree.dir(name)
	if err != nil {
		return err
	}
	defer unix.Close(dirfd)
	fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(procName(fd), fd)
}

// procName is a name that leads to the very file of a descriptor, for calls that refuse descriptors of O_PATH.
func procName(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// Xattr implements [host.Extended].
func (e *extended) Xattr(name, attr string) ([]byte, error) {
	value := make([]byte, maxXattr)
	err := e.pinned(name, func(proc string, _ int) error {
		n, err := unix.Getxattr(proc, attr, value)
		value = value[:max(n, 0)]
		return err
	})
	if errors.Is(err, unix.ENODATA) {
		return nil, fmt.Errorf("reading %s of %s: %w", attr, name, host.ErrNotFound)
	}
	if err != nil {
		return nil, unsupported(failed("reading "+attr+" of", name, err))
	}
	return value, nil
}

// SetXattr implements [host.Extended].
func (e *extended) SetXattr(_ context.Context, name, attr string, value []byte) error {
	err := e.pinned(name, func(proc string, _ int) error { return setXattr(proc, attr, value) })
	return unsupported(failed("setting "+attr+" of", name, err))
}

func setXattr(proc, attr string, value []byte) error {
	if value != nil {
		return unix.Setxattr(proc, attr, value, 0)
	}
	if err := unix.Removexattr(proc, attr); !errors.Is(err, unix.ENODATA) {
		return err
	}
	return nil
}

// opened calls do with a descriptor for reading, as the ioctls want; only files and directories have flags.
func (e *extended) opened(name string, do func(fd int) error) error {
	dirfd, base, err := e.tree.dir(name)
	if err != nil {
		return err
	}
	defer unix.Close(dirfd)
	fd, err := unix.Openat(dirfd, base, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd)
}

// Flags implements [host.Extended].
func (e *extended) Flags(name string) (f host.FileFlags, err error) {
	err = e.opened(name, func(fd int) error {
		bits, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		f = host.FileFlags{Immutable: bits&unix.STATX_ATTR_IMMUTABLE != 0, AppendOnly: bits&unix.STATX_ATTR_APPEND != 0}
		return err
	})
	return f, unsupported(failed("reading the flags of", name, err))
}

// SetFlags implements [host.Extended]. The bits of statx are those of the flags.
func (e *extended) SetFlags(_ context.Context, name string, f host.FileFlags) error {
	err := e.opened(name, func(fd int) error {
		bits, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		bits &^= unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND
		if f.Immutable {
			bits |= unix.STATX_ATTR_IMMUTABLE
		}
		if f.AppendOnly {
			bits |= unix.STATX_ATTR_APPEND
		}
		return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(bits))
	})
	return unsupported(failed("setting the flags of", name, err))
}

// unsupported says so where the file system has no such thing.
func unsupported(err error) error {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%w (%w)", err, errors.ErrUnsupported)
	}
	return err
}
