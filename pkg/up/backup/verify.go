package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"vigo.dev/pkg/sqlstore"
)

// Verify reads a whole backup, unpacks it into a folder of its own, looks through the store, and removes it again.
func Verify(ctx context.Context, file string) (m Manifest, err error) {
	dir, err := os.MkdirTemp("", "vigo-backup-*")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return unpack(ctx, file, dir)
}

// unpack puts the members of a backup into a folder, for their owner alone, and compares them with the manifest.
func unpack(ctx context.Context, file, dir string) (m Manifest, err error) {
	f, err := os.Open(file)
	if err != nil {
		return m, fmt.Errorf("reading the backup: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if m, err = extract(ctx, f, dir); err != nil {
		return m, fmt.Errorf("reading the backup %s: %w", file, err)
	}
	found, err := sqlstore.Inspect(ctx, filepath.Join(dir, storeMember))
	switch {
	case err != nil:
		return m, fmt.Errorf("reading the backup %s: %w", file, err)
	case found.Schema != m.Store.Schema || !maps.Equal(found.Rows, m.Store.Rows):
		return m, fmt.Errorf("reading the backup %s: the store does not hold what the manifest says: %w", file, ErrNotWhole)
	}
	return m, nil
}

func extract(ctx context.Context, r io.Reader, dir string) (m Manifest, err error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return m, err
	}
	defer z.Close()
	t := tar.NewReader(z)
	if m, err = readManifest(t); err != nil {
		return m, err
	}
	seen := map[string]bool{}
	for ctx.Err() == nil {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("%w: %w", ErrNotWhole, err)
		}
		want, ok := m.member(h.Name)
		if !ok || !known(h.Name) || seen[h.Name] || h.Typeflag != tar.TypeReg {
			return m, fmt.Errorf("%.100q does not belong into it: %w", h.Name, ErrNotWhole)
		}
		seen[h.Name] = true
		if err := extractFile(t, want, filepath.Join(dir, filepath.FromSlash(want.Name))); err != nil {
			return m, err
		}
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // its checksum is at the end
		return m, fmt.Errorf("%w: %w", ErrNotWhole, err)
	}
	for _, f := range m.Files {
		if !seen[f.Name] {
			return m, errors.Join(ctx.Err(), fmt.Errorf("%s is missing: %w", f.Name, ErrNotWhole))
		}
	}
	return m, ctx.Err()
}

// readManifest reads the first member.
func readManifest(t *tar.Reader) (m Manifest, err error) {
	h, err := t.Next()
	if err != nil || h.Name != manifestMember || h.Size > maxManifest {
		return m, fmt.Errorf("no manifest at the begin: %w", errors.Join(ErrNotWhole, err))
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrNotWhole, err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("reading the manifest: %w: %w", ErrNotWhole, err)
	}
	if m.Format > format {
		return m, fmt.Errorf("format %d, this program knows %d: %w", m.Format, format, ErrNewer)
	}
	if _, ok := m.member(storeMember); !ok || m.Format != format {
		return m, fmt.Errorf("the manifest names no store: %w", ErrNotWhole)
	}
	return m, nil
}

// extractFile writes one member, which must be as the manifest says.
func extractFile(r io.Reader, want File, to string) (err error) {
	if want.Name != storeMember && want.Size > maxSmall {
		return fmt.Errorf("%s has %d bytes: %w", want.Name, want.Size, ErrNotWhole)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	source := &reading{r: r}
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(source, want.Size+1))
	switch {
	case source.err != nil:
		return fmt.Errorf("%s: %w: %w", want.Name, ErrNotWhole, source.err)
	case err != nil:
		return err // of the disk here
	case n != want.Size || hex.EncodeToString(sum.Sum(nil)) != want.SHA256:
		return fmt.Errorf("%s is not as the manifest says: %w", want.Name, ErrNotWhole)
	}
	return f.Sync()
}

// reading remembers an error of who is read from, to tell it from one of who is written to.
type reading struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
