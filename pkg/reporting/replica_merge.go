package reporting

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// fresh is what a change is about, read from the store. What is nil was not changed.
type fresh struct {
	operators []sqlstore.Operator
	channels  map[string]report.ChannelNote
	known     map[string]bool // digests of all documents
	nodes     []sqlstore.Node
	hot       map[string]sqlstore.Hot
}

// takeOver reads what has changed and merges it into the memory.
func (s *Service) takeOver(ctx context.Context, c sqlstore.Change) error {
	before := s.hereOf(c.Nodes, c.Lost) // before it is read, so that who joins meanwhile is not taken for forgotten
	f, err := s.read(ctx, c)
	if err = errors.Join(err, s.takeAlerts(ctx, c)); err != nil {
		return fmt.Errorf("taking over what other services have kept: %w", err)
	}
	if c.Lost || slices.Contains(c.Notes, grantsKey) {
		told, err := s.readGrants(ctx)
		if err != nil {
			return fmt.Errorf("taking over what other services have kept: %w", err)
		}
		s.relabel(told)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.operators != nil {
		s.operators = f.operators
	}
	if f.channels != nil {
		s.setChannels(f.channels)
	}
	s.takeDocuments(c, f.known)
	there := make(map[string]bool, len(f.nodes))
	for _, n := range f.nodes {
		there[n.Name] = true
		s.takeNode(n)
	}
	s.takeAbsent(before, there)
	var errs []error
	for _, h := range f.hot {
		errs = append(errs, s.takeHot(h))
	}
	if err := errors.Join(errs...); err != nil { // the next check-in of these nodes mends it
		s.Log.Warn("taking over what other services have kept", "err", err)
	}
	return nil
}

// read reads the content of a change.
func (s *Service) read(ctx context.Context, c sqlstore.Change) (f fresh, err error) {
	var errs []error
	if c.Lost || c.Operators {
		f.operators, err = s.DB.Operators(ctx)
		errs = append(errs, err)
	}
	if c.Lost || slices.Contains(c.Notes, channelsKey) {
		f.channels = map[string]report.ChannelNote{}
		if err := s.DB.Note(ctx, channelsKey, &f.channels); !errors.Is(err, sqlstore.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	if !c.Lost {
		f.nodes, err = s.DB.NodesNamed(ctx, c.Nodes)
		errs = append(errs, err)
		f.hot, err = s.DB.HotOf(ctx, c.Hot, c.Described)
		return f, errors.Join(append(errs, err)...)
	}
	f.known, err = s.DB.FacetDigests(ctx)
	errs = append(errs, err)
	f.nodes, err = s.DB.Nodes(ctx)
	errs = append(errs, err)
	f.hot, err = s.DB.LoadHot(ctx)
	return f, errors.Join(append(errs, err)...)
}

// setChannels replaces what is published. The caller holds the lock.
func (s *Service) setChannels(next map[string]report.ChannelNote) {
	s.channels = next // never changed, only replaced
	for _, n := range next {
		if n.Digest != "" {
			s.commits[n.Digest] = n.Commit
		}
	}
}

// takeDocuments takes note of documents that others have received or forgotten; all, if it is not nil, is every one there is.
// The caller holds the lock.
func (s *Service) takeDocuments(c sqlstore.Change, all map[string]bool) {
	if all != nil {
		s.known = all
		s.untold.forgets++
		for _, d := range s.index.Lacking() {
			if all[d.Digest] {
				s.unread = append(s.unread, d)
			}
		}
	}
	s.forgot(c.Gone)
	for _, f := range c.Facets {
		s.known[f.Digest] = true
		s.unread = append(s.unread, inventory.Document{Trait: f.Trait, Digest: f.Digest})
	}
}

// forgot takes note of documents that are not kept any more. The caller holds the lock.
func (s *Service) forgot(digests []string) {
	for _, digest := range digests {
		delete(s.known, digest)
		s.untold.forgets++
	}
	if s.untold.nodes > 0 {
		s.untold.gone = append(s.untold.gone, digests...)
	}
}

// takeNode takes over that a node has enrolled, was renewed or retired. The caller holds the lock.
func (s *Service) takeNode(n sqlstore.Node) {
	known, ok := s.nodes[n.Name]
	if !ok || !bytes.Equal(known.Key, n.Key) { // another machine: it begins to count anew
		known = &node{Node: n, told: s.interval(n.Channel), shown: report.Never, account: account{State: report.ComplianceNever}}
		s.enter(known)
	}
	known.Node = n
	s.expect(known, s.Now())
	s.indexed(known)
}

// takeHot takes over what a node has said to another service. The caller holds the lock.
func (s *Service) takeHot(h sqlstore.Hot) error {
	n, ok := s.nodes[h.Node]
	if !ok {
		return nil
	}
	if h.Counter > n.window.Highest() { // all below it count as seen: which of them were is known elsewhere only
		n.window = identity.NewWindow(h.Counter)
	}
	newer := h.Seen.After(n.seen)
	if newer {
		n.seen, n.told = h.Seen, h.Told
		s.expect(n, s.Now())
		s.rate.add(h.Seen)
	}
	if len(h.Doc) == 0 {
		return nil
	}
	var theirs account
	if err := json.Unmarshal(h.Doc, &theirs); err != nil {
		return fmt.Errorf("reading what %s said last: %w", h.Node, err)
	}
	if h.Facets != nil && !theirs.Heard.Before(n.account.Heard) && !maps.Equal(h.Facets, n.facets) {
		s.describe(n, s.index.Shared(h.Facets))
	}
	n.account.merge(theirs, newer)
	if w := n.account.Wish; w.After != "" && w.At.After(theirs.Wish.At) && s.Leads() {
		return s.keep(n, nil) // another service heard of the node before it knew, and has written over it
	}
	return nil
}

// merge takes over of another account what is newer: the last check-in and what follows from it, the last run that was reported
// whole, and the last report of a hub, which newer says of. They arrive on connections of their own, so each may be newer
// elsewhere.
func (a *account) merge(b account, newer bool) {
	failed, reason, whole, hub := a.Failed, a.Reason, a.Whole, a.Report
	excess, wish := a.Excess, a.Wish.later(b.Wish)
	if b.Excess.At.After(excess.At) {
		excess = b.Excess
	}
	if b.Whole.After(a.Whole) || b.Whole.Equal(a.Whole) && a.Failed == nil {
		failed, reason, whole = b.Failed, b.Reason, b.Whole
	}
	if newer {
		hub = b.Report
	}
	if b.Heard.After(a.Heard) {
		*a = b
	}
	a.Failed, a.Reason, a.Whole, a.Report, a.Excess, a.Wish = failed, reason, whole, hub, excess, wish
}
