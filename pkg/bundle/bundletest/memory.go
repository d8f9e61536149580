package bundletest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"vigo.dev/pkg/bundle"
)

// Memory is a store in memory for tests, which can do what the network and its people do: content may be replaced under
// its digest, and it may be out of reach. It is safe for concurrent use.
type Memory struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	tags      map[string]bundle.Descriptor
	manifests []bundle.Descriptor
	down      error
	opened    []bundle.Descriptor
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{blobs: map[string][]byte{}, tags: map[string]bundle.Descriptor{}}
}

// Tamper replaces the content under a digest by what edit makes of it.
func (m *Memory) Tamper(digest string, edit func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[digest] = edit(slices.Clone(m.blobs[digest]))
}

// Fail makes every call fail with err; nil brings the store back.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

// Opened returns what was opened since the last call.
func (m *Memory) Opened() []bundle.Descriptor {
	m.mu.Lock()
	defer m.mu.Unlock()
	opened := m.opened
	m.opened = nil
	return opened
}

// Resolve implements bundle.Source.
func (m *Memory) Resolve(_ context.Context, tag string) (bundle.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.tags[tag]
	if i := slices.IndexFunc(m.manifests, func(e bundle.Descriptor) bool { return e.Digest == tag }); i >= 0 {
		d, ok = m.manifests[i], true
	}
	if m.down != nil || !ok {
		return bundle.Descriptor{}, m.absent("tag " + tag)
	}
	return d, nil
}

func (m *Memory) absent(what string) error {
	if m.down != nil {
		return m.down
	}
	return fmt.Errorf("%s: %w", what, bundle.ErrNotFound)
}

// Open implements bundle.Source.
func (m *Memory) Open(_ context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	if _, err := bundle.ParseDigest(d.Digest); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.blobs[d.Digest]
	if m.down != nil || !ok {
		return nil, m.absent(d.Digest)
	}
	m.opened = append(m.opened, d)
	return bundle.Verified(io.NopCloser(bytes.NewReader(data)), d), nil
}

// Referrers implements bundle.Source.
func (m *Memory) Referrers(_ context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	var found []bundle.Descriptor
	for _, c := range m.manifests {
		doc, err := bundle.ReadManifest(m.blobs[c.Digest])
		if err == nil && doc.Subject != nil && doc.Subject.Digest == d.Digest && (artifactType == "" || doc.ArtifactType == artifactType) {
			c.ArtifactType = doc.ArtifactType
			found = append(found, c)
		}
	}
	return found, nil
}

// Push implements bundle.Store.
func (m *Memory) Push(_ context.Context, d bundle.Descriptor, r io.Reader) error {
	if _, err := bundle.ParseDigest(d.Digest); err != nil {
		return err
	}
	m.mu.Lock()
	there := m.down == nil && d.MediaType != bundle.ManifestMediaType && bundle.DigestOf(m.blobs[d.Digest]) == d.Digest
	m.mu.Unlock()
	if there { // a registry is asked before anything is sent to it
		return nil
	}
	data, err := io.ReadAll(bundle.Verified(io.NopCloser(r), d))
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	if _, there := m.blobs[d.Digest]; !there && d.MediaType == bundle.ManifestMediaType {
		m.manifests = append(m.manifests, bundle.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
	}
	m.blobs[d.Digest] = data
	return nil
}

// Tag implements bundle.Store.
func (m *Memory) Tag(_ context.Context, d bundle.Descriptor, tag string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.blobs[d.Digest]; m.down != nil || !ok {
		return m.absent(d.Digest)
	}
	m.tags[tag] = bundle.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	return nil
}

// Untag forgets a tag, as a registry does that lets its people delete.
func (m *Memory) Untag(tag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tags, tag)
}

// Tags calls visit for every tag, in no order, until it fails.
func (m *Memory) Tags(_ context.Context, visit func(tag string) error) error {
	m.mu.Lock()
	tags, down := slices.Collect(maps.Keys(m.tags)), m.down
	m.mu.Unlock()
	if down != nil {
		return down
	}
	for _, tag := range tags {
		if err := visit(tag); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes a manifest with its tags, and what no other manifest names.
func (m *Memory) Delete(_ context.Context, d bundle.Descriptor) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.blobs[d.Digest]; m.down != nil || !ok {
		return m.absent(d.Digest)
	}
	m.manifests = slices.DeleteFunc(m.manifests, func(e bundle.Descriptor) bool { return e.Digest == d.Digest })
	maps.DeleteFunc(m.tags, func(_ string, e bundle.Descriptor) bool { return e.Digest == d.Digest })
	named := map[string]bool{}
	for _, e := range m.manifests {
		named[e.Digest] = true
		if doc, err := bundle.ReadManifest(m.blobs[e.Digest]); err == nil {
			for _, part := range append([]bundle.Descriptor{doc.Config}, doc.Layers...) {
				named[part.Digest] = true
			}
		}
	}
	maps.DeleteFunc(m.blobs, func(digest string, _ []byte) bool { return !named[digest] })
	return nil
}
