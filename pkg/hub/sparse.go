package hub

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/bundle"
)

func descriptor(t bundle.Target) bundle.Descriptor {
	return bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: t.Digest, Size: t.Size}
}

// copyNeeded copies a bundle with the layers that the site needs.
func (m *Mirror) copyNeeded(ctx context.Context, upstream bundle.Source, d bundle.Descriptor) (shelved, error) {
	manifest, config, err := bundle.Read(ctx, upstream, d)
	if err != nil {
		return shelved{}, err
	}
	needed, err := m.needed(ctx, upstream, manifest, config)
	if err != nil {
		return shelved{}, err
	}
	if _, err := bundle.CopyPart(ctx, m.Local, upstream, d, needed); err != nil {
		return shelved{}, err
	}
	// The store takes the manifest without layers, also without one that it collected as garbage while this was copied.
	for _, layer := range manifest.Layers {
		if !needed(layer) {
			continue
		}
		if there, err := m.holds(ctx, layer); err != nil || !there {
			return shelved{}, errors.Join(fmt.Errorf("layer %s of bundle %s is not there after it was copied", layer.Digest, d.Digest), err)
		}
	}
	return shelved{d.Digest, manifest, config}, nil
}

// needed says which layers of a bundle the site needs: those of its scope, and those that nodes asked for beside it.
func (m *Mirror) needed(ctx context.Context, upstream bundle.Source, manifest bundle.Manifest, config bundle.Config) (func(layer bundle.Descriptor) bool, error) {
	for i, l := range config.Layers {
		if l.Module == "" { // it says which those are, and is needed anyway
			if err := m.bring(ctx, upstream, manifest.Layers[i]); err != nil {
				return nil, err
			}
		}
	}
	inScope, err := m.Scope.needed(ctx, m.Local, manifest, config, m.Log)
	if err != nil {
		return nil, err
	}
	asked, layers := m.shelf.askedFor(m.Now()), map[string]bool{}
	for _, l := range config.Layers {
		layers[l.Digest] = layers[l.Digest] || inScope(l.Module) || asked[l.Module]
	}
	return func(layer bundle.Descriptor) bool { return layers[layer.Digest] }, nil
}
