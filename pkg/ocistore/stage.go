package ocistore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vigo.dev/pkg/bundle"
)

// A Stage is a view of a cache that keeps nothing on disk until Commit: what is looked at and refused leaves the cache as
// it was. It is for one goroutine.
type Stage struct {
	cache *Cache
	order []bundle.Descriptor // what was fetched, in that order
	data  map[string][]byte   // by digest
	tags  map[string]bundle.Descriptor
}

// Stage returns a view in which nothing was fetched yet.
func (c *Cache) Stage() *Stage {
	return &Stage{cache: c, data: map[string][]byte{}, tags: map[string]bundle.Descriptor{}}
}

// Resolve implements bundle.Source. When the origin cannot be reached, it answers with the target of the tag that was
// committed last.
func (s *Stage) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	var d bundle.Descriptor
	err := s.cache.ask(ctx, func() (err error) {
		d, err = s.cache.origin.Resolve(ctx, tag)
		return err
	})
	if errors.Is(err, ErrOffline) {
		if last, lastErr := s.cache.kept.Resolve(ctx, tag); lastErr == nil {
			return last, nil
		}
	}
	if err != nil {
		return bundle.Descriptor{}, err
	}
	s.tags[tag] = d
	return d, nil
}

// Open implements bundle.Source. The content was verified before Open returns.
func (s *Stage) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	if data, ok := s.data[d.Digest]; ok {
		return bundle.Verified(noClose{bytes.NewReader(data)}, d), nil
	}
	data, kept, err := s.cache.fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	if !kept {
		s.data[d.Digest] = data
		s.order = append(s.order, d)
	}
	return noClose{bytes.NewReader(data)}, nil
}

// Referrers implements bundle.Source.
func (s *Stage) Referrers(ctx context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	return s.cache.Referrers(ctx, d, artifactType)
}

// Commit keeps what was fetched and resolved: content, then the manifests that name it, then tags. After an error some
// of it may be kept, as content that no tag leads to; it can be called again.
func (s *Stage) Commit(ctx context.Context) error {
	for _, manifests := range []bool{false, true} {
		for _, d := range s.order {
			if (d.MediaType == bundle.ManifestMediaType) != manifests {
				continue
			}
			if err := s.cache.kept.Push(ctx, d, bytes.NewReader(s.data[d.Digest])); err != nil {
				return fmt.Errorf("keeping content in the cache: %w", err)
			}
		}
	}
	for tag, d := range s.tags {
		if last, err := s.cache.kept.Resolve(ctx, tag); err == nil && last.Digest == d.Digest {
			continue
		}
		if err := s.cache.kept.Tag(ctx, d, tag); err != nil {
			return fmt.Errorf("keeping a tag in the cache: %w", err)
		}
	}
	s.order, s.data, s.tags = nil, map[string][]byte{}, map[string]bundle.Descriptor{}
	return nil
}
