package controller

import (
	"io/fs"
	"slices"
	"sync"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
)

// Bundler is the [Builder] of real policies: it compiles the files of a commit and packs them. Layers whose files did not
// change since the last build are not packed again.
type Bundler struct {
	Check Checker

	mu     sync.Mutex
	packed map[string]bundle.Blob // by the digest of the uncompressed layer
}

var _ Builder = (*Bundler)(nil)

// Build implements [Builder].
func (b *Bundler) Build(fsys fs.FS, cfg bundle.Config) (Artifact, error) {
	cfg, layers, err := Compile(fsys, b.Check, cfg)
	if err != nil {
		return Artifact{}, err
	}
	built, err := b.assemble(cfg, layers)
	if err != nil {
		return Artifact{}, err
	}
	fleet, err := policy.LoadFleet(fsys)
	if err != nil {
		return Artifact{}, err
	}
	alerts, err := policy.LoadAlerts(fsys)
	if err != nil {
		return Artifact{}, err
	}
	rollouts, windows, err := policy.LoadRollouts(fsys, fleet)
	if err != nil {
		return Artifact{}, err
	}
	a := Artifact{Rollouts: rollouts, Windows: windows, Modes: fleet.Modes,
		Descriptor: built.Descriptor, Manifest: built.Manifest, Config: built.Config, Interval: fleet.Interval, Alerts: alerts, Layers: layers}
	for _, g := range fleet.Nodes {
		a.Grants = append(a.Grants, report.LabelGrant{Match: g.Match, Labels: g.Labels})
	}
	for name, channel := range fleet.Channels {
		if !slices.Contains(cfg.Channels, name) {
			if a.Sources == nil {
				a.Sources = map[string]policy.Origin{}
			}
			a.Sources[name] = channel.From
		}
	}
	for _, blob := range built.Blobs {
		a.Blobs = append(a.Blobs, Blob{Descriptor: blob.Descriptor, Data: blob.Data})
	}
	return a, nil
}

// assemble packs layers, taking those of the build before where nothing changed.
func (b *Bundler) assemble(cfg bundle.Config, layers []policy.Layer) (bundle.Built, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reused := map[string]bundle.Blob{}
	builder := bundle.Builder{Reuse: func(content string) (bundle.Descriptor, bool) {
		blob, ok := b.packed[content]
		if ok {
			reused[content] = blob
		}
		return blob.Descriptor, ok
	}}
	built, err := builder.Build(cfg, Inputs(layers))
	if err != nil {
		return built, err
	}
	next := make(map[string]bundle.Blob, len(layers))
	byDigest := make(map[string]bundle.Blob, len(built.Blobs))
	for _, blob := range built.Blobs {
		byDigest[blob.Descriptor.Digest] = blob
	}
	for _, l := range built.Config.Layers {
		blob, ok := reused[l.Content]
		if ok { // a registry that lost its content is filled again with it
			built.Blobs = append(built.Blobs, blob)
		} else {
			blob = byDigest[l.Digest]
		}
		next[l.Content] = blob
	}
	b.packed = next
	return built, nil
}

// Inputs are the layers of a policy as a bundle is built from them.
func Inputs(layers []policy.Layer) []bundle.LayerInput {
	inputs := make([]bundle.LayerInput, len(layers))
	for i, l := range layers {
		inputs[i] = bundle.LayerInput{Module: l.Module, Files: l.Files}
	}
	return inputs
}
