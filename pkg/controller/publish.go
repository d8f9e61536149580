package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// publishAll brings every channel to the bundle that was built last, and issues pointers anew that get old. A failure
// of one channel does not keep the others back.
func (c *Controller) publishAll(ctx context.Context) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	names, err := c.mine(c.state.Listed)
	c.state.Names = names
	c.yield()
	defer c.noteInUse()
	for _, name := range c.state.Names {
		if e := c.publish(ctx, name); e != nil {
			err = errors.Join(err, fmt.Errorf("channel %s: %w", name, e))
		}
	}
	return err
}

// publish does for one channel what is due: finish an interrupted publication, with the same bytes; compare with the
// registry once after a start; then point to the newest bundle, or renew.
//
// A new root begins a new epoch. A pointer of the old one that was not published is not any more, the bundle is signed with
// the key of the new root, and a new pointer is due.
func (c *Controller) publish(ctx context.Context, name string) error {
	epoch := c.cfg.Keys.Epoch()
	if p, ok := c.state.Channels[name]; ok && !p.Done && p.Pointer.Epoch >= epoch {
		if err := c.reconcile(ctx, name); err != nil {
			return err
		}
		// The registry may have turned out to be ahead: then there is nothing left to finish.
		if p := c.state.Channels[name]; !p.Done {
			if err := c.send(ctx, name, p); err != nil {
				return err
			}
		}
	}
	if !c.clean[name] {
		if err := c.reconcile(ctx, name); err != nil {
			return err
		}
	}
	p, ok := c.state.Channels[name]
	if ok && !p.Done && (c.rebuild || p.Pointer.Epoch >= epoch) {
		return nil // after the bundle was pushed again
	}
	fresh := p.Pointer.Epoch < epoch
	if fresh { // what was built here is ours, whoever else had the keys; people may only approve what is signed
		if err := c.signAgain(ctx, c.state.Bundle); err != nil {
			return err
		}
	}
	target, approval, ok, err := c.wanted(ctx, name, p)
	if err != nil || !ok {
		return err
	}
	i, planErr := c.planned(ctx, name, p, target)
	if err := c.withModes(ctx, name, p.Pointer, target, fresh, &i); err != nil {
		if ctx.Err() != nil {
			return err
		}
		planErr = errors.Join(planErr, err)
	}
	sealErr := c.sealAll(ctx, name, &i, p.Pointer, fresh)
	if sealErr != nil && ctx.Err() != nil {
		return sealErr
	}
	sealErr = errors.Join(planErr, sealErr)
	if fresh {
		if err := c.signAll(ctx, i); err != nil {
			return err
		}
	} else if i.saidBy(p.Pointer) && c.cfg.Now().Sub(p.Pointer.Issued) < c.cfg.PointerTTL/4 {
		return sealErr
	}
	if err := c.promoted(ctx, name, descriptorOf(target), approval); err != nil {
		return failed(FailedRegistry, err)
	}
	next, err := c.sign(ctx, name, p, i)
	if err != nil {
		return err
	}
	// The signed bytes are stored first: after a crash these very bytes are published, never others of the same number.
	c.state.Channels[name] = next
	if len(approval.Keys) > 0 {
		c.state.Promoted[name] = approval.Request.From
	}
	if err := c.state.save(c.cfg.Data); err != nil {
		return err
	}
	return errors.Join(c.send(ctx, name, next), sealErr)
}

// signAll signs what a pointer is to name, except for what was built last, which is signed already.
func (c *Controller) signAll(ctx context.Context, i intent) error {
	targets := []bundle.Target{i.stable}
	if i.candidate != nil {
		targets = append(targets, *i.candidate)
	}
	for _, t := range targets {
		if t.Digest == c.state.Bundle.Digest {
			continue
		}
		if err := c.signAgain(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// signAgain signs a bundle with the key of the root in force, and states where it comes from.
func (c *Controller) signAgain(ctx context.Context, t bundle.Target) error {
	d := descriptorOf(t)
	if err := errors.Join(c.attestAgain(ctx, d), c.cfg.Keys.Attach(ctx, c.cfg.Store, d, c.cfg.Now())); err != nil {
		return failed(FailedRegistry, fmt.Errorf("signing the bundle: %w", err))
	}
	return nil
}

// sign makes the next pointer of a channel. The first of an epoch takes over nothing from the one before, which may have been
// signed by a thief of its key.
func (c *Controller) sign(ctx context.Context, name string, prev published, i intent) (published, error) {
	now := c.cfg.Now().UTC().Truncate(time.Second)
	p := bundle.Pointer{Fleet: c.state.Fleet, Channel: name, Epoch: c.cfg.Keys.Epoch(), Seq: 1, Stable: i.stable, Secrets: i.secrets,
		Candidate: i.candidate, CandidateSecrets: i.candidateSecrets, Rollout: i.directive, Modes: i.modes, Order: i.order, Prev: prev.Payload}
	if prev.Pointer.Seq == 0 {
		var err error
		if p.Epoch, p.Seq, err = c.beyond(name, now); err != nil {
			return published{}, err
		}
	}
	if p.Epoch <= prev.Pointer.Epoch {
		p.Epoch, p.Seq, p.Revoked = prev.Pointer.Epoch, prev.Pointer.Seq+1, prev.Pointer.Revoked
		if now.Before(prev.Pointer.Issued) { // the clock went back; time in pointers does not
			now = prev.Pointer.Issued
		}
	}
	p.Issued, p.Expires = now, now.Add(c.cfg.PointerTTL)
	signature, payload, err := c.cfg.Keys.SignPointer(ctx, p)
	if err != nil {
		return published{}, failed(FailedTrust, fmt.Errorf("signing the pointer: %w", err))
	}
	return published{Pointer: p, Signatures: [][]byte{signature}, Payload: payload}, nil
}

// anotherController is what to do about a number that was used twice.
const anotherController = "is another controller running with these keys? stop one of them; agents refuse two contents under one number"

// send publishes a signed pointer and remembers that it arrived.
func (c *Controller) send(ctx context.Context, name string, p published) error {
	err := c.cfg.Keys.Publish(ctx, c.cfg.Store, p.Pointer, p.Signatures)
	if r, ok := errors.AsType[*bundle.Refusal](err); ok && r.Name == bundle.Equivocation {
		return failed(FailedTrust, fault.WithHint(fmt.Errorf("publishing the pointer: %w", err), anotherController))
	}
	if err != nil {
		return failed(FailedRegistry, fmt.Errorf("publishing the pointer: %w", err))
	}
	if err := c.assure(ctx, name, p); err != nil {
		return err
	}
	p.Done = true
	c.state.Channels[name] = p
	if err := c.state.save(c.cfg.Data); err != nil {
		return err
	}
	c.metrics.pointers.WithLabelValues(name).Inc()
	c.cfg.Log.Info("published", "channel", name, "pointer", p.Pointer.Version(), "bundle", p.Pointer.Stable.Digest, "commit", p.Pointer.Stable.Commit)
	return nil
}

// reconcile compares what we remember of a channel with what the registry shows, once after a start. The registry may
// be ahead when our state was lost or restored from a backup: its number is taken up, when our key signed it. It may be
// behind when it was restored: what we remember is published again. So it is when somebody has put a pointer of other keys
// over ours, which agents refuse. It may have lost everything: then the bundle is pushed again first.
func (c *Controller) reconcile(ctx context.Context, name string) error {
	var shown published
	var err error
	shown.Pointer, shown.Signatures, shown.Payload, err = c.cfg.Keys.Current(ctx, c.cfg.Store, c.state.Fleet, name)
	if errors.Is(err, bundle.ErrNotFound) {
		if p, ok := c.state.Channels[name]; ok && p.Done {
			// A registry that was lost or replaced: the bundle has to be there before its pointer is.
			p.Done = false
			c.state.Channels[name] = p
			c.rebuild, c.pushed = true, map[string]bool{}
			c.Nudge()
			c.cfg.Log.Warn("the registry has lost a channel: publishing it again", "channel", name)
			return nil
		}
		if err := c.takeStranded(ctx, name, c.state.Channels[name]); err != nil {
			return err
		}
		c.clean[name] = true
		return nil
	}
	ours, known := c.state.Channels[name]
	if errors.Is(err, ErrForeign) && known {
		c.cfg.Log.Warn("the registry shows a channel of ours with a pointer that other keys have signed: publishing ours", "channel", name, "err", err)
		if ours.Pointer.Epoch >= c.cfg.Keys.Epoch() {
			if err := c.send(ctx, name, ours); err != nil {
				return err
			}
		}
		c.clean[name] = true
		return nil
	}
	if errors.Is(err, ErrForeign) {
		return failed(FailedTrust, fault.WithHint(err, "start with the keys of that channel, restored from the backup, or use another repository of the registry"))
	}
	if err != nil {
		return failed(FailedRegistry, fmt.Errorf("looking at the channel: %w", err))
	}
	switch order := shown.Pointer.Compare(ours.Pointer); {
	case !known || order > 0, order == 0 && !ours.Done && !slices.EqualFunc(shown.Signatures, ours.Signatures, bytes.Equal):
		// Seq must go up from what agents may have seen. What was signed here and not published has been seen by nobody; the
		// same words with another signature are other bytes, too.
		shown.Done = true
		c.state.Channels[name] = shown
		if err := c.state.save(c.cfg.Data); err != nil {
			return err
		}
		c.cfg.Log.Warn("the registry is ahead of the state: going on from its pointer", "channel", name, "pointer", shown.Pointer.Version())
	case order == 0 && shown.Payload != ours.Payload:
		return failed(FailedTrust, fault.WithHint(
			fmt.Errorf("the registry holds another pointer %s than the one signed here, by the same key", shown.Pointer.Version()),
			anotherController))
	case order < 0 && !ours.Done:
		if err := c.takeStranded(ctx, name, ours); err != nil {
			return err
		}
	case order < 0 && ours.Done:
		ours.Done = false
		c.state.Channels[name] = ours
		if err := c.send(ctx, name, ours); err != nil {
			return err
		}
	}
	c.clean[name] = true
	return nil
}
