package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// takeStranded looks whether another controller with the same keys gave the number of a pointer of ours, which is signed and not
// published, to another one, and was stopped before the channel showed it. No other content can have that number ever, so we finish
// what it began, as it would have after a restart, and go on from there.
func (c *Controller) takeStranded(ctx context.Context, name string, ours published) error {
	if ours.Done || ours.Pointer.Seq == 0 || ours.Pointer.Epoch < c.cfg.Keys.Epoch() {
		return nil
	}
	moving, fixed := ours.Pointer.Tags()
	var theirs published
	var err error
	theirs.Pointer, theirs.Signatures, theirs.Payload, err = c.cfg.Keys.Current(ctx, retagged{c.cfg.Store, moving, fixed}, c.state.Fleet, name)
	switch {
	case errors.Is(err, bundle.ErrNotFound):
		return nil // nobody has used it
	case errors.Is(err, ErrForeign):
		return failed(FailedTrust, fault.WithHint(fmt.Errorf("the tag %s, which is our next number, was given to something else: %w", fixed, err),
			"find out who may push to the registry; remove the tag, which no node has seen"))
	case err != nil:
		return failed(FailedRegistry, fmt.Errorf("looking at %s: %w", fixed, err))
	case theirs.Pointer.Compare(ours.Pointer) != 0 || slices.EqualFunc(theirs.Signatures, ours.Signatures, bytes.Equal):
		return nil
	}
	c.cfg.Log.Warn("another controller with these keys gave our next number to another pointer, and did not finish: publishing that one", "channel", name, "pointer", theirs.Pointer.Version(), "hint", anotherController)
	return c.send(ctx, name, theirs)
}

// retagged is a source in which one tag leads to what another one does.
type retagged struct {
	bundle.Source
	tag, to string
}

// Resolve implements bundle.Source.
func (r retagged) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	if tag == r.tag {
		tag = r.to
	}
	return r.Source.Resolve(ctx, tag)
}
