package reporting

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/change"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

const (
	// readChanges bounds the changes that are looked through for one answer.
	readChanges = 500_000
	// changesPage is how many are read at once.
	changesPage = 2000
	// usualMoves is how many values are answered when nothing is said.
	usualMoves = 1000
)

// TraitChanges implements api.History.
func (s *Service) TraitChanges(ctx context.Context, q report.ChangeQuestion) (report.TraitChanges, error) {
	answer := report.TraitChanges{Since: q.Since, Moves: []report.Move{}}
	if q.Since.IsZero() {
		return answer, api.Refuse(api.ErrBadRequest, "since when?")
	}
	if q.Limit <= 0 {
		q.Limit = usualMoves
	}
	q.Limit = min(q.Limit, report.MaxMoves)
	var cond *expr.Cond
	if q.Where != "" {
		var err error
		if cond, err = s.condition(q.Where); err != nil {
			return answer, err
		}
	}
	found, err := s.find(ctx, q.Query, cond)
	if err != nil {
		return answer, err
	}
	f := folding{among: make(map[string]bool, len(found)), moves: map[moveKey]*report.Move{}, nodes: map[string]bool{}, left: map[moveKey]bool{}}
	for _, n := range found {
		f.among[n.Node] = true
	}
	if answer.Unread, err = s.foldChanges(ctx, q, &f); err != nil {
		return answer, kept(err)
	}
	f.answer(&answer, q.Limit)
	if answer.Waiting, err = s.DB.FacetChangesWaiting(ctx); err != nil {
		return answer, kept(err)
	}
	answer.Dropped, err = s.droppedOf(ctx, "", q.Since, "traits")
	return answer, err
}

// foldChanges reads the changes that are asked for, newest first. unread says that there were too many.
func (s *Service) foldChanges(ctx context.Context, q report.ChangeQuestion, f *folding) (unread bool, err error) {
	only := "" // the history of one node is found by its name
	if len(f.among) == 1 {
		for name := range f.among {
			only = name
		}
	}
	before := sqlstore.Before{}
	for read := 0; read < readChanges; read += changesPage {
		page, err := s.DB.TraitHistory(ctx, only, q.Trait, q.Since, before, changesPage)
		if err != nil {
			return false, err
		}
		for _, e := range page {
			f.add(e)
			before = sqlstore.Before{At: e.At, Seq: e.Seq}
		}
		if len(page) < changesPage {
			return false, nil
		}
	}
	return true, nil
}

// folding makes one move of all changes of a value, which come newest first.
type folding struct {
	among map[string]bool // nodes
	moves map[moveKey]*report.Move
	nodes map[string]bool // that have changed
	left  map[moveKey]bool
}

type moveKey struct{ node, trait, field string }

func (f *folding) add(e report.HistoryEntry) {
	if !f.among[e.Node] {
		return
	}
	f.nodes[e.Node] = true
	switch {
	case e.Outcome == report.Appeared:
		f.move(e, change.Change{From: change.Absent, To: "there"})
	case e.Outcome == report.Gone:
		f.move(e, change.Change{From: "there", To: change.Absent})
	case e.Reason != "":
		f.move(e, change.Change{From: "?", To: "? (" + e.Reason + ")"})
	}
	for _, c := range e.Changes {
		f.move(e, c)
	}
}

func (f *folding) move(e report.HistoryEntry, c change.Change) {
	key := moveKey{e.Node, e.Subject, c.Field}
	if strings.HasSuffix(c.Field, "[]") { // an element of a list: it came or went
		element := c.From
		if element == change.Absent {
			element = c.To
		}
		key.field += "\x00" + element
	}
	if m, known := f.moves[key]; known {
		m.From = c.From
		m.Times++
		return
	}
	if len(f.moves) >= report.MaxMoves {
		if len(f.left) < report.MaxMoves { // how many more there are is counted so far
			f.left[key] = true
		}
		return
	}
	f.moves[key] = &report.Move{Node: e.Node, Trait: e.Subject, Field: c.Field, From: c.From, To: c.To, At: e.At, Times: 1, More: e.More}
}

// answer lists the values that are others than at the beginning.
func (f *folding) answer(a *report.TraitChanges, limit int) {
	for _, m := range f.moves {
		if m.From == m.To && m.Field != "" {
			continue
		}
		if m.Times == 1 {
			m.Times = 0
		}
		a.Moves = append(a.Moves, *m)
	}
	slices.SortFunc(a.Moves, func(x, y report.Move) int {
		return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(x.Trait, y.Trait), cmp.Compare(x.Field, y.Field), cmp.Compare(x.To, y.To), cmp.Compare(x.From, y.From))
	})
	a.Nodes, a.Left = len(f.nodes), len(f.left)
	if len(a.Moves) > limit {
		a.Left += len(a.Moves) - limit
		a.Moves = a.Moves[:limit]
	}
}
