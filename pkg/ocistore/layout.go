package ocistore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

const (
	indexMediaType = "application/vnd.oci.image.index.v1+json"
	refName        = "org.opencontainers.image.ref.name"
	indexName      = "index.json"
	markerName     = "oci-layout"
	marker         = `{"imageLayoutVersion":"1.0.0"}`
	maxReferrers   = 64
	maxIndex       = 16 << 20
)

// A Layout is a store in a folder in the form of an OCI image layout 1.0, as oras, crane and skopeo read and write it.
// Every write is a temporary file, synced and renamed, so that being killed leaves the old or the new content. One
// process writes at a time; others may read.
type Layout struct {
	dir string
	mu  sync.Mutex // for changing the index
}

// NewLayout returns the layout in a folder, which is made by the first write.
func NewLayout(dir string) *Layout { return &Layout{dir: dir} }

type layoutIndex struct {
	SchemaVersion int                 `json:"schemaVersion"`
	MediaType     string              `json:"mediaType"`
	Manifests     []bundle.Descriptor `json:"manifests"`
}

func (l *Layout) blobs() string { return filepath.Join(l.dir, "blobs", "sha256") }

func (l *Layout) indexPath() string { return filepath.Join(l.dir, indexName) }

// blob returns where content is kept.
func (l *Layout) blob(digest string) (string, error) {
	if _, err := bundle.ParseDigest(digest); err != nil {
		return "", err
	}
	return filepath.Join(l.blobs(), strings.TrimPrefix(digest, "sha256:")), nil
}

// index reads the index; a layout that is not there yet has an empty one.
func (l *Layout) index() (layoutIndex, error) {
	empty := layoutIndex{SchemaVersion: 2, MediaType: indexMediaType, Manifests: []bundle.Descriptor{}}
	f, err := os.Open(l.indexPath())
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, fmt.Errorf("reading the index of a layout: %w", err)
	}
	defer f.Close()
	idx := empty
	if err := json.NewDecoder(io.LimitReader(f, maxIndex)).Decode(&idx); err != nil {
		return empty, fmt.Errorf("reading the index of %s: %w", l.dir, err)
	}
	return idx, nil
}

// change reads the index, applies edit and writes the index when edit says so.
func (l *Layout) change(edit func(*layoutIndex) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	idx, err := l.index()
	if err != nil {
		return err
	}
	if !edit(&idx) {
		return nil
	}
	data, err := json.Marshal(idx)
	if err != nil {
		return err
	}
	return atomicfile.Write(l.indexPath(), data, 0o644)
}

// Resolve implements bundle.Source. A digest finds the manifest that has it, as in registries.
func (l *Layout) Resolve(_ context.Context, tag string) (bundle.Descriptor, error) {
	idx, err := l.index()
	if err != nil {
		return bundle.Descriptor{}, err
	}
	var tags []string
	for _, d := range idx.Manifests {
		name := d.Annotations[refName]
		if name == tag || d.Digest == tag {
			d.Annotations = nil
			return d, nil
		}
		if name != "" {
			tags = append(tags, name)
		}
	}
	return bundle.Descriptor{}, l.missing(tag, tags)
}

// missing says that a tag is not there, and what is.
func (l *Layout) missing(tag string, tags []string) error {
	if _, err := os.Stat(filepath.Join(l.dir, markerName)); errors.Is(err, fs.ErrNotExist) {
		return notFound("there is no OCI image layout in " + l.dir + ": " + tag)
	}
	what := "tag " + tag
	if strings.HasPrefix(tag, "sha256:") {
		what = "manifest " + tag
	}
	hint := fault.DidYouMean(tag, tags)
	if hint == "" && len(tags) > 0 {
		hint = "it has the tags " + strings.Join(tags[:min(len(tags), 8)], ", ")
	}
	return fault.WithHint(notFound(what+" of "+l.dir), hint)
}

// Open implements bundle.Source.
func (l *Layout) Open(_ context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	path, err := l.blob(d.Digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(d.Digest)
	}
	if err != nil {
		return nil, err
	}
	return bundle.Verified(f, d), nil
}

// Referrers implements bundle.Source. Manifests in the index are looked at, and those in the fallback tag that clients
// keep on registries without the referrers API.
func (l *Layout) Referrers(ctx context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	idx, err := l.index()
	if err != nil {
		return nil, err
	}
	candidates := idx.Manifests
	if fallback, err := l.Resolve(ctx, strings.Replace(d.Digest, ":", "-", 1)); err == nil {
		if more, err := l.fallback(ctx, fallback); err == nil {
			candidates = append(candidates, more...)
		}
	}
	var found []bundle.Descriptor
	for _, c := range candidates {
		if len(found) == maxReferrers {
			break
		}
		if c.Digest == d.Digest || artifactType != "" && c.ArtifactType != "" && c.ArtifactType != artifactType ||
			slices.ContainsFunc(found, func(f bundle.Descriptor) bool { return f.Digest == c.Digest }) {
			continue
		}
		m, err := l.manifest(ctx, c)
		if err != nil || m.Subject == nil || m.Subject.Digest != d.Digest || artifactType != "" && m.ArtifactType != artifactType {
			continue // another one may do; a missing signature is told by who needs it
		}
		found = append(found, bundle.Descriptor{MediaType: bundle.ManifestMediaType, ArtifactType: m.ArtifactType, Digest: c.Digest, Size: c.Size})
	}
	return found, nil
}

func (l *Layout) fallback(ctx context.Context, d bundle.Descriptor) ([]bundle.Descriptor, error) {
	data, err := bundle.Fetch(ctx, l, d, bundle.MaxManifest)
	if err != nil {
		return nil, err
	}
	var idx layoutIndex
	if err := json.Unmarshal(data, &idx); err != nil {
		return nil, err
	}
	return idx.Manifests, nil
}

func (l *Layout) manifest(ctx context.Context, d bundle.Descriptor) (bundle.Manifest, error) {
	data, err := bundle.Fetch(ctx, l, d, bundle.MaxManifest)
	if err != nil {
		return bundle.Manifest{}, err
	}
	return bundle.ReadManifest(data)
}

// Push implements bundle.Store. What is there under the digest but is not its content, such as after a disk error, is
// replaced.
func (l *Layout) Push(ctx context.Context, d bundle.Descriptor, r io.Reader) error {
	path, err := l.blob(d.Digest)
	if err != nil {
		return err
	}
	if d.Size < 0 || d.Size > bundle.MaxLayer {
		return fmt.Errorf("pushing %s of %d bytes: %w", d.Digest, d.Size, bundle.ErrLimit)
	}
	if !l.has(ctx, d) {
		data, err := io.ReadAll(bundle.Verified(io.NopCloser(r), d))
		if err != nil {
			return fmt.Errorf("pushing %s: %w", d.Digest, err)
		}
		if err := l.make(); err != nil {
			return err
		}
		if err := atomicfile.Write(path, data, 0o644); err != nil {
			return err
		}
	}
	if d.MediaType != bundle.ManifestMediaType {
		return nil
	}
	m, err := l.manifest(ctx, d)
	if err != nil {
		return fmt.Errorf("pushing %s: %w", d.Digest, err)
	}
	return l.change(func(idx *layoutIndex) bool {
		if slices.ContainsFunc(idx.Manifests, func(e bundle.Descriptor) bool { return e.Digest == d.Digest }) {
			return false
		}
		idx.Manifests = append(idx.Manifests, bundle.Descriptor{MediaType: d.MediaType, ArtifactType: m.ArtifactType, Digest: d.Digest, Size: d.Size})
		return true
	})
}

// has says whether the content of d is there and is right.
func (l *Layout) has(ctx context.Context, d bundle.Descriptor) bool {
	rc, err := l.Open(ctx, d)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, rc)
	return errors.Join(err, rc.Close()) == nil
}

// make creates the folders and the file that says what this is.
func (l *Layout) make() error {
	if err := os.MkdirAll(l.blobs(), 0o755); err != nil {
		return fmt.Errorf("making a layout: %w", err)
	}
	path := filepath.Join(l.dir, markerName)
	if had, err := os.ReadFile(path); err == nil && len(had) > 0 {
		return nil
	}
	return atomicfile.Write(path, []byte(marker), 0o644)
}

// Tag implements bundle.Store.
func (l *Layout) Tag(ctx context.Context, d bundle.Descriptor, tag string) error {
	if !l.has(ctx, d) {
		return fmt.Errorf("tagging %s: %w", tag, notFound(d.Digest))
	}
	return l.change(func(idx *layoutIndex) bool { return idx.tag(d, tag) })
}

// tag moves a tag to d and says whether anything changed. What loses its last tag stays in the index.
func (idx *layoutIndex) tag(d bundle.Descriptor, tag string) bool {
	d.Annotations = nil
	var kept []bundle.Descriptor
	for _, e := range idx.Manifests {
		switch {
		case e.Annotations[refName] == tag && e.Digest == d.Digest:
			return false
		case e.Annotations[refName] == tag:
			e.Annotations = nil
			if slices.ContainsFunc(idx.Manifests, func(o bundle.Descriptor) bool { return o.Digest == e.Digest && o.Annotations[refName] != tag }) {
				continue
			}
		case e.Digest == d.Digest && e.Annotations[refName] == "":
			if d.ArtifactType == "" {
				d.ArtifactType = e.ArtifactType
			}
			continue
		}
		kept = append(kept, e)
	}
	d.Annotations = map[string]string{refName: tag}
	idx.Manifests = append(kept, d)
	return true
}
