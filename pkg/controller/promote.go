package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// Gates hold back what people have to agree to.
type Gates interface {
	// Gated says whether a channel is given only what people have approved.
	Gated(channel string) bool
	// Request returns what is asked for a channel, and the digest of what is signed to approve it. It fails with
	// bundle.ErrNotFound when nothing is.
	Request(ctx context.Context, src bundle.Source, fleet, channel string) (r trust.Request, payload string, err error)
	// Approved returns who has approved that a channel is given a bundle, which must be one that our keys have signed. Too
	// few are a refusal.
	Approved(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string) (trust.Approval, error)
	// Approvers returns the IDs of the keys that have approved a request, and how many must.
	Approvers(ctx context.Context, src bundle.Source, r trust.Request, payload string) (by []string, needs int, err error)
}

// A Wait is why a channel is not given what was asked for it.
type Wait struct {
	Channel string `json:"channel"`
	Bundle  string `json:"bundle,omitempty"` // digest
	Reason  string `json:"reason"`
	// What was asked: the commit, since when, why, which keys have approved it, and how many must. Zero when nothing is asked.
	Commit   string    `json:"commit,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Note     string    `json:"note,omitempty"`
	Approved []string  `json:"approved,omitempty"` // IDs
	Needs    int       `json:"needs,omitempty"`
}

// same reports whether two waits say the same.
func (w Wait) same(o Wait) bool {
	return w.Channel == o.Channel && w.Bundle == o.Bundle && w.Reason == o.Reason && w.Since.Equal(o.Since) && slices.Equal(w.Approved, o.Approved)
}

// wanted is the bundle a channel is to name: the one that was built last, or where people have to agree the one they have
// approved last. ok is false when there is none to name: then the channel stays as it is. What is waited for is in the
// status; it is no failure.
func (c *Controller) wanted(ctx context.Context, name string, prev published) (t bundle.Target, a trust.Approval, ok bool, err error) {
	if c.cfg.Gates == nil || !c.cfg.Gates.Gated(name) {
		delete(c.waits, name)
		return c.state.Bundle, a, true, nil
	}
	t, w, err := c.promotion(ctx, name, prev, &a)
	switch {
	case err != nil:
		return t, a, false, failed(FailedRegistry, err)
	case t.Digest != "":
		ok = true
	case prev.Pointer.Epoch >= c.cfg.Keys.Epoch():
		t, ok = prev.Pointer.Stable, prev.Pointer.Seq > 0
	case prev.Pointer.Seq > 0:
		// The first pointer of an epoch takes over nothing from the one before but what people stand for under the new root.
		t = prev.Pointer.Stable
		a, err = c.agreed(ctx, name, t)
		ok = err == nil
		if errors.As(err, new(*trust.Refusal)) {
			if w.Reason == "" {
				w = Wait{Channel: name, Bundle: t.Digest, Commit: t.Commit, Reason: "what runs has to be approved under the new root: " + err.Error()}
			}
			err = nil
		}
	}
	c.wait(name, w)
	return t, a, ok, failed(FailedRegistry, err)
}

// promotion returns the bundle of the open request when enough people have approved it, or what it waits for; neither when
// nothing is asked, or the channel has it already.
func (c *Controller) promotion(ctx context.Context, name string, prev published, a *trust.Approval) (t bundle.Target, w Wait, err error) {
	r, payload, err := c.cfg.Gates.Request(ctx, c.cfg.Store, c.state.Fleet, name)
	var refused *trust.Refusal
	switch {
	case errors.Is(err, bundle.ErrNotFound):
		if prev.Pointer.Seq == 0 {
			w = Wait{Channel: name, Reason: "nothing was promoted to it yet"}
		}
		return t, w, nil
	case errors.As(err, &refused):
		return t, Wait{Channel: name, Reason: "the request cannot be used: " + err.Error()}, nil
	case err != nil:
		return t, w, fmt.Errorf("looking for what is asked: %w", err)
	}
	w = Wait{Channel: name, Bundle: r.Bundle.Digest, Commit: r.Bundle.Commit, Since: r.Requested, Note: r.Note}
	// In a new epoch the pointer of the one before says nothing of where the channel is: a thief may have signed it.
	if prev.Pointer.Epoch >= c.cfg.Keys.Epoch() {
		if running := prev.Pointer.Stable.Digest; r.Bundle.Digest == running {
			return t, Wait{}, nil
		} else if r.From.Digest != running {
			w.Reason = fmt.Sprintf("the channel has moved since it was asked at %s: ask again", r.From.Version())
			return t, w, nil
		}
	}
	approved, err := c.agreed(ctx, name, r.Bundle)
	switch {
	case errors.As(err, &refused):
		w.Reason = refused.Error()
		if refused.Name == bundle.Approvals {
			w.Approved, w.Needs, err = c.cfg.Gates.Approvers(ctx, c.cfg.Store, r, payload)
			if err != nil {
				return t, w, fmt.Errorf("looking at who has approved what is asked: %w", err)
			}
		}
		return t, w, nil
	case errors.Is(err, bundle.ErrNotFound):
		w.Reason = "the bundle is not in the registry"
		return t, w, nil
	case err != nil:
		return t, w, fmt.Errorf("looking at what is asked: %w", err)
	case approved.Payload != payload:
		w.Reason = "another request for the same bundle was approved, not this one"
		return t, w, nil
	}
	*a = approved
	return r.Bundle, Wait{}, nil
}

// agreed returns who has approved that a channel is given a bundle. What they have moved on from they must approve again.
func (c *Controller) agreed(ctx context.Context, name string, t bundle.Target) (trust.Approval, error) {
	a, err := c.cfg.Gates.Approved(ctx, c.cfg.Store, descriptorOf(t), c.state.Fleet, name)
	if err == nil {
		err = a.After(c.state.Promoted[name])
	}
	return a, err
}

// wait remembers what a channel waits for, and logs it when it is news.
func (c *Controller) wait(name string, w Wait) {
	was, waited := c.waits[name]
	switch {
	case w.Reason == "":
		delete(c.waits, name)
		return
	case !waited || !was.same(w):
		c.cfg.Log.Info("a channel waits", "channel", name, "bundle", w.Bundle, "reason", w.Reason)
	}
	c.waits[name] = w
}

// waiting is what the channels wait for, by name.
func (c *Controller) waiting() []Wait {
	var all []Wait
	for _, name := range c.state.Names {
		if w, ok := c.waits[name]; ok {
			all = append(all, w)
		}
	}
	return slices.Clip(all)
}

// promoted states who has approved what a channel is about to be given.
func (c *Controller) promoted(ctx context.Context, name string, d bundle.Descriptor, a trust.Approval) error {
	if c.cfg.Witness == nil || len(a.Keys) == 0 {
		return nil
	}
	_, cfg, err := bundle.Read(ctx, c.cfg.Store, d)
	if err != nil {
		return fmt.Errorf("attaching the provenance of %s: %w", d.Digest, err)
	}
	return c.attest(ctx, d, cfg, trust.Promotion{Channel: name, Approved: a.Keys})
}

func descriptorOf(t bundle.Target) bundle.Descriptor {
	return bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: t.Digest, Size: t.Size}
}
