package ocistore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vigo.dev/pkg/bundle"
)

// Ordered asks several sources, the first that gives an answer wins: a site's hub before the central registry. Content
// is verified before it counts as an answer, so that a damaged mirror is passed over. When none answers, the errors of
// all are told; it is "not there" only if it is not there in any.
func Ordered(sources ...bundle.Source) bundle.Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return ordered(sources)
}

type ordered []bundle.Source

// first returns what the first source that succeeds gives.
func first[T any](ctx context.Context, sources []bundle.Source, ask func(bundle.Source) (T, error)) (T, error) {
	var failed, absent error
	for _, src := range sources {
		got, err := ask(src)
		switch {
		case err == nil:
			return got, nil
		case errors.Is(err, bundle.ErrNotFound):
			absent = err
		default:
			failed = errors.Join(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	var none T
	if failed != nil {
		return none, failed
	}
	if absent == nil {
		absent = fmt.Errorf("there is no source: %w", bundle.ErrNotFound)
	}
	return none, absent
}

// Resolve implements bundle.Source.
func (o ordered) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	return first(ctx, o, func(src bundle.Source) (bundle.Descriptor, error) { return src.Resolve(ctx, tag) })
}

// Open implements bundle.Source.
func (o ordered) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	data, err := first(ctx, o, func(src bundle.Source) ([]byte, error) { return bundle.Fetch(ctx, src, d, bundle.MaxLayer) })
	if err != nil {
		return nil, err
	}
	return noClose{bytes.NewReader(data)}, nil
}

// Referrers implements bundle.Source. A source that lists none is passed over: mirrors are known to copy a manifest
// without its signatures.
func (o ordered) Referrers(ctx context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	found, err := first(ctx, o, func(src bundle.Source) ([]bundle.Descriptor, error) {
		found, err := src.Referrers(ctx, d, artifactType)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("referrers of %s: %w", d.Digest, bundle.ErrNotFound)
		}
		return found, err
	})
	if errors.Is(err, bundle.ErrNotFound) {
		return nil, nil
	}
	return found, err
}
