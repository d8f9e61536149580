package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"time"
)

// PackLayer renders files as an uncompressed layer: a tar archive with the regular files sorted by path, mode 0644 or
// 0755, owner 0, time 0; USTAR, and PAX only for names that need it. The bytes are a function of the files alone.
func PackLayer(files []File) ([]byte, error) {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	var names pathSet
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	limits := DefaultLimits()
	for _, f := range sorted {
		if err := names.add(f.Path, limits); err != nil {
			return nil, fmt.Errorf("packing a layer: %w", err)
		}
		mode := int64(0o644)
		if f.Exec {
			mode = 0o755
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: int64(len(f.Data)), Mode: mode, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("packing %s: %w", quoted(f.Path), err)
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", quoted(f.Path), err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing a layer: %w", err)
	}
	return buf.Bytes(), nil
}

// compress renders a layer as gzip (RFC 1952) without name, time and system.
func compress(content []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("compressing a layer: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing a layer: %w", err)
	}
	return buf.Bytes(), nil
}

// Limits bound what is read from a layer.
type Limits struct {
	Files int   // number of files
	File  int64 // bytes of one file
	Total int64 // bytes of the uncompressed archive
	Path  int   // bytes of a path
	Depth int   // elements of a path
}

// DefaultLimits are those of agents: 20,000 files, 32 MiB each, 128 MiB together, paths of 512 bytes and 32 elements.
func DefaultLimits() Limits {
	return Limits{Files: 20_000, File: 32 << 20, Total: 128 << 20, Path: 512, Depth: 32}
}

// capped passes on at most left bytes, then refuses.
type capped struct {
	r    io.Reader
	max  int64
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, &Refusal{Name: TooLarge, Detail: fmt.Sprintf("the uncompressed layer has more than %d bytes", c.max)}
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	return n, err
}
