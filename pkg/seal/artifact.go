package seal

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
)

// The media types of an artifact of sealed secrets.
const (
	ArtifactType    = "application/vnd.vigo.secrets.v1"
	ConfigMediaType = "application/vnd.vigo.secrets.config.v1+json"
	LayerMediaType  = "application/vnd.vigo.secrets.layer.v1+json"
)

// perLayer is how many nodes share a layer, on average: a node fetches what is sealed to these and can open its own.
const perLayer = 32

// maxBits bounds the layers of an artifact to 4096: more than 100,000 nodes.
const maxBits = 12

// maxLayer bounds what an agent reads.
const maxLayer = 64 << 20

// config says how the nodes are spread over the layers: by the first bits of their IDs.
type config struct {
	Format  int    `json:"format"` // 1
	Fleet   string `json:"fleet"`
	Channel string `json:"channel"`
	Bits    int    `json:"bits"`
	Nodes   int    `json:"nodes"`
}

// Pack packs what was sealed to the nodes of a channel, by [ID], into an artifact: the same bytes for the same input. It says
// when, so that what is about to be published is not taken for old.
func Pack(fleet, channel string, sealed map[string][]byte, at time.Time) (bundle.Built, error) {
	bits := 0
	for bits < maxBits && len(sealed) > perLayer<<bits {
		bits++
	}
	shards := make([]map[string][]byte, 1<<bits)
	for _, id := range slices.Sorted(maps.Keys(sealed)) {
		at, err := shardOf(id, bits)
		if err != nil {
			return bundle.Built{}, err
		}
		if shards[at] == nil {
			shards[at] = map[string][]byte{}
		}
		shards[at][id] = sealed[id]
	}
	m := bundle.Manifest{SchemaVersion: 2, MediaType: bundle.ManifestMediaType, ArtifactType: ArtifactType,
		Annotations: map[string]string{bundle.AnnotationCreated: at.UTC().Format(time.RFC3339)}}
	var built bundle.Built
	add := func(mediaType string, v any) (bundle.Descriptor, error) {
		data, err := json.Marshal(v)
		if err != nil {
			return bundle.Descriptor{}, fmt.Errorf("packing sealed secrets: %w", err)
		}
		d := bundle.DescriptorOf(mediaType, data)
		built.Blobs = append(built.Blobs, bundle.Blob{Descriptor: d, Data: data})
		return d, nil
	}
	for _, shard := range shards {
		if shard == nil {
			shard = map[string][]byte{}
		}
		d, err := add(LayerMediaType, shard)
		if err != nil {
			return bundle.Built{}, err
		}
		m.Layers = append(m.Layers, d)
	}
	var err error
	if m.Config, err = add(ConfigMediaType, config{1, fleet, channel, bits, len(sealed)}); err != nil {
		return bundle.Built{}, err
	}
	if built.Manifest, err = json.Marshal(m); err != nil {
		return bundle.Built{}, fmt.Errorf("packing sealed secrets: %w", err)
	}
	built.Descriptor = bundle.DescriptorOf(bundle.ManifestMediaType, built.Manifest)
	built.Descriptor.ArtifactType = ArtifactType
	return built, nil
}

// Tag is the tag that keeps an artifact from being collected. It never moves.
func Tag(digest string) string {
	return "s-" + digest[len("sha256:"):][:24]
}

// Find returns what an artifact holds for a node, by its [ID]; nil if nothing is sealed to it. The artifact must be named by
// a signed pointer: all that is checked here are digests, limits and whom it is for.
func Find(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel, id string) ([]byte, error) {
	const doing = "fetching the sealed secrets"
	data, err := bundle.Fetch(ctx, src, d, bundle.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if m.ArtifactType != ArtifactType || m.Config.MediaType != ConfigMediaType {
		return nil, refuse(d, "it is an artifact of another type")
	}
	if data, err = bundle.Fetch(ctx, src, m.Config, bundle.MaxManifest); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	var c config
	if err := json.Unmarshal(data, &c); err != nil || c.Format != 1 || c.Bits < 0 || c.Bits > maxBits || len(m.Layers) != 1<<c.Bits {
		return nil, refuse(d, "its config is not one that is known here")
	}
	if c.Fleet != fleet || c.Channel != channel {
		return nil, refuse(d, fmt.Sprintf("it is for channel %.80q of fleet %.80q", c.Channel, c.Fleet))
	}
	at, err := shardOf(id, c.Bits)
	if err != nil {
		return nil, err
	}
	if data, err = bundle.Fetch(ctx, src, m.Layers[at], maxLayer); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	var shard map[string][]byte
	if err := json.Unmarshal(data, &shard); err != nil {
		return nil, refuse(d, "a layer is not readable")
	}
	return shard[id], nil
}

func refuse(d bundle.Descriptor, why string) error {
	return &bundle.Refusal{Name: bundle.BadFormat, Detail: "the sealed secrets cannot be used: " + why, What: d.Digest}
}

// shardOf is the layer of an ID: its first bits.
func shardOf(id string, bits int) (int, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 {
		return 0, fmt.Errorf("packing sealed secrets: %.60q is not the ID of a node key", id)
	}
	return (int(raw[0])<<8 | int(raw[1])) >> (16 - bits), nil
}
