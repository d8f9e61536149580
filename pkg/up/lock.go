package up

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
)

// ErrLocked says that another process works with the data folder.
var ErrLocked = fault.WithHint(errors.New("another process works with this data folder"),
	"stop it first, or give this one a folder of its own (--data)")

const lockName = "lock"

// RestoreDir is the folder in a data folder in which a restore from a backup is prepared, and RestoreReady the file in it that is
// there while things are replaced.
const (
	RestoreDir   = "restoring"
	RestoreReady = "ready"
)

// ErrHalfRestored says that a restore was interrupted while it replaced things.
var ErrHalfRestored = fault.WithHint(errors.New("a restore from a backup was interrupted"), "run it again: `vigo report restore --force`")

// restored refuses a data folder that is partly from a backup.
func restored(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, RestoreDir, RestoreReady))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(fmt.Errorf("opening the data folder %s: %w", dir, ErrHalfRestored), err)
}

// A Lock keeps a data folder for one process; it ends with the process, however that comes.
type Lock struct{ f *os.File }

// LockData makes the data folder, for its owner alone, when it is not there, and locks it. [ErrLocked] when another
// process has.
func LockData(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, folderError(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, folderError(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("locking the data folder %s: %w", dir, err), f.Close())
	}
	if err := atomicfile.Sweep(dir); err != nil { // nobody else writes there now
		return nil, errors.Join(folderError(err), f.Close())
	}
	return &Lock{f}, nil
}

func folderError(err error) error {
	err = fmt.Errorf("opening the data folder: %w", err)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fault.WithHint(err, "run as the owner of the folder, or give another one with --data")
	}
	return err
}

// Release lets another process have the folder.
func (l *Lock) Release() error { return l.f.Close() }
