//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Remove implements [host.FileWriter]. Something mounted inside a tree stops the removal of the tree.
func (f *files) Remove(ctx context.Context, name string, all bool) error {
	if name == "/" {
		return errors.New("removing /: refused")
	}
	dirfd, base, err := f.tree.dir(name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return failed("removing", name, err)
	}
	defer unix.Close(dirfd)
	var st unix.Stat_t
	err = unix.Fstatat(dirfd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return failed("removing", name, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		err = unix.Unlinkat(dirfd, base, 0)
	case !all:
		err = unix.Unlinkat(dirfd, base, unix.AT_REMOVEDIR)
	default:
		if mounted(dirfd, base) {
			return failed("removing", name, unix.EBUSY)
		}
		if err := removeTree(ctx, dirfd, base, name); err != nil {
			return err
		}
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("removing", name, err)
	}
	return failed("removing", name, syncDir(dirfd))
}

// removeTree removes a folder and what is in it, through descriptors all the way down: a folder that is replaced by a
// link meanwhile is not followed.
func removeTree(ctx context.Context, dirfd int, base, shown string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fd, err := unix.Openat(dirfd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("removing", shown, err)
	}
	dir := os.NewFile(uintptr(fd), shown)
	names, err := dir.Readdirnames(-1)
	if err != nil {
		dir.Close()
		return fmt.Errorf("removing %s: %w", shown, err)
	}
	for _, name := range names {
		if err := removeEntry(ctx, fd, name, path.Join(shown, name)); err != nil {
			dir.Close()
			return err
		}
	}
	dir.Close()
	return failed("removing", shown, unix.Unlinkat(dirfd, base, unix.AT_REMOVEDIR))
}

func removeEntry(ctx context.Context, dirfd int, name, shown string) error {
	err := unix.Unlinkat(dirfd, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	var st unix.Stat_t
	if unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return failed("removing", shown, err)
	}
	if mounted(dirfd, name) {
		return failed("removing", shown, unix.EBUSY)
	}
	return removeTree(ctx, dirfd, name, shown)
}

// mounted reports whether something is mounted on a folder: another file system, or the same one once more.
func mounted(dirfd int, name string) bool {
	var stx unix.Statx_t
	err := unix.Statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &stx)
	if err == nil && stx.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	var up, st unix.Stat_t // kernels before 5.8
	if unix.Fstat(dirfd, &up) != nil || unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return true
	}
	return up.Dev != st.Dev
}
