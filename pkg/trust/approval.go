package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/bundle"
)

// RoleApproval names the role of the people who must approve what a channel is given. A channel without that role takes
// whatever its own keys sign.
func RoleApproval(channel string) string { return "approval/" + channel }

// Gated says whether people must approve what a channel is given.
func (r Root) Gated(channel string) bool {
	_, ok := r.Roles[RoleApproval(channel)]
	return ok
}

// apart refuses a root in which those who approve or order modes are those who publish: one stolen key would be both.
func (r Root) apart() error {
	for name, role := range r.Roles {
		channel, ok := strings.CutPrefix(name, RoleApproval(""))
		if !ok {
			channel, ok = strings.CutPrefix(name, RoleModes(""))
		}
		if !ok {
			continue
		}
		for _, other := range []string{RoleChannel(channel), RoleAnyChannel, RoleBundle} {
			for _, id := range role.Keys {
				if slices.Contains(r.Roles[other].Keys, id) {
					return fmt.Errorf("key %s of role %s has the role %s as well", id, name, other)
				}
			}
		}
	}
	return nil
}

// An Approval is a request with the people who signed it. The zero value is that of a channel that asks nobody.
type Approval struct {
	Request Request
	Payload string   // digest of what was signed
	Keys    []string // IDs of the distinct keys, sorted
}

// After refuses an approval that was asked for before something that was taken since, of which last is the base: nobody
// who holds the key of the channel can bring back what people have moved on from. A new epoch begins anew.
func (a Approval) After(last Base) error {
	if a.Request.From.before(last) {
		return &Refusal{Name: bundle.Approvals, What: a.Request.Bundle.Digest, Detail: fmt.Sprintf(
			"it was approved when channel %q was at %s; something that was approved at %s was taken since", a.Request.Channel, a.Request.From.Version(), last.Version())}
	}
	return nil
}

// Approvals returns who has approved that a channel is given a bundle, by request, the latest first, whether that is enough or
// not. Why others do not count is for [Verifier.Approved] to say.
func (v *Verifier) Approvals(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string) ([]Approval, error) {
	t := tally{what: d.Digest}
	found, err := v.approvals(ctx, src, d, fleet, channel, &t)
	if err == nil {
		err = t.unseen
	}
	return found, err
}

// Approved refuses a bundle that not enough people have approved for a channel, as the role approval/<channel> of the root
// asks, and returns the latest request that enough have signed. Signatures of different requests do not add up.
func (v *Verifier) Approved(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string) (Approval, error) {
	if !v.root.Gated(channel) {
		return Approval{}, nil
	}
	t := tally{what: d.Digest, threshold: v.root.Roles[RoleApproval(channel)].Threshold}
	found, err := v.approvals(ctx, src, d, fleet, channel, &t)
	if err != nil {
		return Approval{}, v.refuse(CheckApprovals, d.Digest, err)
	}
	for _, a := range found {
		if len(a.Keys) >= t.threshold {
			v.see(CheckApprovals, d.Digest, fmt.Sprintf("%s for channel %q when it was at %s, of at least %d that must be there", shortly(len(a.Keys), "approval"), channel, a.Request.From.Version(), t.threshold))
			return a, nil
		}
		if len(a.Keys) > len(t.keys) {
			t.keys = a.Keys
		}
	}
	if t.unseen != nil {
		return Approval{}, v.refuse(CheckApprovals, d.Digest, fmt.Errorf("looking at the approvals of %s: %w", d.Digest, t.unseen))
	}
	detail := fmt.Sprintf("%d of at least %d people have approved it for channel %q", len(t.keys), t.threshold, channel)
	return Approval{}, v.refuse(CheckApprovals, d.Digest, &Refusal{Name: bundle.Approvals, Detail: detail + t.others(), What: d.Digest})
}

// approvals verifies every approval among the referrers of a bundle.
func (v *Verifier) approvals(ctx context.Context, src bundle.Source, d bundle.Descriptor, fleet, channel string, t *tally) ([]Approval, error) {
	keys, _, _ := v.root.role(RoleApproval(channel))
	referrers, err := src.Referrers(ctx, d, bundle.SignatureMediaType)
	if err != nil {
		return nil, fmt.Errorf("looking for approvals of %s: %w", d.Digest, err)
	}
	found := map[string]*Approval{}
	now := v.now()
	for _, r := range referrers[:min(len(referrers), maxSignatures)] {
		raw, err := carried(ctx, src, r, d.Digest)
		if err != nil {
			if !errors.As(err, new(*Refusal)) {
				t.note(err) // it may be the one that is missing
			}
			continue
		}
		if claimed(raw) != PromotionPredicate {
			continue // a signature of the bundle, or its provenance
		}
		s, err := verifyEnvelope(raw, d.Digest, keys, now)
		var req Request
		if err == nil {
			req, err = parseRequest(s.Payload)
		}
		if err == nil {
			err = req.isFor(fleet, channel)
		}
		if err != nil {
			t.note(err)
			v.ignore(CheckApproval, r.Digest, err)
			continue
		}
		payload, id := bundle.DigestOf(s.Payload), s.Key.ID()
		if found[payload] == nil {
			found[payload] = &Approval{Request: req, Payload: payload}
		}
		if one := found[payload]; !slices.Contains(one.Keys, id) {
			one.Keys = append(one.Keys, id)
			v.see(CheckApproval, r.Digest, fmt.Sprintf("key %s, which is good %s, approves it for channel %q", id, goodWhen(s.Key.NotBefore, s.Key.NotAfter), channel))
		} else {
			v.ignore(CheckApproval, r.Digest, &Refusal{Name: bundle.Approvals, Detail: "key " + id + " has approved it before: that counts once", What: r.Digest})
		}
	}
	return latest(found), nil
}

// latest sorts approvals, the one that was asked for last first.
func latest(found map[string]*Approval) []Approval {
	all := make([]Approval, 0, len(found))
	for _, a := range found {
		slices.Sort(a.Keys)
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b Approval) int {
		switch {
		case b.Request.From.before(a.Request.From):
			return -1
		case a.Request.From.before(b.Request.From):
			return 1
		case !a.Request.Requested.Equal(b.Request.Requested):
			return b.Request.Requested.Compare(a.Request.Requested)
		}
		return strings.Compare(a.Payload, b.Payload)
	})
	return all
}

// isFor refuses a request for somebody else.
func (r Request) isFor(fleet, channel string) error {
	switch {
	case r.Channel != channel:
		return &Refusal{Name: bundle.WrongChannel, Detail: fmt.Sprintf("it was approved for channel %.80q, not for %q", r.Channel, channel)}
	case fleet != "" && r.Fleet != fleet:
		return &Refusal{Name: bundle.WrongFleet, Detail: fmt.Sprintf("it was approved for fleet %.80q, not for %q", r.Fleet, fleet)}
	}
	return nil
}

// claimed is the predicate type that a Sigstore bundle claims, not verified.
func claimed(raw []byte) string {
	payload, err := payloadOf(raw)
	if err != nil {
		return ""
	}
	var s struct {
		PredicateType string `json:"predicateType"`
	}
	if json.Unmarshal(payload, &s) != nil {
		return ""
	}
	return s.PredicateType
}
