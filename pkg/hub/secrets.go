package hub

import (
	"context"
	"fmt"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/seal"
)

// secrets copies what is sealed to the nodes of a channel, which a hub cannot open: each part is sealed to one node. The pointer
// that names it is signed and cannot go back, so neither can this.
func (m *Mirror) secrets(ctx context.Context, upstream bundle.Source, p bundle.Pointer) error {
	for _, t := range []*bundle.Target{p.Secrets, p.CandidateSecrets} {
		if t == nil {
			continue
		}
		d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: t.Digest, Size: t.Size}
		if _, err := bundle.Copy(ctx, m.Local, upstream, d); err != nil {
			return fmt.Errorf("copying the sealed secrets: %w", err)
		}
		if err := m.Local.Tag(ctx, d, seal.Tag(d.Digest)); err != nil {
			return err
		}
	}
	return nil
}
