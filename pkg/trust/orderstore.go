package trust

import (
	"context"
	"fmt"
	"time"

	"vigo.dev/pkg/bundle"
)

// PublishOrder stores an order and its signatures under its [ModesTag], in place of what was there. One without signatures
// does nothing by itself.
func PublishOrder(ctx context.Context, store bundle.Store, o Order, signatures [][]byte) error {
	payload, err := o.Payload()
	if err != nil {
		return fmt.Errorf("publishing an order of modes: %w", err)
	}
	tag := ModesTag(o.Channel)
	blobs := append([][]byte{payload}, signatures...)
	layers := []bundle.Descriptor{bundle.DescriptorOf(payloadType, payload)}
	for _, s := range signatures {
		layers = append(layers, bundle.DescriptorOf(bundle.SignatureMediaType, s))
	}
	d, err := pushCarrier(ctx, store, bundle.Manifest{
		SchemaVersion: 2, MediaType: bundle.ManifestMediaType, ArtifactType: ModesType,
		Config: bundle.DescriptorOf(emptyMediaType, []byte("{}")), Layers: layers,
		Annotations: map[string]string{bundle.AnnotationCreated: o.Given.UTC().Format(time.RFC3339)},
	}, blobs)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", tag, err)
	}
	if err := store.Tag(ctx, d, tag); err != nil {
		return fmt.Errorf("tagging %s: %w", tag, err)
	}
	return nil
}

// OpenOrder returns the newest order for a channel and its signatures, none of them verified. It fails with
// [bundle.ErrNotFound] when there is none.
func OpenOrder(ctx context.Context, src bundle.Source, channel string) (Order, [][]byte, error) {
	tag := ModesTag(channel)
	d, err := src.Resolve(ctx, tag)
	if err != nil {
		return Order{}, nil, fmt.Errorf("looking for %s: %w", tag, err)
	}
	data, err := bundle.Fetch(ctx, src, d, maxCarrier)
	if err != nil {
		return Order{}, nil, err
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return Order{}, nil, fmt.Errorf("%s: %w", tag, err)
	}
	if m.ArtifactType != ModesType {
		return Order{}, nil, &Refusal{Name: bundle.BadFormat, Detail: fmt.Sprintf("it is an artifact of type %.120q, not an order of modes", m.ArtifactType), What: tag}
	}
	o, signatures, err := ReadOrder(ctx, src, m)
	if err != nil {
		return Order{}, nil, fmt.Errorf("%s: %w", tag, err)
	}
	if o.Channel != channel {
		return Order{}, nil, &Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("the order is for channel %.80q", o.Channel), What: tag}
	}
	return o, signatures, nil
}

// ReadOrder returns the order that a manifest of [ModesType] carries and its signatures, none of them verified.
func ReadOrder(ctx context.Context, src bundle.Source, m bundle.Manifest) (Order, [][]byte, error) {
	if len(m.Layers) == 0 || len(m.Layers) > 1+maxOrderSigns {
		return Order{}, nil, &Refusal{Name: bundle.BadFormat, Detail: "it is no order of modes, or has too many signatures"}
	}
	payload, err := bundle.Fetch(ctx, src, m.Layers[0], maxOrder)
	if err != nil {
		return Order{}, nil, err
	}
	o, err := parseOrder(payload)
	if err != nil {
		return Order{}, nil, err
	}
	signatures := make([][]byte, 0, len(m.Layers)-1)
	for _, layer := range m.Layers[1:] {
		raw, err := bundle.Fetch(ctx, src, layer, maxOrderBytes)
		if err != nil {
			return Order{}, nil, err
		}
		signatures = append(signatures, raw)
	}
	return o, signatures, nil
}
