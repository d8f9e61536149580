package controller

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/seal"
)

// outside is what is known of the values of a bundle that are not of the repository, where a channel is given what is new in
// stages. Such a value may change without a commit. It is then held back from the nodes that have the bundle, and a bundle of
// the same content is made, whose nodes get it.
type outside struct {
	bundle string
	macs   map[string]string // of each value, by its name
	held   map[string]bool   // names of those that have changed since the bundle was given them
}

// secretsNow is what the config of the next bundle says of them.
func (c *Controller) secretsNow() int64 {
	if c.moved {
		return c.state.Secrets + 1
	}
	return c.state.Secrets
}

// staged compares values with those that the nodes of a bundle were given. Channels that are given what is new at once, or that
// people have to approve bundles for, get each value when it is there.
func (c *Controller) staged(name, slot string, t bundle.Target, p *policy.Policy, values map[string]seal.Value) outside {
	out := outside{bundle: t.Digest}
	if _, rolled := c.state.Rollouts[name]; !rolled || c.cfg.Gates != nil && c.cfg.Gates.Gated(name) {
		return out
	}
	book := c.sealedBook()
	old := book.Channels[slot]
	out.macs, out.held = map[string]string{}, map[string]bool{}
	if old.Bundle == t.Digest {
		maps.Copy(out.macs, old.Outside)
	}
	for name, v := range values {
		if at, _ := p.Fleet.Secrets.Locate(name); at.Provider == "" {
			continue // it is of the commit, and another one is another bundle
		}
		mac := book.mac(v.Value)
		if known, had := out.macs[name]; had && known != mac {
			out.held[name] = true
			continue
		}
		out.macs[name] = mac
	}
	// Nodes that have the newest bundle wait for a newer one; those that have another get the value with the newest.
	if len(out.held) > 0 && t.Digest == c.state.Bundle.Digest && !c.moved {
		c.moved = true
		c.cfg.Log.Info("secrets outside of the repository have new values, which are rolled out in stages", "channel", name, "secrets", slices.Sorted(maps.Keys(out.held)))
		c.Nudge()
	}
	return out
}

// mac tells values apart without holding them.
func (b *sealedBook) mac(value []byte) string {
	sum := hmac.New(sha256.New, b.Key)
	sum.Write([]byte("outside\x00"))
	sum.Write(value)
	return hex.EncodeToString(sum.Sum(nil))
}

// takeOver has what was sealed for a candidate go on when that is stable: its nodes have it, and what was held back from them
// stays so.
func (c *Controller) takeOver(name, slot string, t bundle.Target, before *bundle.Target) *bundle.Target {
	book := c.sealedBook()
	candidate, ok := book.Channels[name+candidateSlot]
	if slot != name || !ok || candidate.Bundle != t.Digest || book.Channels[slot].Bundle == t.Digest {
		return before
	}
	book.Channels[slot] = candidate
	return &candidate.Target
}

// keepOutside writes down what is known of the values when what is sealed stays.
func (c *Controller) keepOutside(slot string, out outside) error {
	now := c.sealedBook().Channels[slot]
	if now.Bundle == out.bundle && maps.Equal(now.Outside, out.macs) {
		return nil
	}
	now.Bundle, now.Outside = out.bundle, out.macs
	return c.keepSealed(slot, now)
}
