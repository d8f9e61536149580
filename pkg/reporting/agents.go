package reporting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/hook"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
)

// Enroll implements api.Agents.
func (s *Service) Enroll(ctx context.Context, r api.EnrollRequest) (api.EnrollAnswer, error) {
	if err := identity.CheckName(r.Node); err != nil {
		return api.EnrollAnswer{}, err
	}
	secret, err := identity.ParseSecret(r.Token)
	if err != nil {
		return api.EnrollAnswer{}, err
	}
	now := s.Now()
	_, key, err := identity.ParseCSR([]byte(r.CSR))
	if err != nil {
		return api.EnrollAnswer{}, err
	}
	n := sqlstore.Node{Name: r.Node, Key: key, Enrolled: now.UTC(), Hub: r.Hub}
	allow := func(g identity.Grant) error { return errors.Join(sameSort(g, r.Hub), g.Allow(r.Node, now)) }
	grant, err := s.DB.MayEnroll(ctx, secret, n, allow) // before anybody is asked, and anything signed
	if err != nil {
		return api.EnrollAnswer{}, notEnrolled(r.Node, err)
	}
	chain, expires, err := s.certify(ctx, hook.Request{Operation: "enroll", Node: r.Node, Role: role(r.Hub), CSR: r.CSR, Agent: r.Agent, Token: &grant}, now)
	if err != nil {
		return api.EnrollAnswer{}, err
	}
	n.CertExpires = expires
	if n, err = s.DB.Enroll(ctx, secret, n, allow); err != nil {
		return api.EnrollAnswer{}, notEnrolled(r.Node, err)
	}
	if n.Channel == "" {
		n.Channel = s.Channel
	}
	s.mu.Lock()
	interval := s.interval(n.Channel)
	if old, err := s.active(n.Name); err == nil && bytes.Equal(old.Key, n.Key) {
		old.Node = n
	} else { // a new machine, also when a retired one had the name: it begins to count anew
		fresh := &node{Node: n, told: interval, shown: report.Never, account: account{State: report.ComplianceNever}}
		if s.newest != nil {
			fresh.sharesWith(s.newest)
		}
		s.enter(fresh)
		s.newest = fresh
	}
	s.indexed(s.nodes[n.Name])
	s.mu.Unlock()
	s.Log.Info("a node has joined", "node", n.Name, "channel", n.Channel, "token", n.Token)
	if s.Joined != nil && !n.Hub {
		s.Joined()
	}
	return api.EnrollAnswer{Node: n.Name, Fleet: s.Fleet, Channel: n.Channel, Labels: n.Labels, Interval: interval,
		Certificate: string(chain), CA: string(s.CA.CertPEM()), TrustRoot: s.TrustRoot, Registry: s.Registry}.SealedBy(s.CA)
}

// notEnrolled says what an error of the store means for who enrols.
func notEnrolled(name string, err error) error {
	switch {
	case errors.Is(err, sqlstore.ErrTaken):
		return api.Refuse(api.ErrTaken, "a node named %s is enrolled with another key", name)
	case errors.Is(err, sqlstore.ErrKeyRetired):
		return api.ErrRetired
	}
	return kept(err)
}

// Renew implements api.Agents.
func (s *Service) Renew(ctx context.Context, name, csr string) (api.RenewAnswer, error) {
	known, err := s.NodeKey(name)
	if err != nil {
		return api.RenewAnswer{}, err
	}
	now := s.Now()
	if _, key, err := identity.ParseCSR([]byte(csr)); err != nil {
		return api.RenewAnswer{}, err
	} else if !known.Equal(key) {
		return api.RenewAnswer{}, api.Refuse(api.ErrWrongNode, "the request is for another key than %s enrolled with", name)
	}
	s.mu.Lock()
	n := s.nodes[name].Node
	s.mu.Unlock()
	chain, expires, err := s.certify(ctx, hook.Request{Operation: "renew", Node: name, Role: role(n.Hub), CSR: csr}, now)
	if err != nil {
		return api.RenewAnswer{}, err
	}
	n.CertExpires = expires
	if err := s.DB.PutNode(ctx, n, report.Event{At: now.UTC(), Node: name, Kind: "node.renewed"}); err != nil {
		return api.RenewAnswer{}, kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, err := s.active(name); err != nil {
		return api.RenewAnswer{}, err // retired in this moment
	} else if bytes.Equal(known.Key, n.Key) {
		known.CertExpires = n.CertExpires
	}
	return api.RenewAnswer{Certificate: string(chain)}, nil
}

// CheckIn implements api.Agents.
func (s *Service) CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error) {
	if err := checkFacets(c.Facets); err != nil {
		return report.Answer{}, err
	}
	c.Refusals, c.Why = c.Refusals[:min(len(c.Refusals), maxRefusals)], strings.ToValidUTF8(c.Why[:min(len(c.Why), maxWhy)], "")
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.active(c.Node)
	if err != nil {
		return report.Answer{}, err
	}
	s.metrics.checkIns.Inc()
	s.rate.add(now)
	if c.Seq != 0 && c.Seq < n.account.Last.Seq { // one that was overtaken on a bad line says nothing of how the node is
		return report.Answer{Interval: n.told}, nil
	}
	channel, before := s.channelOf(n), n.account
	n.seen, n.told, n.account.Heard = now, s.interval(channel), now.UTC()
	answer := report.Answer{Interval: n.told, Pointer: s.channels[channel].Pointer, Labels: n.Labels}
	if answer.Labels == nil {
		answer.Labels = map[string]string{}
	}
	if c.Facets != nil && (n.unread || !maps.Equal(c.Facets, n.facets)) {
		s.describe(n, s.index.Shared(c.Facets))
	}
	answer.Names = c.Traits != "" && c.Facets == nil && c.Traits != n.account.Last.Traits
	answer.Need = s.need(n)
	s.expect(n, now)
	s.judge(n, c, now)
	return answer, s.keepHeard(n, &before, c.Facets, now)
}

// need is the documents of a node that are not here. The caller holds the lock.
func (s *Service) need(n *node) (need []string) {
	if s.untold.nodes > 0 || n.settled == s.untold.forgets+1 { // which are here is not known yet, or all are
		return nil
	}
	for _, digest := range n.facets {
		if !s.known[digest] {
			need = append(need, digest)
		}
	}
	if need == nil {
		n.settled = s.untold.forgets + 1
	}
	return need
}

// maxRefusals bounds what is kept of the refusals of one node; an agent remembers 16.
const maxRefusals = 32

// maxWhy bounds the reason of a pin, in bytes; the agent takes as much.
const maxWhy = 500

// checkFacets refuses names and digests that are none.
func checkFacets(facets map[string]string) error {
	if len(facets) > api.MaxFacets {
		return api.Refuse(api.ErrTooLarge, "%d traits, at most %d", len(facets), api.MaxFacets)
	}
	for name, digest := range facets {
		if _, err := bundle.ParseDigest(digest); err != nil || name == "" || len(name) > 64 || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
			return api.Refuse(api.ErrBadRequest, "trait %.64q: %.80q is not a digest", name, digest)
		}
	}
	return nil
}

// judge takes over what a check-in says of the last run.
func (s *Service) judge(n *node, c report.CheckIn, now time.Time) {
	a := &n.account
	facets := c.Facets
	c.Facets = nil // they are kept beside
	if facets == nil && c.Traits != a.Last.Traits {
		c.Traits = "" // not known until the names are sent
	}
	again := c.Run.ID == a.Last.Run.ID
	s.noteNodeRoot(c, a.Last.Root)
	s.hearRefusals(n, c.Refusals, now)
	s.share(n, &c)
	a.Last = c
	switch ahead := s.digest(n) == report.DigestAhead; {
	case !ahead:
		a.Ahead = time.Time{}
	case a.Ahead.IsZero():
		a.Ahead = now.UTC()
	}
	if c.Run.ID == "" || again {
		return
	}
	run := report.Run{Error: c.Run.Error, Counts: c.Run.Counts}
	state := run.Compliance()
	if state == report.ComplianceFailed || state == report.ComplianceDrift {
		if a.Failing == 0 {
			a.First = now.UTC()
		}
		a.Failing++
	} else {
		a.Failing, a.First, a.Reason, a.Failed, a.Whole = 0, time.Time{}, "", nil, c.Run.Started
	}
	if c.Run.Error != "" {
		a.Reason, a.Whole = c.Run.Error, c.Run.Started
	}
	if c.Run.Counts.Changed+c.Run.Counts.Corrected > 0 {
		a.Changed = now.UTC()
	}
	if state != a.State {
		a.State, a.Since = state, now.UTC()
	}
}

// PutRuns implements api.Agents.
func (s *Service) PutRuns(ctx context.Context, name string, runs []report.Run) error {
	if len(runs) == 0 {
		return nil
	}
	now := s.Now()
	if err := s.DB.PutRuns(ctx, name, runs, now); err != nil {
		return kept(err)
	}
	added := int64(0)
	for i := range runs {
		added += weight(&runs[i])
	}
	s.keepShare(ctx, name, added)
	newest := slices.MaxFunc(runs, func(a, b report.Run) int { return a.Started.Compare(b.Started) })
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.active(name)
	if err != nil {
		return err
	}
	last := n.account.Last.Run
	if newest.ID != last.ID && newest.Started.Before(last.Started) {
		return nil // from the spool: history, not how the node is
	}
	n.account.Failed = map[string]string{}
	n.account.Reason, n.account.Whole = newest.Error, newest.Started
	for _, r := range newest.Results {
		if r.Outcome == report.Skipped && len(r.Controls) > 0 {
			n.account.Failed[r.ID] = string(r.Outcome) // nobody knows whether the control is met
		}
		if r.Outcome != report.Failed && r.Outcome != report.Drift {
			continue
		}
		n.account.Failed[r.ID] = string(r.Outcome)
		if n.account.Reason == "" {
			n.account.Reason = r.ID + ": " + r.Reason
			if r.Outcome == report.Drift {
				n.account.Reason = r.ID + " differs"
			}
		}
	}
	return s.keep(n, nil)
}

// PutFacets implements api.Agents. Only documents that the node has said to have, and that are not known, are kept: the
// store does not fill up with others.
func (s *Service) PutFacets(ctx context.Context, name string, f report.Facets) error {
	s.mu.Lock()
	n, err := s.active(name)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	var wanted []trait.Facet
	for _, facet := range f.Facets {
		if n.facets[facet.Name] == facet.Digest && !s.known[facet.Digest] {
			wanted = append(wanted, facet)
		}
	}
	now := s.Now()
	err = s.admitDocuments(n, wanted, now)
	s.mu.Unlock()
	if err != nil || len(wanted) == 0 {
		return err
	}
	if err := s.DB.PutFacets(ctx, wanted, now); err != nil {
		return kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, facet := range wanted {
		s.known[facet.Digest] = true
		if err := s.index.Add(inventory.Document{Trait: facet.Name, Digest: facet.Digest, Doc: facet.Doc}); err != nil {
			s.Log.Warn("a document is left out of the inventory", "node", name, "trait", facet.Name, "err", err)
		}
	}
	return nil
}

// kept says what an error of the store means for who asked.
func kept(err error) error {
	switch {
	case errors.Is(err, sqlstore.ErrNotFound):
		return api.Refuse(api.ErrNotFound, "%s", err)
	case errors.Is(err, sqlstore.ErrFull), errors.Is(err, sqlstore.ErrDisk), errors.Is(err, sqlstore.ErrDamaged), errors.Is(err, sqlstore.ErrClosed), errors.Is(err, sqlstore.ErrUnreachable):
		return fmt.Errorf("%w: %w", api.ErrStore, err)
	}
	return err
}
