package hub

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// Recall takes what the local store shows for what was mirrored before: a mirror that has no memory of its own, as one that
// fills a stick or is filled from one, then shows nothing older than that either. What does not verify is no memory, since
// no agent would take it. A store that cannot be read is an error.
func (m *Mirror) Recall(ctx context.Context) error {
	m.syncing.Lock()
	defer m.syncing.Unlock()
	if err := m.roots(ctx, m.Local); err != nil {
		return fmt.Errorf("looking at what is there: %w", err)
	}
	for _, name := range m.Channels {
		memory := m.remembered()
		shown, err := trust.NewVerifier(memory.Root, m.Now).SignedPointer(ctx, m.Local, m.Fleet, name)
		if errors.Is(err, bundle.ErrNotFound) || errors.As(err, new(*bundle.Refusal)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at what is there: channel %s: %w", name, err)
		}
		before, err := memory.Channels[name].Accept(shown.Pointer, shown.Payload, shown.Pointer.Issued)
		if err != nil {
			return fmt.Errorf("looking at what is there: channel %s: %w", name, err)
		}
		if err := m.keep(memory.with(name, before)); err != nil {
			return err
		}
	}
	return nil
}
