package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/up"
)

// An Outcome is what a restore has done.
type Outcome struct {
	Manifest Manifest  `json:"manifest"`
	At       time.Time `json:"at"` // what nodes signed before is refused
	// Kept is where the file is that was replaced; "" when none was.
	Kept  string         `json:"kept,omitempty"`
	Taken sqlstore.Taken `json:"taken"` // from whom access was taken
	// Unread says why the store that was replaced could not be asked who is not trusted any more.
	Unread string `json:"unread,omitempty"`
}

// Restore puts a backup into a data folder and its store, while no service works with them: verified first, then all of it, or
// nothing. What is there is replaced only with replace, and a file that held a store is kept under another name; an authority is
// never replaced.
//
// When it is interrupted while it replaces, no service starts with the folder before it was done again.
func Restore(ctx context.Context, o Options, file string, replace bool) (out Outcome, err error) {
	lock, err := up.LockData(o.Data)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	r := restore{Options: o, replace: replace, draft: filepath.Join(o.Data, up.RestoreDir)}
	if err := r.room(); err != nil {
		return out, err
	}
	if err := r.begin(); err != nil {
		return out, err
	}
	defer func() {
		if r.half && err != nil {
			err = fault.WithHint(err, "a restore has stopped half way: run it again; the service does not start before")
			return
		}
		err = errors.Join(err, os.RemoveAll(r.draft))
	}()
	if out.Manifest, err = unpack(ctx, file, r.draft); err != nil {
		return out, err
	}
	if err := r.sameAuthority(out.Manifest); err != nil {
		return out, err
	}
	if err := r.mark(ctx, &out); err != nil {
		return out, fmt.Errorf("preparing the store: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(r.draft, up.RestoreReady), nil, 0o600); err != nil {
		return out, err
	}
	r.half = true
	if err := r.put(ctx, &out); err != nil {
		return out, fmt.Errorf("restoring: %w", err)
	}
	return out, nil
}

type restore struct {
	Options
	replace bool
	draft   string
	half    bool // something may have been replaced
}

func (r restore) storeFile() string { return filepath.Join(r.Data, storeMember) }

// room refuses a store that is there, unless it is to be replaced. That of a database is looked at when it is written.
func (r restore) room() error {
	if r.Store != "" || r.replace {
		return nil
	}
	if _, err := os.Lstat(r.storeFile()); !errors.Is(err, fs.ErrNotExist) {
		return fault.WithHint(errors.Join(fmt.Errorf("restoring to %s: %w", r.storeFile(), ErrExists), err),
			"--force replaces it, and keeps it under another name")
	}
	return nil
}

// begin makes an empty draft. That a restore before this one has stopped half way is not forgotten.
func (r *restore) begin() error {
	if err := os.MkdirAll(r.draft, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.draft)
	for _, e := range entries {
		if e.Name() == up.RestoreReady {
			r.half = true
			continue
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(r.draft, e.Name())))
	}
	return err
}

// sameAuthority refuses another authority than that in the data folder: every node would turn away.
func (r restore) sameAuthority(m Manifest) error {
	entries, err := os.ReadDir(filepath.Join(r.Data, authorityDir))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		if !strings.HasPrefix(f.Name, authorityDir+"/") {
			continue
		}
		theirs, err := os.ReadFile(filepath.Join(r.draft, filepath.FromSlash(f.Name)))
		if err != nil {
			return err
		}
		mine, err := os.ReadFile(filepath.Join(r.Data, filepath.FromSlash(f.Name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !bytes.Equal(mine, theirs) {
			return fault.WithHint(fmt.Errorf("the backup has another authority than %s (%s differs)", r.Data, f.Name),
				"is it a backup of this fleet? To give the folder the authority of the backup, move its folder ca away")
		}
	}
	return nil
}

// mark brings the unpacked store to the schema of this program, and takes away what may have been taken away since.
func (r restore) mark(ctx context.Context, out *Outcome) error {
	since, err := r.withdrawn(ctx)
	if err != nil {
		out.Unread = err.Error()
	}
	// Signatures say the second: in that of the restore, nothing was answered after it.
	out.At = r.Now().UTC().Truncate(time.Second).Add(time.Second)
	db, err := sqlstore.Open(ctx, filepath.Join(r.draft, storeMember), sqlstore.Options{})
	if err != nil {
		return err
	}
	out.Taken, err = db.MarkRestored(ctx, sqlstore.Restored{At: out.At, Taken: out.Manifest.Taken}, since)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return noLog(filepath.Join(r.draft, storeMember))
}

// withdrawn asks the store that is replaced who is not trusted any more; nil when there is none.
func (r restore) withdrawn(ctx context.Context) (*sqlstore.Withdrawn, error) {
	if r.Store != "" {
		return sqlstore.WithdrawnAt(ctx, r.Store)
	}
	w, err := sqlstore.WithdrawnIn(ctx, r.storeFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return w, err
}

// noLog makes sure that all of a store is in its file: SQLite has moved what was in the log beside it.
func noLog(path string) error {
	info, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	return errors.Join(fmt.Errorf("%s has a log that could not be merged", path), err)
}

// put moves everything to its place; each step may be done again.
func (r restore) put(ctx context.Context, out *Outcome) error {
	if err := r.putFiles(out.Manifest); err != nil {
		return err
	}
	if r.Store != "" {
		return r.putDatabase(ctx)
	}
	if err := r.keepOld(ctx, out); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(r.draft, storeMember), r.storeFile()); err != nil {
		return err
	}
	return atomicfile.SyncDir(r.Data)
}

func (r restore) putFiles(m Manifest) error {
	for _, f := range m.Files {
		if f.Name == storeMember {
			continue
		}
		text, err := os.ReadFile(filepath.Join(r.draft, filepath.FromSlash(f.Name)))
		if err != nil {
			return err
		}
		to := filepath.Join(r.Data, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := atomicfile.Write(to, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (r restore) putDatabase(ctx context.Context) error {
	db, err := sqlstore.Open(ctx, filepath.Join(r.draft, storeMember), sqlstore.Options{})
	if err != nil {
		return err
	}
	put := db.CopyTo
	if r.replace {
		put = db.ReplaceAt
	}
	err = put(ctx, r.Store, func(string, int64) {})
	if errors.Is(err, sqlstore.ErrNotEmpty) {
		err = fault.WithHint(err, "--force replaces what it holds")
	}
	return errors.Join(err, db.Close())
}

// keepOld gives the file that is replaced another name as well, with what is in its log.
func (r restore) keepOld(ctx context.Context, out *Outcome) error {
	old := r.storeFile()
	if _, err := os.Lstat(old); errors.Is(err, fs.ErrNotExist) {
		return r.dropLog(old, "")
	}
	if err := sqlstore.Settle(ctx, old); err != nil && out.Unread == "" {
		out.Unread = err.Error()
	}
	name := old + ".replaced-" + r.Now().UTC().Format("20060102T150405Z")
	out.Kept = name
	err := os.Link(old, out.Kept)
	for n := 2; errors.Is(err, fs.ErrExist); n++ { // of a restore in the same second
		out.Kept = fmt.Sprint(name, "-", n)
		err = os.Link(old, out.Kept)
	}
	if err != nil {
		return err
	}
	return r.dropLog(old, out.Kept)
}

// dropLog takes the log of a store away, which SQLite would take for that of the next one.
func (r restore) dropLog(store, kept string) error {
	var errs []error
	for _, end := range []string{"-wal", "-shm"} {
		var err error
		if kept != "" && end == "-wal" {
			err = os.Rename(store+end, kept+end)
		} else {
			err = os.Remove(store + end)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
