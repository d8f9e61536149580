package reporting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
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
	chain, key, err := s.CA.IssueClient([]byte(r.CSR), identity.Client{Role: identity.RoleNode, Name: r.Node}, now)
	if err != nil {
		return api.EnrollAnswer{}, err
	}
	n, err := s.DB.Enroll(ctx, secret, sqlstore.Node{Name: r.Node, Key: key, Enrolled: now.UTC(), CertExpires: now.Add(identity.ClientLife).UTC()},
		func(g identity.Grant) error { return g.Allow(r.Node, now) })
	switch {
	case errors.Is(err, sqlstore.ErrTaken):
		return api.EnrollAnswer{}, api.Refuse(api.ErrTaken, "a node named %s is enrolled with another key", r.Node)
	case errors.Is(err, sqlstore.ErrKeyRetired):
		return api.EnrollAnswer{}, api.ErrRetired
	case err != nil:
		return api.EnrollAnswer{}, err
	}
	if n.Channel == "" {
		n.Channel = s.Channel
	}
	s.mu.Lock()
	if _, known := s.nodes[n.Name]; !known {
		s.nodes[n.Name] = &node{Node: n, told: s.Interval, account: account{State: report.ComplianceNever}}
	} else {
		s.nodes[n.Name].Node = n
	}
	s.mu.Unlock()
	s.Log.Info("a node has joined", "node", n.Name, "channel", n.Channel, "token", n.Token)
	return api.EnrollAnswer{Node: n.Name, Fleet: s.Fleet, Channel: n.Channel, Labels: n.Labels, Interval: s.Interval,
		Certificate: string(chain), CA: string(s.CA.CertPEM()), TrustRoot: s.TrustRoot, Registry: s.Registry}, nil
}

// Renew implements api.Agents.
func (s *Service) Renew(ctx context.Context, name, csr string) (api.RenewAnswer, error) {
	known, err := s.NodeKey(name)
	if err != nil {
		return api.RenewAnswer{}, err
	}
	now := s.Now()
	chain, key, err := s.CA.IssueClient([]byte(csr), identity.Client{Role: identity.RoleNode, Name: name}, now)
	if err != nil {
		return api.RenewAnswer{}, err
	}
	if !known.Equal(key) {
		return api.RenewAnswer{}, api.Refuse(api.ErrWrongNode, "the request is for another key than %s enrolled with", name)
	}
	s.mu.Lock()
	n := s.nodes[name].Node
	s.mu.Unlock()
	n.CertExpires = now.Add(identity.ClientLife).UTC()
	if err := s.DB.PutNode(ctx, n, report.Event{At: now.UTC(), Node: name, Kind: "node.renewed"}); err != nil {
		return api.RenewAnswer{}, err
	}
	s.mu.Lock()
	s.nodes[name].CertExpires = n.CertExpires
	s.mu.Unlock()
	return api.RenewAnswer{Certificate: string(chain)}, nil
}

// CheckIn implements api.Agents.
func (s *Service) CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error) {
	now := s.Now()
	s.metrics.checkIns.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[c.Node]
	if !ok {
		return report.Answer{}, errUnknown
	}
	s.rate.add(now)
	n.seen, n.told = now, s.Interval
	answer := report.Answer{Interval: s.Interval, Pointer: s.channels[n.Channel].Pointer, Labels: n.Labels}
	if answer.Labels == nil {
		answer.Labels = map[string]string{}
	}
	if c.Facets != nil && !maps.Equal(c.Facets, n.facets) {
		n.facets = c.Facets
	}
	answer.Names = c.Traits != "" && c.Facets == nil && c.Traits != n.account.Last.Traits
	for _, digest := range n.facets {
		if !s.known[digest] {
			answer.Need = append(answer.Need, digest)
		}
	}
	s.judge(n, c, now)
	h := sqlstore.Hot{Node: c.Node, Seen: now, Told: n.told, Counter: n.window.Highest(), Facets: c.Facets}
	doc, err := json.Marshal(n.account)
	if err != nil {
		return answer, fmt.Errorf("keeping the check-in of %s: %w", c.Node, err)
	}
	h.Doc = doc
	s.DB.PutHot(h)
	return answer, nil
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
	a.Last = c
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
		a.Failing, a.First, a.Reason, a.Failed = 0, time.Time{}, "", nil
	}
	if c.Run.Error != "" {
		a.Reason = c.Run.Error
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
	now := s.Now()
	if err := s.DB.PutRuns(ctx, name, runs, now); err != nil {
		return err
	}
	newest := slices.MaxFunc(runs, func(a, b report.Run) int { return a.Started.Compare(b.Started) })
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[name]
	if !ok {
		return errUnknown
	}
	n.account.Failed = map[string]string{}
	n.account.Reason = newest.Error
	for _, r := range newest.Results {
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
	return nil
}

// PutFacets implements api.Agents.
func (s *Service) PutFacets(ctx context.Context, _ string, f report.Facets) error {
	if err := s.DB.PutFacets(ctx, f.Facets, s.Now()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, facet := range f.Facets {
		s.known[facet.Digest] = true
	}
	return nil
}
