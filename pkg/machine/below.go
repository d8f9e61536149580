//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// below is host.Below: it goes down descriptor by descriptor.
type below struct{ tree *tree }

var _ host.Below = (*below)(nil)

// in calls do with a descriptor of the directory that name is in.
func (b *below) in(dir, name string, do func(dirfd int, base string) error) error {
	if path.IsAbs(name) || path.Clean(name) != name || name == "." || name == ".." || strings.HasPrefix(name, "../") {
		return fmt.Errorf("%q: %w: want a clean name below %s", name, unix.EINVAL, dir)
	}
	fd, err := b.tree.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { unix.Close(fd) }()
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		unix.Close(fd)
		fd = next
	}
	return do(fd, parts[len(parts)-1])
}

// RemoveBelow implements [host.Below].
func (b *below) RemoveBelow(ctx context.Context, dir, name string, all bool) error {
	shown := path.Join(dir, name)
	err := b.in(dir, name, func(dirfd int, base string) error {
		if all {
			return removeEntry(ctx, dirfd, base, shown)
		}
		err := unix.Unlinkat(dirfd, base, 0)
		if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
			err = unix.Unlinkat(dirfd, base, unix.AT_REMOVEDIR)
		}
		return err
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if all && err != nil && strings.HasPrefix(err.Error(), "removing ") {
		return err // it says of what already
	}
	return failed("removing", shown, err)
}

// SetAttrBelow implements [host.Below].
func (b *below) SetAttrBelow(_ context.Context, dir, name string, seen host.Info, a host.Attr) error {
	err := b.same(dir, name, seen, func(fd int) error { return setAttrOf(fd, a) })
	return failed("setting attributes of", path.Join(dir, name), err)
}

// SetXattrBelow implements [host.Below].
func (b *below) SetXattrBelow(_ context.Context, dir, name string, seen host.Info, attr string, value []byte) error {
	err := b.same(dir, name, seen, func(fd int) error { return setXattr(procName(fd), attr, value) })
	return unsupported(failed("setting "+attr+" of", path.Join(dir, name), err))
}

// same calls do with a descriptor of the file that was seen. One that is gone is passed over; another file in its place, such
// as a hard link to one that its maker may not write to, is an error.
func (b *below) same(dir, name string, seen host.Info, do func(fd int) error) error {
	err := b.in(dir, name, func(dirfd int, base string) error {
		fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if info := infoOf(base, &st); info.Kind != seen.Kind || info.Device != seen.Device || info.Inode != seen.Inode {
			return errors.New("it was replaced by something else meanwhile")
		}
		return do(fd)
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
