//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"unsafe"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// quotas is host.Quotas by quotactl(2), which xfs understands like all others.
type quotas struct {
	tree   *tree
	mounts *mounts
}

var _ host.Quotas = (*quotas)(nil)

// What quotactl(2) is asked to do, of <linux/quota.h>.
const (
	getQuota = 0x800007
	setQuota = 0x800008

	blockLimits = 1 // which fields of diskQuota count
	inodeLimits = 4

	quotaUnit = 1 << 10 // bytes in a block
)

// diskQuota is struct if_dqblk. The last field keeps its size the same for all processors.
type diskQuota struct {
	blockHard, blockSoft, space  uint64
	inodeHard, inodeSoft, inodes uint64
	blockTime, inodeTime         uint64
	valid                        uint32
	_                            uint32
}

func quotaType(kind string) (int, error) {
	for i, name := range []string{"user", "group", "project"} {
		if name == kind {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no quota is for a %q", kind)
}

// Quota implements [host.Quotas].
func (q *quotas) Quota(ctx context.Context, mounted string, of host.QuotaSubject) (host.QuotaLimits, error) {
	var d diskQuota
	err := q.call(ctx, getQuota, mounted, of, &d)
	if errors.Is(err, unix.ENOENT) {
		return host.QuotaLimits{}, nil // xfs knows nothing of whoever has no file
	}
	if err != nil {
		return host.QuotaLimits{}, quotaFault("reading", mounted, of, err)
	}
	return host.QuotaLimits{BlockSoft: d.blockSoft * quotaUnit, BlockHard: d.blockHard * quotaUnit, InodeSoft: d.inodeSoft, InodeHard: d.inodeHard}, nil
}

// SetQuota implements [host.Quotas].
func (q *quotas) SetQuota(ctx context.Context, mounted string, of host.QuotaSubject, l host.QuotaLimits) error {
	d := diskQuota{blockSoft: l.BlockSoft / quotaUnit, blockHard: l.BlockHard / quotaUnit, inodeSoft: l.InodeSoft, inodeHard: l.InodeHard,
		valid: blockLimits | inodeLimits}
	if err := q.call(ctx, setQuota, mounted, of, &d); err != nil {
		return quotaFault("setting", mounted, of, err)
	}
	return nil
}

// quotaFault says what went wrong. ESRCH: quotas are off; ENOTBLK: nothing that is on a device.
func quotaFault(doing, mounted string, of host.QuotaSubject, err error) error {
	err = fmt.Errorf("%s the quota of the %s %d on %s: %w", doing, of.Kind, of.ID, mounted, err)
	for _, off := range []error{unix.ESRCH, unix.ENOSYS, unix.ENOTBLK, unix.EOPNOTSUPP} {
		if errors.Is(err, off) {
			return fmt.Errorf("%w (%w)", err, errors.ErrUnsupported)
		}
	}
	return err
}

// call asks by the mount, or, before Linux 5.14, by the device of it.
func (q *quotas) call(ctx context.Context, command int, mounted string, of host.QuotaSubject, d *diskQuota) error {
	if !q.tree.live() {
		return refuse("asking for quotas")
	}
	typ, err := quotaType(of.Kind)
	if err != nil {
		return err
	}
	where, err := q.mountAt(ctx, mounted)
	if err != nil {
		return err
	}
	fd, err := q.tree.open(mounted, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	cmd := uintptr(command<<8 | typ)
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), cmd, uintptr(of.ID), uintptr(unsafe.Pointer(d)), 0, 0)
	if errno == unix.ENOSYS {
		if !path.IsAbs(where.Source) {
			return unix.ENOTBLK
		}
		special, err := q.tree.open(where.Source, unix.O_PATH)
		if err != nil {
			return err
		}
		defer unix.Close(special)
		device, err := unix.BytePtrFromString(fmt.Sprintf("/proc/self/fd/%d", special))
		if err != nil {
			return err
		}
		_, _, errno = unix.Syscall6(unix.SYS_QUOTACTL, cmd, uintptr(unsafe.Pointer(device)), uintptr(of.ID), uintptr(unsafe.Pointer(d)), 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// mountAt finds what is mounted at a path; a path inside of a file system is none.
func (q *quotas) mountAt(ctx context.Context, mounted string) (host.Mount, error) {
	all, err := q.mounts.All(ctx)
	if err != nil {
		return host.Mount{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Path == mounted {
			return all[i], nil
		}
	}
	return host.Mount{}, fmt.Errorf("nothing is mounted there: %w", host.ErrNotFound)
}
