package bundle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The annotations of manifests (OCI image specification, "Pre-Defined Annotation Keys").
const (
	AnnotationCreated  = "org.opencontainers.image.created"
	AnnotationSource   = "org.opencontainers.image.source"
	AnnotationRevision = "org.opencontainers.image.revision"
	AnnotationVersion  = "org.opencontainers.image.version"
)

// LayerInput is the files of one module, or of the fleet when Module is empty.
type LayerInput struct {
	Module string
	Files  []File
}

// A Blob is content with its descriptor.
type Blob struct {
	Descriptor Descriptor
	Data       []byte
}

// Built is a bundle that is ready to be stored.
type Built struct {
	Descriptor Descriptor // of the manifest
	Manifest   []byte
	Config     Config
	Blobs      []Blob // the layers that are not reused, then the config
}

// Build makes a bundle. It fills in FormatVersion, Content and Layers of cfg. The bytes are a function of the
// arguments: neither the clock, the time zone nor the user get into them. The time of creation is that of the commit.
func Build(cfg Config, layers []LayerInput) (Built, error) { return Builder{}.Build(cfg, layers) }

// A Builder makes bundles; its zero value is ready to use.
type Builder struct {
	// Reuse, if not nil, says how a layer with this uncompressed digest was stored before. It is then used as it is
	// and not compressed again.
	Reuse func(content string) (Descriptor, bool)
}

// Build is like the function [Build].
func (b Builder) Build(cfg Config, layers []LayerInput) (Built, error) {
	sorted := slices.Clone(layers)
	slices.SortFunc(sorted, func(a, b LayerInput) int { return cmp.Compare(a.Module, b.Module) })
	m := Manifest{SchemaVersion: 2, MediaType: ManifestMediaType, ArtifactType: ArtifactType, Layers: []Descriptor{}}
	var built Built
	cfg.FormatVersion, cfg.Layers = 1, make([]Layer, 0, len(sorted))
	cfg.Channels = slices.Sorted(slices.Values(cfg.Channels))
	if !cfg.Source.CommitTime.IsZero() {
		cfg.Source.CommitTime = cfg.Source.CommitTime.UTC().Truncate(time.Second)
	}
	for _, in := range sorted {
		entry, d, data, err := b.layer(in)
		if err != nil {
			return Built{}, fmt.Errorf("building the layer of module %q: %w", in.Module, err)
		}
		if data != nil {
			built.Blobs = append(built.Blobs, Blob{d, data})
		}
		m.Layers, cfg.Layers = append(m.Layers, d), append(cfg.Layers, entry)
	}
	cfg.Content = contentOf(cfg.Layers)
	if err := cfg.check(); err != nil {
		return Built{}, fmt.Errorf("building a bundle: %w", err)
	}
	config, err := json.Marshal(cfg)
	if err != nil {
		return Built{}, fmt.Errorf("building a bundle: %w", err)
	}
	m.Config, m.Annotations = DescriptorOf(ConfigMediaType, config), annotations(cfg)
	if built.Manifest, err = json.Marshal(m); err != nil {
		return Built{}, fmt.Errorf("building a bundle: %w", err)
	}
	built.Blobs = append(built.Blobs, Blob{m.Config, config})
	built.Config, built.Descriptor = cfg, DescriptorOf(ManifestMediaType, built.Manifest)
	built.Descriptor.ArtifactType = ArtifactType
	return built, nil
}

// layer packs one layer; data is nil when it is reused.
func (b Builder) layer(in LayerInput) (entry Layer, d Descriptor, data []byte, err error) {
	content, err := PackLayer(in.Files)
	if err != nil {
		return entry, d, nil, err
	}
	entry = Layer{Module: in.Module, Content: DigestOf(content), Size: int64(len(content)), Files: len(in.Files)}
	if err := fits(entry, in.Files); err != nil {
		return entry, d, nil, err
	}
	if b.Reuse != nil {
		if had, ok := b.Reuse(entry.Content); ok {
			entry.Digest = had.Digest
			return entry, Descriptor{MediaType: LayerMediaType, Digest: had.Digest, Size: had.Size}, nil, nil
		}
	}
	if data, err = compress(content); err != nil {
		return entry, d, nil, err
	}
	d = DescriptorOf(LayerMediaType, data)
	entry.Digest = d.Digest
	return entry, d, data, nil
}

// fits refuses to build what agents refuse to read.
func fits(entry Layer, files []File) error {
	l := DefaultLimits()
	if entry.Size > l.Total || entry.Files > l.Files {
		return &Refusal{Name: TooLarge, What: quoted(entry.Module),
			Detail: fmt.Sprintf("agents read at most %d files and %d bytes, this has %d and %d", l.Files, l.Total, entry.Files, entry.Size)}
	}
	for _, f := range files {
		if int64(len(f.Data)) > l.File {
			return &Refusal{Name: TooLarge, What: quoted(f.Path), Detail: fmt.Sprintf("agents read files of at most %d bytes, this has %d", l.File, len(f.Data))}
		}
	}
	return nil
}

// contentOf is the digest of the content of all layers, however they are compressed and ordered.
func contentOf(layers []Layer) string {
	lines := make([]string, 0, len(layers))
	for _, l := range layers {
		lines = append(lines, l.Content+" "+l.Module+"\n")
	}
	slices.Sort(lines)
	return DigestOf([]byte(strings.Join(lines, "")))
}

func annotations(cfg Config) map[string]string {
	a := map[string]string{AnnotationVersion: strconv.FormatInt(cfg.Counter, 10)}
	if cfg.Source.Repo != "" {
		a[AnnotationSource] = cfg.Source.Repo
	}
	if cfg.Source.Commit != "" {
		a[AnnotationRevision] = strings.TrimPrefix(cfg.Source.Ref+"@sha1:"+cfg.Source.Commit, "@")
	}
	if !cfg.Source.CommitTime.IsZero() {
		a[AnnotationCreated] = cfg.Source.CommitTime.Format(time.RFC3339)
	}
	return a
}

// Push stores the blobs, then the manifest, then the tag if there is one: who finds the later finds the earlier.
func (b Built) Push(ctx context.Context, store Store, tag string) error {
	manifest := Blob{b.Descriptor, b.Manifest}
	for _, blob := range append(slices.Clone(b.Blobs), manifest) {
		if err := store.Push(ctx, blob.Descriptor, bytes.NewReader(blob.Data)); err != nil {
			return fmt.Errorf("pushing %s: %w", blob.Descriptor.Digest, err)
		}
	}
	if tag == "" {
		return nil
	}
	if err := store.Tag(ctx, b.Descriptor, tag); err != nil {
		return fmt.Errorf("tagging %s as %s: %w", b.Descriptor.Digest, tag, err)
	}
	return nil
}
