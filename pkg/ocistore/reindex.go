package ocistore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"vigo.dev/pkg/bundle"
)

// mend makes the index anew from the content when it is damaged or gone: which manifests there are is said by their bytes,
// so only tags are lost. A layout that is whole, or empty, is left as it is.
func (l *Layout) mend(ctx context.Context) error {
	idx, err := l.index()
	if err == nil && len(idx.Manifests) > 0 {
		return nil
	}
	if err != nil {
		if err := os.RemoveAll(l.indexPath()); err != nil {
			return err
		}
	}
	found, err := l.manifests(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	return l.change(func(idx *layoutIndex) bool {
		idx.Manifests = found
		return true
	})
}

// manifests finds the manifests among the content.
func (l *Layout) manifests(ctx context.Context) ([]bundle.Descriptor, error) {
	entries, err := os.ReadDir(l.blobs())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking through a layout: %w", err)
	}
	var found []bundle.Descriptor
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || strings.HasPrefix(e.Name(), ".") || !info.Mode().IsRegular() || info.Size() > bundle.MaxManifest {
			continue // gone meanwhile, or none
		}
		d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: "sha256:" + e.Name(), Size: info.Size()}
		if m, err := l.manifest(ctx, d); err == nil && m.MediaType == bundle.ManifestMediaType {
			d.ArtifactType = m.ArtifactType
			found = append(found, d)
		}
	}
	return found, nil
}
