package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// updateTimeout bounds looking for a pointer and fetching what it names. Convergence never waits longer for a
// registry than this.
const updateTimeout = 60 * time.Second

// trustDoc is what an agent must never forget: the newest pointer it accepted, and the bundle it enforces.
type trustDoc struct {
	Memory   trust.Memory      `json:"memory"`
	Pointer  bundle.Pointer    `json:"pointer"`
	Enforced bundle.Descriptor `json:"enforced,omitzero"` // verified, complete in the cache and known to compile
	Commit   string            `json:"commit,omitempty"`
	Modules  []string          `json:"modules,omitempty"` // whose layers are in the cache
	// Attempts counts the runs begun with Enforced before one came to its end.
	Attempts int `json:"attempts,omitempty"`
	// Previous is what was enforced before, for going back when Enforced crashes the agent.
	Previous bundle.Descriptor `json:"previous,omitzero"`
	// Aside are digests that could not be compiled or crashed the agent. They are not tried again by the same version of
	// the agent before the pointer has named another bundle.
	Aside map[string]aside `json:"aside,omitempty"`
}

type aside struct {
	Agent  string `json:"agent"` // version
	Reason string `json:"reason"`
}

// update looks at the channel pointer and takes over the bundle it names. Whatever is refused leaves the state, the
// cache and the host as they were.
func (a *Agent) update(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	p, payload, err := a.verifier.Pointer(ctx, a.Origin, a.Enrolment.Fleet, a.Enrolment.Channel)
	if err != nil {
		return a.refused("reading the channel pointer", err)
	}
	doc := a.trustCopy()
	memory, err := doc.Memory.Accept(p, payload, a.Now())
	if err != nil {
		return a.refused("reading the channel pointer", err)
	}
	if p.Compare(doc.Pointer) != 0 {
		doc.Memory, doc.Pointer = memory, p
		// On disk before it is acted on, so that no crash lets an older pointer in again.
		if err := a.saveTrust(doc); err != nil {
			return err
		}
	}
	if p.Stable.Digest == doc.Enforced.Digest {
		a.refusals.Clear()
		return nil
	}
	return a.adopt(ctx, p)
}

// adopt takes over the bundle that pointer p names.
func (a *Agent) adopt(ctx context.Context, p bundle.Pointer) error {
	doc := a.trustCopy()
	if was, ok := doc.Aside[p.Stable.Digest]; ok && was.Agent == a.Version {
		return fmt.Errorf("bundle %s was put aside: %s", p.Stable.Digest, was.Reason)
	}
	if slices.Contains(p.Revoked, p.Stable.Digest) {
		return a.refused("taking over a bundle", &trust.Refusal{Name: "revoked", Detail: "the pointer names a bundle that it revokes", What: p.Stable.Digest})
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}
	l, err := a.open(ctx, d)
	if err != nil {
		return a.refused("taking over a bundle", err)
	}
	set := a.gather.Last()
	if err := a.complete(ctx, l, set); err != nil {
		return a.refused("taking over a bundle", err)
	}
	if set != nil { // else the first run finds out
		if _, err := a.Language.Build(l.policy, l.content, a.input(l, set)); err != nil {
			return a.putAside(p, fmt.Sprintf("it cannot be compiled for this node: %v", err))
		}
	}
	doc.Previous, doc.Enforced, doc.Commit, doc.Attempts = doc.Enforced, d, l.config.Source.Commit, 0
	doc.Modules, doc.Aside = l.modules, nil
	if err := a.saveTrust(doc); err != nil {
		return err
	}
	a.mu.Lock()
	a.loaded = l
	a.mu.Unlock()
	a.refusals.Clear()
	a.Log.Info("enforcing a new bundle", "digest", d.Digest, "commit", doc.Commit, "pointer", p.Version())
	return nil
}

// refused remembers a refusal for the next check-in; an error that is none (nobody answered) is only returned.
func (a *Agent) refused(doing string, err error) error {
	var r *trust.Refusal
	if errors.As(err, &r) {
		a.refusals.Add(a.Now(), r.Name, r.Detail, r.What)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (a *Agent) putAside(p bundle.Pointer, reason string) error {
	doc := a.trustCopy()
	doc.Aside = map[string]aside{p.Stable.Digest: {Agent: a.Version, Reason: reason}}
	a.refusals.Add(a.Now(), "aside", reason, p.Stable.Digest)
	if err := a.saveTrust(doc); err != nil {
		return err
	}
	return fmt.Errorf("bundle %s is put aside: %s", p.Stable.Digest, reason)
}

func (a *Agent) trustCopy() trustDoc {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trust
}

func (a *Agent) saveTrust(doc trustDoc) error {
	if err := a.State.writeJSON(trustFile, doc); err != nil {
		return fmt.Errorf("keeping what is trusted: %w", err)
	}
	a.mu.Lock()
	a.trust = doc
	a.mu.Unlock()
	return nil
}
