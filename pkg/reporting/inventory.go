package reporting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// Inventory implements api.Inventory.
func (s *Service) Inventory(ctx context.Context, q report.Question) (report.Inventory, error) {
	answer := report.Inventory{Where: q.Where, Show: q.Show}
	paths, err := pathsOf(q)
	if err != nil {
		return answer, err
	}
	var cond *expr.Cond
	if q.Where != "" {
		if cond, err = s.condition(q.Where); err != nil {
			return answer, err
		}
	}
	found, err := s.find(ctx, q.Query, cond)
	if err != nil {
		return answer, err
	}
	answer.Matched, answer.Lacking = len(found), s.lacking()
	names := make([]string, len(found))
	for i, n := range found {
		names[i] = n.Node
	}
	if q.Count != "" {
		counts, err := s.index.Count(ctx, names, paths[0], s.DB)
		for _, c := range counts {
			answer.Counts = append(answer.Counts, report.ValueCount(c))
		}
		return answer, err
	}
	if q.Limit <= 0 || q.Limit > report.MaxFound {
		q.Limit = report.MaxFound
	}
	answer.Nodes = found[:min(len(found), q.Limit)]
	if len(paths) == 0 {
		return answer, nil
	}
	table, err := s.index.Show(ctx, names[:len(answer.Nodes)], paths, s.DB)
	if err != nil {
		return answer, err
	}
	for i := range answer.Nodes {
		answer.Nodes[i].Values = table[i]
	}
	return answer, nil
}

// pathsOf reads what a question wants to see.
func pathsOf(q report.Question) ([]inventory.Path, error) {
	if len(q.Show) > report.MaxShown {
		return nil, api.Refuse(api.ErrTooLarge, "%d values to show, at most %d", len(q.Show), report.MaxShown)
	}
	texts := q.Show
	if q.Count != "" {
		texts = []string{q.Count}
	}
	paths := make([]inventory.Path, 0, len(texts))
	for _, text := range texts {
		p, err := inventory.ParsePath(text)
		if err != nil {
			return nil, asRefusal(err)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// condition compiles what somebody asks.
func (s *Service) condition(where string) (*expr.Cond, error) {
	cond, err := expr.Compile(where, s.querySchema())
	if err != nil {
		return nil, asRefusal(err)
	}
	return cond, nil
}

// asRefusal makes of what is wrong with a question an answer to it.
func asRefusal(err error) error {
	refused := api.Refuse(api.ErrBadRequest, "%s", err)
	if hints := fault.Hints(err); len(hints) > 0 {
		refused.Advice = hints[0]
	}
	return refused
}

// find returns the nodes of a query for which a condition holds, sorted by name; a nil condition holds for all. A node for
// which it cannot be evaluated is not found.
func (s *Service) find(ctx context.Context, q report.Query, cond *expr.Cond) ([]report.Found, error) {
	var names []string
	if cond != nil {
		if s.behind() <= soon {
			s.readDocuments(ctx, false)
		}
		var err error
		if names, err = s.index.Search(ctx, cond, s.DB); err != nil && ctx.Err() != nil {
			return nil, err
		} else if err != nil {
			s.Log.Debug("a condition could not be evaluated for a node", "condition", cond.String(), "err", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	if cond == nil {
		for name := range s.nodes {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	found := []report.Found{}
	for _, name := range names {
		n, there := s.nodes[name]
		if !there || n.Hub {
			continue
		}
		if ns := s.nodeStatus(n, now); q.Matches(ns) {
			found = append(found, report.Found{Node: name, Presence: ns.Presence, Seen: ns.Seen})
		}
	}
	return found, nil
}

// indexed tells the index what a node says of itself. The caller holds the lock.
func (s *Service) indexed(n *node) {
	n.covered = covered{} // its labels may be others
	n.labels = s.labelling.of(n.Name, s.channelOf(n), n.Labels)
	if n.Hub || !n.Retired.IsZero() {
		s.index.Remove(n.Name)
		return
	}
	for _, d := range s.index.Put(n.Name, n.labels, n.facets) {
		if s.known[d.Digest] { // the node will not send it again
			s.unread = append(s.unread, d)
		}
	}
}

// soon is how many documents a question waits for; for more, as after a start, it is told that it may miss nodes.
const soon = 500

// behind is how many documents are still to be read for the index.
func (s *Service) behind() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unread) + s.untold.nodes
}

// lacking is how many documents, or nodes of which it is not known yet what they have, answers may miss.
func (s *Service) lacking() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.index.Lacking()) + s.untold.nodes
}

// readAtOnce bounds the documents that are read from the store for the index at once.
const readAtOnce = 200

// keepIndex reads documents for the index until ctx ends.
func (s *Service) keepIndex(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		if err := s.readTraits(ctx, true); err != nil && ctx.Err() == nil {
			s.Log.Warn("reading which traits nodes have; it is tried again", "err", err)
		}
		s.readDocuments(ctx, true)
		select {
		case <-ctx.Done():
			return
		case <-second.C:
		}
	}
}

// readDocuments gives the index the documents that the store has and the index does not: all of them at the start, and later
// those that a node has again. With easy, others have their turn between.
func (s *Service) readDocuments(ctx context.Context, easy bool) {
	s.mu.Lock()
	unread := s.unread
	s.unread = nil
	s.mu.Unlock()
	// The store has them in this order, many on one page.
	slices.SortFunc(unread, func(a, b inventory.Document) int {
		return cmp.Or(strings.Compare(a.Digest, b.Digest), strings.Compare(a.Trait, b.Trait))
	})
	unread = slices.CompactFunc(unread, func(a, b inventory.Document) bool { return a.Digest == b.Digest && a.Trait == b.Trait })
	for began := time.Now(); len(unread) > 0 && ctx.Err() == nil; s.ease(ctx, easy && len(unread) > soon, &began) {
		some := unread[:min(readAtOnce, len(unread))]
		unread = unread[len(some):]
		digests := make([]string, len(some))
		for i, d := range some {
			digests[i] = d.Digest
		}
		docs, err := s.DB.Facets(ctx, digests)
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Warn("reading documents for the inventory; they are tried again", "err", err)
			}
			s.mu.Lock()
			s.unread = append(append(s.unread, some...), unread...)
			s.mu.Unlock()
			return
		}
		for i := range some {
			some[i].Doc = docs[some[i].Digest]
		}
		some = slices.DeleteFunc(some, func(d inventory.Document) bool { return d.Doc == nil })
		if err := s.index.Add(some...); err != nil {
			s.Log.Warn("a document is left out of the inventory", "err", err)
		}
	}
}

// questionsKey is the note that holds the questions with a name.
const questionsKey = "questions"

// Questions implements api.Inventory.
func (s *Service) Questions(ctx context.Context) ([]report.SavedQuestion, error) {
	list := []report.SavedQuestion{}
	err := s.DB.Note(ctx, questionsKey, &list)
	if errors.Is(err, sqlstore.ErrNotFound) {
		return list, nil
	}
	return list, kept(err)
}

// PutQuestion implements api.Inventory.
func (s *Service) PutQuestion(ctx context.Context, q report.SavedQuestion) error {
	if _, err := pathsOf(report.Question{Show: q.Show}); err != nil {
		return err
	}
	if _, err := s.condition(q.Where); err != nil {
		return err
	}
	return s.changeQuestions(ctx, func(list []report.SavedQuestion) ([]report.SavedQuestion, error) {
		list = slices.DeleteFunc(list, func(old report.SavedQuestion) bool { return old.Name == q.Name })
		if len(list) >= report.MaxQuestions {
			return nil, api.Refuse(api.ErrTooLarge, "there are %d questions already, at most %d", len(list), report.MaxQuestions)
		}
		q.At = s.Now().UTC()
		return append(list, q), nil
	})
}

// RemoveQuestion implements api.Inventory.
func (s *Service) RemoveQuestion(ctx context.Context, name string) error {
	return s.changeQuestions(ctx, func(list []report.SavedQuestion) ([]report.SavedQuestion, error) {
		rest := slices.DeleteFunc(slices.Clone(list), func(old report.SavedQuestion) bool { return old.Name == name })
		if len(rest) == len(list) {
			return nil, api.Refuse(api.ErrNotFound, "there is no question %q", name)
		}
		return rest, nil
	})
}

func (s *Service) changeQuestions(ctx context.Context, change func([]report.SavedQuestion) ([]report.SavedQuestion, error)) error {
	s.noting.Lock()
	defer s.noting.Unlock()
	list, err := s.Questions(ctx)
	if err != nil {
		return err
	}
	if list, err = change(list); err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b report.SavedQuestion) int { return strings.Compare(a.Name, b.Name) })
	if err := s.DB.PutNote(ctx, questionsKey, list); err != nil {
		return fmt.Errorf("keeping the questions: %w", kept(err))
	}
	return nil
}
