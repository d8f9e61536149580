package resources

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"vigo.dev/pkg/host"
)

// archiveFormat tells the format of an archive by its name; "" if it does not say.
func archiveFormat(name string) string {
	for _, f := range []struct{ end, format string }{
		{".tar", "tar"}, {".tar.gz", "tar.gz"}, {".tgz", "tar.gz"}, {".tar.bz2", "tar.bz2"}, {".tbz2", "tar.bz2"},
		{".tar.xz", "tar.xz"}, {".txz", "tar.xz"}, {".tar.zst", "tar.zst"}, {".zip", "zip"},
	} {
		if strings.HasSuffix(strings.ToLower(name), f.end) {
			return f.format
		}
	}
	return ""
}

// unpacking is an archive while it is unpacked.
type unpacking struct {
	h     *host.Host
	dir   string
	strip int
	attr  host.Attr
	bytes int64 // left of the limit
	files int   // left of the limit
	stamp *stamp
	old   *stamp          // what was unpacked before; nil if nothing was
	dirs  map[string]bool // directories that are there, below dir, none of them a link
	at    map[string]int  // index of a name in the stamp
}

// all unpacks every entry.
func (u *unpacking) all(ctx context.Context, r io.Reader, format string) error {
	switch format {
	case "zip":
		return u.zip(ctx, r)
	case "tar.gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		return u.tar(ctx, z)
	case "tar.bz2":
		return u.tar(ctx, bzip2.NewReader(r))
	case "tar.xz":
		z, err := xz.ReaderConfig{DictCap: 64 << 20}.NewReader(r)
		if err != nil {
			return err
		}
		return u.tar(ctx, z)
	case "tar.zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		return u.tar(ctx, z)
	}
	return u.tar(ctx, r)
}

func (u *unpacking) tar(ctx context.Context, r io.Reader) error {
	for t := tar.NewReader(r); ; {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e := stampEntry{Mode: head.FileInfo().Mode().Perm(), Target: head.Linkname}
		switch head.Typeflag {
		case tar.TypeReg:
			e.Kind = host.File
		case tar.TypeDir:
			e.Kind = host.Dir
		case tar.TypeSymlink:
			e.Kind = host.Symlink
		case tar.TypeLink:
			if err := u.hardLink(ctx, head.Name, head.Linkname, e); err != nil {
				return err
			}
			continue
		case tar.TypeXGlobalHeader:
			continue
		default:
			return fmt.Errorf("%s is neither a file nor a directory nor a link", head.Name)
		}
		if err := u.entry(ctx, head.Name, e, t); err != nil {
			return err
		}
	}
}

func (u *unpacking) zip(ctx context.Context, r io.Reader) error {
	at, seekable := r.(io.ReaderAt)
	var size int64
	if s, ok := r.(io.Seeker); ok && seekable {
		end, err := s.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		size = end
	} else {
		const most = 64 << 20
		data, err := io.ReadAll(io.LimitReader(r, most+1))
		if err != nil || len(data) > most {
			return errors.Join(err, fmt.Errorf("a zip file of more than %d bytes must be on a file system", most))
		}
		at, size = bytes.NewReader(data), int64(len(data))
	}
	z, err := zip.NewReader(at, size)
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if err := u.zipEntry(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) zipEntry(ctx context.Context, f *zip.File) (err error) {
	e := stampEntry{Kind: host.File, Mode: f.Mode().Perm()}
	switch {
	case f.Mode().IsDir():
		e.Kind = host.Dir
	case f.Mode()&fs.ModeSymlink != 0:
		e.Kind = host.Symlink
	case !f.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a directory nor a link", f.Name)
	}
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if e.Kind == host.Symlink {
		target, err := io.ReadAll(io.LimitReader(r, 4096))
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		e.Target = string(target)
	}
	return u.entry(ctx, f.Name, e, r)
}

// name takes the leading folders off a name; "" if nothing is left.
func (u *unpacking) name(raw string) (string, error) {
	name := path.Clean(strings.TrimSuffix(raw, "/"))
	if path.IsAbs(raw) || name == ".." || strings.HasPrefix(name, "../") || strings.ContainsAny(raw, "\x00\\\n") {
		return "", fmt.Errorf("the archive holds the name %q, which leads out of the directory or cannot be made", raw)
	}
	for range u.strip {
		_, rest, more := strings.Cut(name, "/")
		if !more {
			return "", nil
		}
		name = rest
	}
	if name == "." {
		return "", nil
	}
	if name == stampName {
		return "", fmt.Errorf("the archive holds the name %q", raw)
	}
	return name, nil
}

// entry puts one entry into place.
func (u *unpacking) entry(ctx context.Context, raw string, e stampEntry, r io.Reader) error {
	name, err := u.name(raw)
	if err != nil || name == "" {
		return err
	}
	if u.files--; u.files < 0 {
		return errors.New("the archive holds more files than max_files allows")
	}
	e.Name, e.Mode = name, e.Mode&^0o022
	if err := u.parents(ctx, path.Dir(name)); err != nil {
		return err
	}
	full := path.Join(u.dir, name)
	switch e.Kind {
	case host.Dir:
		e.Target = ""
		return u.folder(ctx, name, e.Mode|0o700)
	case host.Symlink:
		e.Mode = 0
		if to := path.Join(path.Dir(name), e.Target); path.IsAbs(e.Target) || e.Target == "" || to == ".." || strings.HasPrefix(to, "../") {
			return fmt.Errorf("the link %s leads out of the directory, to %q", raw, e.Target)
		}
		err = u.h.FS.Link(ctx, full, e.Target)
		if err == nil && (u.attr.UID != nil || u.attr.GID != nil) {
			err = u.h.FS.SetAttr(ctx, full, host.Attr{UID: u.attr.UID, GID: u.attr.GID})
		}
	default:
		e.Target = ""
		sum := sha256.New()
		limited := &io.LimitedReader{R: r, N: u.bytes + 1}
		attr := u.attr
		attr.Mode = &e.Mode
		if err = u.h.FS.Write(ctx, full, io.TeeReader(limited, sum), host.WriteOptions{Attr: attr, Validate: func(context.Context, string) error {
			if u.bytes = limited.N - 1; u.bytes < 0 {
				return errors.New("the archive holds more bytes than max_unpacked allows")
			}
			return nil
		}}); err == nil {
			e.Digest = fmt.Sprintf("sha256:%x", sum.Sum(nil))
		}
	}
	if err != nil {
		return err
	}
	u.note(e)
	return nil
}

// note keeps an entry; a name that is there twice counts as its last.
func (u *unpacking) note(e stampEntry) {
	if n, twice := u.at[e.Name]; twice {
		u.stamp.Entries[n] = e
		return
	}
	u.at[e.Name] = len(u.stamp.Entries)
	u.stamp.Entries = append(u.stamp.Entries, e)
}

// hardLink makes a file of its own with the content of one that was unpacked before.
func (u *unpacking) hardLink(ctx context.Context, raw, to string, e stampEntry) error {
	name, err := u.name(to)
	if err != nil {
		return err
	}
	if n, there := u.at[name]; there && u.stamp.Entries[n].Kind == host.File {
		r, err := u.h.FS.Open(path.Join(u.dir, name))
		if err != nil {
			return err
		}
		e.Kind, e.Mode = host.File, u.stamp.Entries[n].Mode
		return errors.Join(u.entry(ctx, raw, e, r), r.Close())
	}
	return fmt.Errorf("%s is a link to %s, which the archive does not hold before it", raw, to)
}

// parents makes the directories an entry is in, and refuses links among them.
func (u *unpacking) parents(ctx context.Context, dir string) error {
	if dir == "." || u.dirs[dir] {
		return nil
	}
	if err := u.parents(ctx, path.Dir(dir)); err != nil {
		return err
	}
	is, err := look(u.h, path.Join(u.dir, dir))
	if err != nil {
		return err
	}
	if is == nil {
		return u.folder(ctx, dir, 0o755)
	}
	if is.Kind != host.Dir {
		return fmt.Errorf("%s is a %s, and nothing is unpacked below it", path.Join(u.dir, dir), is.Kind)
	}
	if u.old != nil {
		for _, e := range u.old.Entries {
			if e.Name == dir && e.Kind == host.Dir {
				return u.folder(ctx, dir, 0o755) // made by the run before
			}
		}
	}
	u.dirs[dir] = true
	return nil
}

// folder makes a directory.
func (u *unpacking) folder(ctx context.Context, name string, mode fs.FileMode) error {
	full := path.Join(u.dir, name)
	if is, err := look(u.h, full); err != nil || is != nil && is.Kind != host.Dir {
		return errors.Join(err, fmt.Errorf("%s is there and is no directory", full))
	}
	attr := u.attr
	attr.Mode = &mode
	if err := u.h.FS.MakeDir(ctx, full, attr); err != nil {
		return err
	}
	u.dirs[name] = true
	u.note(stampEntry{Name: name, Kind: host.Dir, Mode: mode})
	return nil
}
