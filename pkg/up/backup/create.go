package backup

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/sqlstore"
)

// Options say of what service a backup is.
type Options struct {
	Data    string // data folder
	Store   string // address of a PostgreSQL database; "": the file in Data
	Version string // of this program
	Now     func() time.Time
}

// database is the word for where the store is.
func (o Options) database() string {
	if o.Store != "" {
		return "postgresql"
	}
	return "sqlite"
}

// Create writes a backup to a file, which appears whole or not at all. The service may run. A file that exists is replaced
// only with replace, else [ErrExists]. Beside the file there must be room for the store and the backup.
func Create(ctx context.Context, o Options, file string, replace bool) (m Manifest, err error) {
	if _, err := os.Lstat(file); err == nil && !replace {
		return m, fault.WithHint(fmt.Errorf("writing a backup to %s: %w", file, ErrExists), "give another name, or --force to replace it")
	}
	draft, done, err := workplace(file)
	if err != nil {
		return m, fmt.Errorf("writing a backup to %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, done()) }()
	m = Manifest{Format: format, Version: o.Version, Fleet: fleetOf(o.Data), Taken: o.Now().UTC(), Database: o.database()}
	store := filepath.Join(draft, storeMember)
	if o.Store != "" {
		err = sqlstore.SnapshotPostgres(ctx, o.Store, store)
	} else {
		err = sqlstore.SnapshotFile(ctx, filepath.Join(o.Data, storeMember), store)
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.WithHint(err, "--data is the data folder of the service; with a PostgreSQL database, give --store")
		}
	}
	if err != nil {
		return m, err
	}
	if m.Store, err = sqlstore.Inspect(ctx, store); err != nil {
		return m, err
	}
	members, err := m.gather(o.Data, store)
	if err != nil {
		return m, fmt.Errorf("taking a backup: %w", err)
	}
	packed := filepath.Join(draft, "packed")
	if err := m.pack(packed, members); err != nil {
		return m, fmt.Errorf("writing a backup to %s: %w", file, err)
	}
	return m, publish(packed, file, replace)
}

// publish moves a file that is whole to its name.
func publish(from, to string, replace bool) error {
	move := os.Link // refuses a name that is taken
	if replace {
		move = os.Rename
	}
	err := move(from, to)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("writing a backup to %s: %w", to, ErrExists)
	}
	if err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(to))
}

// workplace makes a folder beside a file, on the same disk, and removes those that were left by who did not come to the end.
func workplace(file string) (dir string, done func() error, err error) {
	pattern := "." + filepath.Base(file) + ".tmp-*"
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), pattern))
	if err != nil {
		return "", nil, err
	}
	for _, old := range left {
		if lock, err := lockDir(old); err == nil { // else somebody works there
			err = errors.Join(os.RemoveAll(old), lock.Close())
			if err != nil {
				return "", nil, err
			}
		}
	}
	if dir, err = os.MkdirTemp(filepath.Dir(file), pattern); err != nil {
		return "", nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
}

// lockDir locks a folder for this process, for as long as it lives.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// gather describes the members, in the order in which they are written, and returns where each is.
func (m *Manifest) gather(data, store string) (map[string]string, error) {
	places := map[string]string{storeMember: store}
	names := []string{storeMember}
	entries, err := os.ReadDir(filepath.Join(data, authorityDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, path.Join(authorityDir, e.Name()))
		}
	}
	for _, name := range append(names[1:], beside()...) {
		places[name] = filepath.Join(data, filepath.FromSlash(name))
	}
	for _, name := range append(names, beside()...) {
		f, err := describe(name, places[name])
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != storeMember:
			continue // a service has not all of them
		case err != nil:
			return nil, err
		case name != storeMember && f.Size > maxSmall:
			return nil, fmt.Errorf("%s has %d bytes, at most %d", places[name], f.Size, maxSmall)
		}
		m.Files = append(m.Files, f)
	}
	return places, nil
}

// pack writes the archive, durably.
func (m Manifest) pack(to string, places map[string]string) (err error) {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	head, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: manifestMember, Mode: 0o600, Size: int64(len(head)), ModTime: m.Taken}); err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, member := range m.Files {
		if err := m.packFile(w, member, places[member.Name]); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), z.Close(), f.Sync())
}

func (m Manifest) packFile(w *tar.Writer, member File, place string) error {
	in, err := os.Open(place)
	if err != nil {
		return err
	}
	err = w.WriteHeader(&tar.Header{Name: member.Name, Mode: 0o600, Size: member.Size, ModTime: m.Taken})
	if err == nil {
		_, err = io.CopyN(w, in, member.Size)
	}
	return errors.Join(err, in.Close())
}
