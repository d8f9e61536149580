//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// Write implements [host.FileWriter].
func (f *files) Write(ctx context.Context, name string, content io.Reader, opt host.WriteOptions) error {
	if err := f.write(ctx, name, content, opt); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (f *files) write(ctx context.Context, name string, content io.Reader, opt host.WriteOptions) error {
	dirfd, base, err := f.tree.dir(name)
	if err != nil {
		return failed("opening", path.Dir(name), err)
	}
	defer unix.Close(dirfd)
	f.swept.sweep(dirfd, path.Dir(name), f.now())
	old, err := statAt(dirfd, base)
	exists := err == nil
	switch {
	case err != nil && !errors.Is(err, unix.ENOENT):
		return err
	case exists && old.Kind != host.File && old.Kind != host.Symlink:
		return fmt.Errorf("a %s is there", old.Kind)
	}
	tmp, err := newTemp(dirfd)
	if err != nil {
		return fmt.Errorf("making a temporary file: %w", err)
	}
	defer tmp.discard()
	source := &remembering{Reader: cancelable{ctx, content}}
	if n, err := io.Copy(tmp.file, source); err != nil {
		if source.failed && n > 0 && opt.Partial != "" && path.Dir(opt.Partial) == path.Dir(name) {
			err = errors.Join(unwrapPath(err), tmp.keep(path.Base(opt.Partial)))
		}
		return unwrapPath(err)
	}
	if err := tmp.dress(dirfd, base, old, exists && old.Kind == host.File, opt.Attr); err != nil {
		return err
	}
	if err := tmp.finish(); err != nil {
		return err
	}
	if opt.Validate != nil {
		candidate := path.Join(path.Dir(name), tmp.name)
		if err := opt.Validate(f.validating(ctx, candidate), candidate); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if opt.Backup != "" && exists && old.Kind == host.File {
		if err := f.backup(ctx, name, opt.Backup, old); err != nil {
			return fmt.Errorf("keeping a backup: %w", err)
		}
	}
	return tmp.replace(base)
}

// remembering remembers whether it was reading that failed.
type remembering struct {
	io.Reader
	failed bool
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.failed = r.failed || err != nil && err != io.EOF
	return n, err
}

// backup copies the old file, with its owner and mode, to another name.
func (f *files) backup(ctx context.Context, name, to string, old host.Info) error {
	src, err := f.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	return f.write(ctx, to, src, host.WriteOptions{Attr: host.Attr{Mode: &old.Mode, UID: &old.UID, GID: &old.GID}})
}

// Link implements [host.FileWriter].
func (f *files) Link(_ context.Context, name, target string) error {
	dirfd, base, err := f.tree.dir(name)
	if err != nil {
		return failed("linking", name, err)
	}
	defer unix.Close(dirfd)
	for range 100 {
		tmp := tempName()
		err = unix.Symlinkat(target, dirfd, tmp)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			break
		}
		if err = unix.Renameat(dirfd, tmp, dirfd, base); err != nil {
			unix.Unlinkat(dirfd, tmp, 0)
			break
		}
		err = syncDir(dirfd)
		break
	}
	return failed("linking", name, err)
}

// MakeDir implements [host.FileWriter].
func (f *files) MakeDir(ctx context.Context, name string, a host.Attr) error {
	if err := check(name); err != nil {
		return failed("making", name, err)
	}
	fd, err := f.tree.open(name, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		unix.Close(fd)
		return f.SetAttr(ctx, name, a)
	}
	if !errors.Is(err, unix.ENOENT) || name == "/" {
		return failed("making", name, err)
	}
	if err := f.MakeDir(ctx, path.Dir(name), host.Attr{}); err != nil {
		return err
	}
	return failed("making", name, f.makeOne(name, a))
}

// makeOne makes a folder under another name, gives it its attributes and renames it, so that it is never seen
// without them.
func (f *files) makeOne(name string, a host.Attr) error {
	dirfd, base, err := f.tree.dir(name)
	if err != nil {
		return err
	}
	defer unix.Close(dirfd)
	tmp := tempName()
	if err := unix.Mkdirat(dirfd, tmp, 0o700); err != nil {
		return err
	}
	mode := fs.FileMode(0o755)
	if a.Mode == nil {
		a.Mode = &mode
	}
	err = setAttr(dirfd, tmp, a)
	if err == nil {
		err = unix.Renameat2(dirfd, tmp, dirfd, base, unix.RENAME_NOREPLACE)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system has it
		err = unix.Renameat(dirfd, tmp, dirfd, base)
	}
	if err != nil {
		unix.Unlinkat(dirfd, tmp, unix.AT_REMOVEDIR)
		return err
	}
	return syncDir(dirfd)
}

// SetAttr implements [host.FileWriter].
func (f *files) SetAttr(_ context.Context, name string, a host.Attr) error {
	dirfd, base, err := f.tree.dir(name)
	if err != nil {
		return failed("setting attributes of", name, err)
	}
	defer unix.Close(dirfd)
	return failed("setting attributes of", name, setAttr(dirfd, base, a))
}

// setAttr sets owner, then mode, through a descriptor, so that both reach the same file. A link itself has no mode.
func setAttr(dirfd int, base string, a host.Attr) error {
	if a.Mode == nil && a.UID == nil && a.GID == nil {
		return nil
	}
	fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = setAttrOf(fd, a)
	if errors.Is(err, errNoProc) {
		err = unix.Fchmodat(dirfd, base, unixMode(*a.Mode), unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

// errNoProc says that a mode could not be set through /proc, because it is not there.
var errNoProc = errors.New("setting a mode needs /proc")

// setAttrOf sets the mode and owner of the file of a descriptor.
func setAttrOf(fd int, a host.Attr) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	info := infoOf("", &st)
	if uid, gid := orKeep(a.UID), orKeep(a.GID); uid != -1 || gid != -1 {
		if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
			return err
		}
		if a.Mode == nil && info.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			a.Mode = &info.Mode // chown takes these bits away
		}
	}
	if a.Mode == nil {
		return nil
	}
	if info.Kind == host.Symlink {
		return errors.New("a symbolic link has no mode")
	}
	// fchmod refuses descriptors of O_PATH; their name in /proc leads to the very same file.
	err := unix.Chmod(procName(fd), unixMode(*a.Mode))
	if errors.Is(err, unix.ENOENT) {
		return errNoProc
	}
	return err
}

func orKeep(id *int) int {
	if id == nil {
		return -1
	}
	return *id
}

func syncDir(dirfd int) error {
	// The descriptor for names is O_PATH, which cannot be synced.
	fd, err := unix.Openat(dirfd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.EACCES) {
			return nil // a folder one may write to but not read; the rename was done
		}
		return err
	}
	defer unix.Close(fd)
	err = unix.Fsync(fd)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EROFS) { // file systems that keep nothing
		return nil
	}
	return err
}

// cancelable stops a copy when ctx ends.
type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// unwrapPath takes the name of a temporary file out of an error.
func unwrapPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
