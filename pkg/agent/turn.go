package agent

import (
	"context"
	"fmt"
	"maps"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/rollout"
)

// announceTimeout bounds how long a node that takes over a bundle tries to say so before: the service may be down, and what was
// authorised goes on without it.
const announceTimeout = 5 * time.Second

// A turn is the bundle a node is to have under a pointer, with the secrets that go with it.
type turn struct {
	bundle.Target
	secrets bundle.Target
}

// decide says which of the bundles of a pointer this node is to have, and remembers why. The labels are those of the bundle in
// force: one that changes them does not decide by them whether it comes.
func (a *Agent) decide(p bundle.Pointer) (turn, error) {
	doc := a.trustCopy()
	d := rollout.Decide(p.Signed(), rollout.Place{
		Node: a.Enrolment.Node, Current: doc.Enforced.Digest, Pinned: a.pinnedTo(p, doc), Aside: a.asideNow(doc),
		Meets: func(when string) (bool, error) {
			c, err := expr.CompileLabels(when)
			if err != nil {
				return false, err
			}
			return c.OfLabels(a.Enrolment.Node, a.allLabels())
		},
	})
	if d.Err != nil {
		a.Log.Warn("this node cannot tell whether it is its turn", "err", d.Err)
	}
	if d.Why == rollout.WhyAside { // the service is told for as long as it is so
		a.refusals.Add(a.Now(), "aside", doc.Aside[p.Candidate.Digest].Reason, p.Candidate.Digest)
	}
	if now := (turned{d.Why, d.Stage}); now != doc.Turn && (p.Rollout != nil || d.Why == rollout.WhyPinned || doc.Turn != turned{}) {
		doc.Turn = now
		if err := a.saveTrust(doc); err != nil {
			return turn{}, a.trouble(err)
		}
	}
	switch {
	case d.Target == p.Stable.Digest:
		return turn{p.Stable, secretsTarget(p.Secrets)}, nil
	case p.Candidate != nil && d.Target == p.Candidate.Digest:
		return turn{*p.Candidate, secretsTarget(p.CandidateSecrets)}, nil
	case d.Target == doc.Enforced.Digest: // of a rollout before this one
		return turn{bundle.Target{Digest: d.Target, Size: doc.Enforced.Size}, doc.Enforced.Secrets}, nil
	}
	return turn{}, fmt.Errorf("deciding what to run: bundle %s is not in the pointer", d.Target)
}

// allLabels are those that were granted at enrolment, and those of the policy in force, which has the last word.
func (a *Agent) allLabels() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := maps.Clone(a.labels)
	if all == nil {
		all = map[string]string{}
	}
	if a.loaded != nil && a.loaded.policy != nil {
		maps.Copy(all, a.Language.Labels(a.loaded.policy, a.Enrolment.Node))
	}
	return all
}

// announce tells the service that this node is about to enforce a bundle.
func (a *Agent) announce(ctx context.Context, digest string) {
	if a.DryRun {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	in, _ := a.compose()
	in.Adopting = digest
	if _, err := a.Service.CheckIn(ctx, in); err != nil {
		a.Log.Warn("saying which bundle is about to be enforced; it is all the same", "digest", digest, "err", err)
	}
}

// asideNow are the bundles that this version of the agent could not run.
func (a *Agent) asideNow(doc trustDoc) (digests []string) {
	for digest, was := range doc.Aside {
		if was.Agent == a.Version {
			digests = append(digests, digest)
		}
	}
	return digests
}

// asideStill are the bundles that were put aside and that a newer pointer names still.
func asideStill(was map[string]aside, p bundle.Pointer) map[string]aside {
	var still map[string]aside
	for _, digest := range p.Names() {
		if a, ok := was[digest]; ok {
			still = with(still, digest, a)
		}
	}
	return still
}
