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
func (b *below) RemoveBelow(_ context.Context, dir, name string) error {
	err := b.in(dir, name, func(dirfd int, base string) error {
		err := unix.Unlinkat(dirfd, base, 0)
		if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
			err = unix.Unlinkat(dirfd, base, unix.AT_REMOVEDIR)
		}
		return err
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return failed("removing", path.Join(dir, name), err)
}

// SetAttrBelow implements [host.Below].
func (b *below) SetAttrBelow(_ context.Context, dir, name string, kind host.Kind, a host.Attr) error {
	err := b.in(dir, name, func(dirfd int, base string) error {
		info, err := statAt(dirfd, base)
		if err != nil {
			return err
		}
		// A hard link may stand for a file of somebody else by now: it is not given bits that it lacks.
		if info.Kind != kind || info.Kind == host.File && info.Links > 1 && a.Mode != nil && *a.Mode&^info.Mode != 0 {
			return errors.New("it was replaced by something else meanwhile")
		}
		return setAttr(dirfd, base, a)
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return failed("setting attributes of", path.Join(dir, name), err)
}
