package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Copy copies a manifest with everything it names from src to dst. What dst has is not fetched; the manifest comes last,
// so that whoever finds it finds the rest. Nothing is verified but digests and sizes.
func Copy(ctx context.Context, dst Store, src Source, d Descriptor) (Manifest, error) {
	return CopyPart(ctx, dst, src, d, func(Descriptor) bool { return true })
}

// CopyPart is [Copy] of the layers that are wanted. The manifest is the same to the byte; what it names beside them is just not
// there, which dst must allow.
func CopyPart(ctx context.Context, dst Store, src Source, d Descriptor, wanted func(layer Descriptor) bool) (Manifest, error) {
	data, err := Fetch(ctx, src, d, MaxManifest)
	if err != nil {
		return Manifest{}, err
	}
	m, err := ReadManifest(data)
	if err != nil {
		return Manifest{}, err
	}
	for i, part := range append([]Descriptor{m.Config}, m.Layers...) {
		if i > 0 && !wanted(part) {
			continue
		}
		if err := copyBlob(ctx, dst, src, part); err != nil {
			return Manifest{}, fmt.Errorf("copying %s: %w", part.Digest, err)
		}
	}
	if err := dst.Push(ctx, d, bytes.NewReader(data)); err != nil {
		return Manifest{}, fmt.Errorf("copying %s: %w", d.Digest, err)
	}
	return m, nil
}

func copyBlob(ctx context.Context, dst Store, src Source, d Descriptor) (err error) {
	r := &late{open: func() (io.ReadCloser, error) { return src.Open(ctx, d) }}
	defer func() { err = errors.Join(err, r.Close()) }()
	return dst.Push(ctx, d, r)
}

// late opens what it reads when it is read first: a store that has the content never reads it.
type late struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
}

// Read implements io.Reader.
func (l *late) Read(p []byte) (int, error) {
	if l.r == nil {
		var err error
		if l.r, err = l.open(); err != nil {
			return 0, err
		}
	}
	return l.r.Read(p)
}

// Close implements io.Closer.
func (l *late) Close() error {
	if l.r == nil {
		return nil
	}
	return l.r.Close()
}
