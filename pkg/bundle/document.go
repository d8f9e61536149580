package bundle

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The largest documents that are read, and the most entries they may have.
const (
	MaxManifest = 4 << 20   // bytes of a manifest or a config
	MaxLayer    = 128 << 20 // bytes of a compressed layer
	maxLayers   = 10_000
	maxChannels = 256
)

func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt)
}

// ReadManifest parses an OCI image manifest. Digests, sizes and counts are checked; fields it does not know are left
// alone, as the specification asks.
func ReadManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := decode(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("reading a manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("reading a manifest: %w", err)
	}
	return m, nil
}

func (m Manifest) check() error {
	switch {
	case m.SchemaVersion != 2:
		return &Refusal{Name: BadFormat, Detail: fmt.Sprintf("schemaVersion is %d, not 2", m.SchemaVersion)}
	case m.MediaType != "" && m.MediaType != ManifestMediaType:
		return &Refusal{Name: BadFormat, Detail: "mediaType is " + quoted(m.MediaType) + ", not that of an image manifest"}
	case len(m.Layers) > maxLayers:
		return &Refusal{Name: TooMany, Detail: fmt.Sprintf("there are more than %d layers", maxLayers)}
	}
	parts := append([]Descriptor{m.Config}, m.Layers...)
	if m.Subject != nil {
		parts = append(parts, *m.Subject)
	}
	for _, d := range parts {
		if _, err := ParseDigest(d.Digest); err != nil {
			return err
		}
		if d.Size < 0 || d.Size > MaxLayer {
			return &Refusal{Name: TooLarge, Detail: fmt.Sprintf("size %d is not between 0 and %d", d.Size, MaxLayer), What: d.Digest}
		}
	}
	return nil
}

// ReadConfig parses the config of a bundle. A format version it does not know is refused; fields it does not know are
// left alone, since what an older agent must not overlook comes with a new version or with minAgent.
func ReadConfig(data []byte) (Config, error) {
	var c Config
	if err := decode(data, &c); err != nil {
		return Config{}, fmt.Errorf("reading the config of a bundle: %w", err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("reading the config of a bundle: %w", err)
	}
	return c, nil
}

func (c Config) check() error {
	switch {
	case c.FormatVersion != 1:
		return &Refusal{Name: BadFormat, Detail: fmt.Sprintf("format version %d is not known here", c.FormatVersion)}
	case len(c.Layers) > maxLayers:
		return &Refusal{Name: TooMany, Detail: fmt.Sprintf("there are more than %d layers", maxLayers)}
	case len(c.Channels) > maxChannels:
		return &Refusal{Name: TooMany, Detail: fmt.Sprintf("there are more than %d channels", maxChannels)}
	case c.Counter < 0:
		return &Refusal{Name: BadFormat, Detail: "the release counter is negative"}
	}
	seen := map[string]bool{}
	for _, l := range c.Layers {
		for _, digest := range []string{l.Digest, l.Content} {
			if _, err := ParseDigest(digest); err != nil {
				return err
			}
		}
		if l.Size < 0 || l.Files < 0 {
			return &Refusal{Name: BadFormat, Detail: "a layer has a negative size", What: quoted(l.Module)}
		}
		if seen[l.Module] {
			return &Refusal{Name: Duplicate, Detail: "the module has two layers", What: quoted(l.Module)}
		}
		seen[l.Module] = true
	}
	if got := contentOf(c.Layers); got != c.Content {
		return &Refusal{Name: WrongDigest, Detail: "the content digest does not fit the layers", What: quoted(c.Content)}
	}
	return nil
}

// decode reads one JSON document and nothing after it.
func decode(data []byte, v any) error {
	if len(data) > MaxManifest {
		return &Refusal{Name: TooLarge, Detail: fmt.Sprintf("the document has more than %d bytes", MaxManifest)}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(v); err != nil {
		return &Refusal{Name: BadFormat, Detail: "not the document that was expected: " + err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &Refusal{Name: Trailing, Detail: "there are bytes after the end of the document"}
	}
	return nil
}

// Fetch returns the whole content of d from src, verified, when it has at most limit bytes.
func Fetch(ctx context.Context, src Source, d Descriptor, limit int64) (data []byte, err error) {
	if _, err := ParseDigest(d.Digest); err != nil {
		return nil, err
	}
	if d.Size < 0 || d.Size > limit {
		return nil, &Refusal{Name: TooLarge, Detail: fmt.Sprintf("it has %d bytes, at most %d are read", d.Size, limit), What: d.Digest}
	}
	rc, err := src.Open(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", d.Digest, err)
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	if data, err = io.ReadAll(Verified(rc, d)); err != nil {
		return nil, fmt.Errorf("fetching %s: %w", d.Digest, err)
	}
	return data, nil
}

// Read fetches the manifest and the config of a bundle, and checks that they are of one bundle. It looks at no
// signature.
func Read(ctx context.Context, src Source, d Descriptor) (Manifest, Config, error) {
	data, err := Fetch(ctx, src, d, MaxManifest)
	if err != nil {
		return Manifest{}, Config{}, err
	}
	m, err := ReadManifest(data)
	if err != nil {
		return Manifest{}, Config{}, fmt.Errorf("%s: %w", d.Digest, err)
	}
	if m.ArtifactType != ArtifactType || m.Config.MediaType != ConfigMediaType {
		return Manifest{}, Config{}, &Refusal{Name: BadFormat, Detail: "it is an artifact of type " + quoted(m.ArtifactType) + ", not a bundle", What: d.Digest}
	}
	if data, err = Fetch(ctx, src, m.Config, MaxManifest); err != nil {
		return Manifest{}, Config{}, err
	}
	c, err := ReadConfig(data)
	if err != nil {
		return Manifest{}, Config{}, fmt.Errorf("%s: %w", d.Digest, err)
	}
	same := func(l Layer, d Descriptor) bool { return l.Digest == d.Digest && d.MediaType == LayerMediaType }
	if !slices.EqualFunc(c.Layers, m.Layers, same) {
		return Manifest{}, Config{}, &Refusal{Name: BadFormat, Detail: "the config names other layers than the manifest", What: d.Digest}
	}
	return m, c, nil
}
