package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/rollout"
)

// A Judge says how far rollouts are: the report service, which hears of the nodes.
type Judge interface {
	// Roll takes what is to be rolled out on a channel, and returns what its pointer is to say now.
	Roll(ctx context.Context, plan api.RolloutPlan) (rollout.Signed, error)
}

// intent is what the next pointer of a channel is to say.
type intent struct {
	stable           bundle.Target
	candidate        *bundle.Target
	directive        *rollout.Directive
	secrets          *bundle.Target
	candidateSecrets *bundle.Target
	modes            map[string]bool
	order            [][]byte
}

// saidBy reports whether a pointer says the same already.
func (i intent) saidBy(p bundle.Pointer) bool {
	return p.Stable.Digest == i.stable.Digest && sameTarget(p.Secrets, i.secrets) && sameTarget(p.CandidateSecrets, i.candidateSecrets) &&
		(p.Candidate == nil) == (i.candidate == nil) && (i.candidate == nil || p.Candidate.Digest == i.candidate.Digest) && sameDirective(p.Rollout, i.directive) && i.sameModes(p)
}

// sameDirective compares two as they are written: what was read again has no empty lists.
func sameDirective(a, b *rollout.Directive) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// planned says which bundles the next pointer of a channel is to name: what is wanted, or where policy has it rolled out, what
// the judge says, if that is lawful. While the judge cannot be asked, what was authorised stays, and nothing widens.
func (c *Controller) planned(ctx context.Context, name string, prev published, wanted bundle.Target) (intent, error) {
	spec, staged := c.state.Rollouts[name]
	p := prev.Pointer
	as := intent{stable: p.Stable, candidate: p.Candidate, directive: p.Rollout}
	switch {
	case p.Seq == 0, !staged:
		return intent{stable: wanted}, nil
	case p.Stable.Digest == wanted.Digest && p.Rollout == nil:
		return intent{stable: p.Stable}, nil
	case c.cfg.Judge == nil:
		return as, failed(FailedRollout, fault.WithHint(errors.New("the policy has the channel rolled out in stages, and no report service says how far"),
			"name one with --report, or remove the file in rollouts/"))
	}
	labels, err := c.grants(ctx, name, p.Stable)
	if err != nil {
		return as, err
	}
	consents, err := c.consents(ctx, name, spec, wanted)
	if err != nil {
		return as, err
	}
	plan := api.RolloutPlan{Channel: name, Spec: spec, Window: c.state.Windows[name], Stable: p.Stable, Candidate: wanted, Labels: labels, Consents: consents, Shown: p.Signed()}
	says, err := c.cfg.Judge.Roll(ctx, plan)
	if err != nil {
		return as, failed(FailedRollout, fmt.Errorf("asking the report service how far the rollout is: %w", err))
	}
	if err := errors.Join(rollout.Lawful(p.Signed(), says, wanted.Digest), consented(spec, p.Signed(), says, consents)); err != nil {
		return as, failed(FailedRollout, err)
	}
	return resolve(says, p, wanted)
}

// resolve finds the manifests of what is to be said.
func resolve(says rollout.Signed, p bundle.Pointer, wanted bundle.Target) (intent, error) {
	known := map[string]bundle.Target{p.Stable.Digest: p.Stable, wanted.Digest: wanted}
	if p.Candidate != nil {
		known[p.Candidate.Digest] = *p.Candidate
	}
	out := intent{directive: says.Directive}
	stable, ok := known[says.Stable]
	if !ok {
		return out, failed(FailedRollout, fmt.Errorf("the bundle %s is not known", says.Stable))
	}
	out.stable = stable
	if says.Candidate != "" {
		candidate, ok := known[says.Candidate]
		if !ok {
			return out, failed(FailedRollout, fmt.Errorf("the bundle %s is not known", says.Candidate))
		}
		out.candidate = &candidate
	}
	return out, nil
}

// grants are the labels that the policy in force gives to nodes of a channel, where it gives any.
func (c *Controller) grants(ctx context.Context, name string, t bundle.Target) (map[string]map[string]string, error) {
	s := c.cfg.Secrets
	if s == nil || s.Roster == nil {
		return nil, nil
	}
	p, _, err := c.policyOf(ctx, t)
	if err != nil {
		return nil, failed(FailedRegistry, fmt.Errorf("reading which labels nodes have: %w", err))
	}
	roster, err := s.Roster.Recipients(ctx)
	if err != nil {
		return nil, failed(FailedRollout, fmt.Errorf("asking which nodes there are: %w", err))
	}
	grants, labels := map[string]map[string]string{}, s.Language.Labelling(p)
	for _, r := range roster {
		if r.Channel != name {
			continue
		}
		given := labels(r.Node)
		maps.DeleteFunc(given, func(label, value string) bool { return r.Labels[label] == value })
		if len(given) > 0 {
			grants[r.Node] = given
		}
	}
	return grants, nil
}

// candidateSlot follows the name of a channel in the book of what is sealed, for its candidate.
const candidateSlot = " candidate"

// sealAll seals to the nodes of a channel what its bundles need: those that have the candidate need its secrets, the others
// those of what is stable.
func (c *Controller) sealAll(ctx context.Context, name string, i *intent, prev bundle.Pointer, fresh bool) error {
	before, beforeCandidate := prev.Secrets, prev.CandidateSecrets
	if fresh {
		before, beforeCandidate = nil, nil // a thief may have named it
	}
	var err, err2 error
	i.secrets, err = c.sealed(ctx, name, name, i.stable, before)
	if i.candidate != nil {
		i.candidateSecrets, err2 = c.sealed(ctx, name, name+candidateSlot, *i.candidate, beforeCandidate)
	}
	return errors.Join(err, err2)
}
