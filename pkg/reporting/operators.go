package reporting

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// Nodes implements api.Operators.
func (s *Service) Nodes(_ context.Context, q report.Query) ([]report.NodeStatus, error) {
	now := s.Now()
	list := []report.NodeStatus{}
	s.eachNode(func(n *node) {
		if n.Hub {
			return
		}
		if st := s.nodeStatus(n, now); q.Matches(st) {
			list = append(list, st)
		}
	})
	at := make([]int32, len(list))
	for i := range at {
		at[i] = int32(i)
	}
	slices.SortFunc(at, func(a, b int32) int { return strings.Compare(list[a].Name, list[b].Name) })
	sorted := make([]report.NodeStatus, len(list))
	for i, from := range at {
		sorted[i] = list[from]
	}
	return sorted, nil
}

// Recipients implements api.Roster.
func (s *Service) Recipients(context.Context) ([]report.Recipient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []report.Recipient{}
	for _, n := range s.nodes {
		if !n.Hub && n.Retired.IsZero() {
			list = append(list, report.Recipient{Node: n.Name, Channel: s.channelOf(n), Labels: n.Labels, Key: n.Key})
		}
	}
	slices.SortFunc(list, func(a, b report.Recipient) int { return strings.Compare(a.Node, b.Node) })
	return list, nil
}

func (s *Service) nodeStatus(n *node, now time.Time) report.NodeStatus {
	a, at := &n.account, s.presence(n, now)
	return report.NodeStatus{
		Quarantine:  s.quarantine(n.Name),
		Maintenance: s.maintained(n, at, now).told(),
		Reboot:      s.rebootTold(n.Name),
		Name:        n.Name, Channel: s.channelOf(n), Labels: n.labels, Presence: at, Seen: n.seen, Interval: n.told,
		Compliance: a.State, Digest: s.digest(n), Bundle: a.Last.Bundle, Commit: s.commits[a.Last.Bundle],
		Pinned: a.Last.Pinned, Why: a.Last.Why, Pointer: a.Last.Pointer, Agent: a.Last.Agent, Run: a.Last.Run, Failing: a.Failing, Since: a.Since, Spooled: a.Last.Spooled,
		Reason: a.Reason, Refusals: a.Last.Refusals, Hub: a.Last.Hub,
	}
}

// channelOf is the channel a node follows.
func (s *Service) channelOf(n *node) string { return cmp.Or(n.Channel, s.Channel) }

// digest compares what a node enforces with what its channel publishes.
func (s *Service) digest(n *node) report.Digest {
	last := &n.account.Last
	return report.DigestState(last.Bundle, last.Pointer, s.channels[s.channelOf(n)])
}

// Node implements api.Operators.
func (s *Service) Node(ctx context.Context, name string) (report.NodeDetail, error) {
	s.mu.Lock()
	n, ok := s.nodes[name]
	if !ok {
		s.mu.Unlock()
		return report.NodeDetail{}, fault.WithHint(api.Refuse(api.ErrNotFound, "there is no node %q", name), fault.DidYouMean(name, slices.Sorted(maps.Keys(s.nodes))))
	}
	d := report.NodeDetail{NodeStatus: s.nodeStatus(n, s.Now()), Enrolled: n.Enrolled, Token: n.Token, Key: identity.KeyID(n.Key),
		CertExpires: n.CertExpires, RetireAfter: s.retireAfter(n), Boot: n.account.Last.Boot, PointerAge: n.account.Last.Age}
	s.mu.Unlock()
	var err error
	if d.Facets, err = s.traitDigests(ctx, name); err != nil {
		return d, err
	}
	if d.Runs, err = s.DB.Runs(ctx, name, 20, false); err != nil {
		return d, err
	}
	if d.Events, err = s.DB.Events(ctx, name, 50); err != nil {
		return d, err
	}
	if d.Said, err = s.DB.TraitHistory(ctx, name, "", time.Time{}, sqlstore.Before{}, 20); err != nil {
		return d, err
	}
	d.Dropped, err = s.DB.DroppedOf(ctx, name)
	return d, err
}

// Traits implements api.Operators.
func (s *Service) Traits(ctx context.Context, q report.Query, where string) ([]report.Traits, error) {
	var cond *expr.Cond
	if where != "" {
		var err error
		if cond, err = s.condition(where); err != nil {
			return nil, err
		}
	}
	found, err := s.find(ctx, q, cond)
	if err != nil {
		return nil, err
	}
	list := []report.Traits{}
	decoded := map[string]any{}
	for _, n := range found {
		doc, err := s.traitsOf(ctx, n.Node, decoded)
		if err != nil {
			return nil, err
		}
		list = append(list, report.Traits{Node: n.Node, Seen: n.Seen, Traits: doc})
	}
	return list, nil
}

// querySchema knows the traits and the labels of all nodes.
func (s *Service) querySchema() *expr.Schema {
	schema := s.Schema.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		for name := range n.labels {
			schema.Label(name)
		}
	}
	return schema
}

// traitsOf decodes the traits of a node; documents that nodes share are decoded once.
func (s *Service) traitsOf(ctx context.Context, name string, decoded map[string]any) (map[string]any, error) {
	facets, err := s.traitDigests(ctx, name)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, digest := range facets {
		if _, ok := decoded[digest]; !ok {
			missing = append(missing, digest)
		}
	}
	docs, err := s.DB.Facets(ctx, missing)
	if err != nil {
		return nil, err
	}
	for digest, doc := range docs {
		var v any
		if err := json.Unmarshal(doc, &v); err != nil {
			return nil, fmt.Errorf("reading trait document %s: %w", digest, err)
		}
		decoded[digest] = v
	}
	traits := make(map[string]any, len(facets))
	for trait, digest := range facets {
		if v, ok := decoded[digest]; ok {
			traits[trait] = v
		}
	}
	return traits, nil
}

// Events implements api.Operators.
func (s *Service) Events(ctx context.Context, limit int) ([]report.Event, error) {
	return s.DB.Events(ctx, "", limit)
}
