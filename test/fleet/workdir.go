//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// What is in the directory of a machine.
const (
	imageLink   = "image" // leads to the image
	layerLink   = "layer" // leads to what another machine wrote, or to nothing of its own
	upperDir    = "upper" // what the machine wrote
	workDir     = "work"
	rootDir     = "root"  // where the disk is mounted, in the mount namespace of the machine
	netnsFile   = "netns" // its network namespace, likewise
	consoleFile = "console.log"
	lockName    = "lock" // locked for as long as the process that made the directory lives
)

// mountOverlay is the shell command that puts image and upper together, run in the directory of the machine.
const mountOverlay = `mount -t overlay overlay -o lowerdir=` + layerLink + `:` + imageLink + `,upperdir=` + upperDir + `,workdir=` + workDir + ` ` + rootDir

// runsDir is the directory of all machines' directories.
func runsDir(cacheDir string) string { return filepath.Join(cacheDir, "machines") }

// machinesLock is the file locked while directories of machines are made or removed.
func machinesLock(cacheDir string) string { return filepath.Join(cacheDir, "machines.lock") }

// workdir is the directory of one machine, and the control group of the same name.
type workdir struct {
	path  string
	lock  *os.File
	group cgroup
}

// newWorkdir makes the directory of a machine and removes those of dead processes. The disk is the image, with the layer over it
// unless that is empty.
func newWorkdir(ctx context.Context, cacheDir, image, layer string) (*workdir, error) {
	runs := runsDir(cacheDir)
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return nil, fmt.Errorf("making a work directory: %w", err)
	}
	// While this lock is held no directory is without its own, unless its process died.
	all, err := lockFile(ctx, machinesLock(cacheDir))
	if err != nil {
		return nil, err
	}
	defer all.Close()
	if err := sweep(runs); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(runs, groupPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a work directory: %w", err)
	}
	w := &workdir{path: path}
	if err := w.fill(ctx, image, layer); err != nil {
		return nil, errors.Join(fmt.Errorf("making a work directory: %w", err), w.remove())
	}
	return w, nil
}

// fill lays out the directory and makes the control group.
func (w *workdir) fill(ctx context.Context, image, layer string) error {
	var err error
	if w.lock, err = lockFile(ctx, filepath.Join(w.path, lockName)); err != nil {
		return err
	}
	if w.group, err = newCgroup(w.path); err != nil {
		return err
	}
	if err := os.Chmod(w.path, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{upperDir, workDir, rootDir} {
		if err := os.Mkdir(filepath.Join(w.path, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(w.path, netnsFile), nil, 0o644); err != nil {
		return err
	}
	if err := os.Symlink(image, filepath.Join(w.path, imageLink)); err != nil {
		return err
	}
	if layer != "" {
		return os.Symlink(layer, filepath.Join(w.path, layerLink))
	}
	return os.Mkdir(filepath.Join(w.path, layerLink), 0o755)
}

// close ends what runs in the control group and removes group and directory.
func (w *workdir) close(ctx context.Context) error {
	all, err := lockFile(ctx, machinesLock(filepath.Dir(filepath.Dir(w.path))))
	if err != nil {
		return err
	}
	defer all.Close()
	return w.remove()
}

// remove is close for one who holds the lock over all directories.
func (w *workdir) remove() error {
	err := w.group.remove()
	if err == nil {
		err = os.RemoveAll(w.path)
	}
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("removing the work directory: %w", err)
	}
	return nil
}

// sweep removes the directories, and the control groups, of machines whose process is dead: their lock is free.
func sweep(runs string) error {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return fmt.Errorf("looking for leftovers: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		path := filepath.Join(runs, e.Name())
		lock, err := tryLock(filepath.Join(path, lockName))
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for leftovers: %w", err)
		}
		w := workdir{path: path, lock: lock}
		if w.group, err = savedCgroup(path); err != nil {
			return errors.Join(err, lock.Close())
		}
		if err := w.remove(); err != nil {
			return err
		}
	}
	return nil
}

// tryLock opens a file, made if need be, and locks it; the error is EWOULDBLOCK when another process has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	return f, nil
}

// lockFile is tryLock with patience.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	var lock *os.File
	err := WaitFor(ctx, 50*time.Millisecond, func(context.Context) (err error) {
		lock, err = tryLock(path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return lock, nil
}
