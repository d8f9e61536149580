package ocistore

import (
	"context"
	"errors"
	"io"

	"vigo.dev/pkg/bundle"
)

// Failover returns a source that asks sources in order: the next one when one cannot be reached or does not have it. When
// none answers, the error holds what each of them said.
func Failover(sources ...bundle.Source) bundle.Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return failover(sources)
}

type failover []bundle.Source

// Resolve implements bundle.Source.
func (f failover) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	return first(ctx, f, func(s bundle.Source) (bundle.Descriptor, error) { return s.Resolve(ctx, tag) })
}

// Open implements bundle.Source.
func (f failover) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	return first(ctx, f, func(s bundle.Source) (io.ReadCloser, error) { return s.Open(ctx, d) })
}

// Referrers implements bundle.Source.
func (f failover) Referrers(ctx context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	return first(ctx, f, func(s bundle.Source) ([]bundle.Descriptor, error) { return s.Referrers(ctx, d, artifactType) })
}

func first[T any](ctx context.Context, sources []bundle.Source, ask func(bundle.Source) (T, error)) (T, error) {
	var zero T
	var errs []error
	if len(sources) == 0 {
		return zero, errors.New("no registry is configured")
	}
	for _, s := range sources {
		v, err := ask(s)
		if err == nil {
			return v, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return zero, errors.Join(errs...)
}
