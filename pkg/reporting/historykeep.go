package reporting

import (
	"context"
	"encoding/json"
	"time"

	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

const (
	// changesAtOnce bounds the changes whose documents are in memory at once.
	changesAtOnce = 200
	// documentWait is how long a change waits for the document of what the node says now.
	documentWait = 10 * time.Minute
	// maxUnseen is how many changes may wait. Of more, it is only kept that there were any: they come faster than they can be
	// looked into.
	maxUnseen = 200_000
	// idleLook is between two looks when all that wait are without their documents.
	idleLook = 10 * time.Second
)

// keepHistory looks into what has changed, until ctx ends. Only the leader does.
func (s *Service) keepHistory(ctx context.Context) {
	pause := time.NewTimer(time.Second)
	defer pause.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		next := time.Second
		if s.Leads() {
			settled, left, err := s.lookIntoChanges(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				s.Log.Warn("looking into what has changed; it is tried again, and said again when it has worked in between", "err", err)
			}
			if failing = err != nil; failing || settled == 0 && left > changesAtOnce {
				next = idleLook
			}
		}
		pause.Reset(next)
	}
}

// lookIntoChanges compares the documents of all changes that wait, and keeps what differs in place of the notes. It returns how
// many it has settled, and how many still wait for their document.
func (s *Service) lookIntoChanges(ctx context.Context) (settled, left int, err error) {
	waiting, err := s.DB.FacetChangesWaiting(ctx)
	if err != nil {
		return 0, 0, err
	}
	for after := int64(0); ctx.Err() == nil; {
		page, err := s.DB.FacetChanges(ctx, after, changesAtOnce)
		if err != nil || len(page) == 0 {
			return settled, left, err
		}
		after = page[len(page)-1].ID
		entries, err := s.compare(ctx, page, waiting-settled > maxUnseen)
		if err != nil {
			return settled, left, err
		}
		if err := s.DB.PutTraitHistory(ctx, entries); err != nil {
			return settled, left, err
		}
		s.keepShares(ctx, entries)
		settled, left = settled+len(entries), left+len(page)-len(entries)
		if len(page) < changesAtOnce {
			break
		}
	}
	return settled, left, ctx.Err()
}

// compare makes entries of the changes whose documents are here, by the numbers of the changes.
func (s *Service) compare(ctx context.Context, page []sqlstore.FacetChange, hurry bool) (map[int64]*report.HistoryEntry, error) {
	var docs map[string]json.RawMessage
	if !hurry {
		var err error
		if docs, err = s.DB.Facets(ctx, digestsOf(page)); err != nil {
			return nil, err
		}
	}
	now := s.Now()
	entries := map[int64]*report.HistoryEntry{}
	if !hurry {
		overtaken(page, docs, entries)
	}
	known := map[[2]string]report.HistoryEntry{} // many nodes change in the same way
	for _, c := range page {
		if _, gone := entries[c.ID]; gone {
			continue
		}
		same := [2]string{c.Was, c.Became}
		e, done := known[same]
		if !done && !hurry && c.Was != "" && c.Became != "" && docs[c.Became] == nil && now.Sub(c.At) < documentWait && !now.Before(c.At) {
			continue
		}
		if !done {
			e = difference(c, docs, hurry)
			known[same] = e
		}
		if e.Outcome == report.OK {
			entries[c.ID] = nil
			continue
		}
		e.At, e.Node, e.Kind, e.Subject = c.At, c.Node, report.HistoryTrait, c.Trait
		entries[c.ID] = &e
	}
	return entries, nil
}

// overtaken makes one of two changes of a trait between which the node did not send its document: it has another one now, and
// will not send it any more. Entries of those that are gone are nil.
func overtaken(page []sqlstore.FacetChange, docs map[string]json.RawMessage, entries map[int64]*report.HistoryEntry) {
	of := map[[2]string][]int{} // changes of each trait, oldest first
	for i := range page {
		c := &page[i]
		at := [2]string{c.Node, c.Trait}
		earlier := of[at]
		for k := len(earlier) - 1; k >= 0 && docs[c.Became] != nil && c.Was != "" && docs[c.Was] == nil && page[earlier[k]].Became == c.Was; k-- {
			c.Was = page[earlier[k]].Was
			entries[page[earlier[k]].ID] = nil
		}
		of[at] = append(of[at], i)
	}
}

func digestsOf(page []sqlstore.FacetChange) []string {
	seen := map[string]bool{"": true}
	var digests []string
	for _, c := range page {
		for _, digest := range []string{c.Was, c.Became} {
			if !seen[digest] {
				seen[digest] = true
				digests = append(digests, digest)
			}
		}
	}
	return digests
}

// difference is what a change consists of; ok: of nothing.
func difference(c sqlstore.FacetChange, docs map[string]json.RawMessage, hurry bool) report.HistoryEntry {
	e := report.HistoryEntry{Outcome: report.Changed}
	was, became := docs[c.Was], docs[c.Became]
	var err error
	switch {
	case c.Was == "":
		e.Outcome = report.Appeared
	case c.Became == "":
		e.Outcome = report.Gone
	case hurry:
		e.Reason = "what differs is not known: there were too many changes to look into each"
	case became == nil:
		e.Reason = "what differs is not known: the node did not send its document"
	case was == nil:
		e.Reason = "what differs is not known: the document from before is not kept any more"
	default:
		if e.Changes, e.More, err = inventory.Diff(was, became, report.MaxTraitFields); err != nil {
			e.Reason = "what differs is not known: " + err.Error()
		} else if len(e.Changes) == 0 {
			e.Outcome = report.OK
		}
	}
	return e
}
