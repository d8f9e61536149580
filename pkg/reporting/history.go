package reporting

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// History implements api.History.
func (s *Service) History(ctx context.Context, q report.HistoryQuery) (report.History, error) {
	h := report.History{Entries: []report.HistoryEntry{}}
	if err := s.checkHistory(&q); err != nil {
		return h, err
	}
	resources, traits, err := placeOf(q.Before)
	if err != nil {
		return h, err
	}
	if h.Entries, err = s.DB.ResourceHistory(ctx, q, resources, q.Limit+1); err != nil {
		return h, kept(err)
	}
	classes := []string{"history"}
	if q.Resource == "" {
		classes = append(classes, "traits")
		more, err := s.DB.TraitHistory(ctx, q.Node, "", q.Since, traits, q.Limit+1)
		if err != nil {
			return h, kept(err)
		}
		h.Entries = append(h.Entries, more...)
		slices.SortStableFunc(h.Entries, func(a, b report.HistoryEntry) int { return b.At.Compare(a.At) })
	}
	if len(h.Entries) > q.Limit {
		h.Entries = h.Entries[:q.Limit]
		h.Next = placeBehind(h.Entries[q.Limit-1])
	}
	h.Dropped, err = s.droppedOf(ctx, q.Node, q.Since, classes...)
	return h, err
}

// checkHistory says what is wrong with a question, and puts in what it leaves open.
func (s *Service) checkHistory(q *report.HistoryQuery) error {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Limit = min(q.Limit, report.MaxHistory)
	if q.Resource != "" && !strings.Contains(q.Resource, ":") {
		refused := api.Refuse(api.ErrBadRequest, "%.140q is not the name of a resource", q.Resource)
		refused.Advice = "write TYPE:NAME, such as service:nginx or 'file:/etc/nginx/*'"
		return refused
	}
	if q.Node == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.nodes[q.Node]; !there {
		refused := api.Refuse(api.ErrNotFound, "there is no node %.140q", q.Node)
		refused.Advice = fault.DidYouMean(q.Node, slices.Sorted(maps.Keys(s.nodes)))
		return refused
	}
	return nil
}

// droppedOf is until when entries were forgotten before their time, of those that were asked for: of all nodes, or of one unless it
// is "".
func (s *Service) droppedOf(ctx context.Context, node string, since time.Time, classes ...string) (until time.Time, err error) {
	dropped, err := s.DB.Dropped(ctx)
	if err != nil {
		return until, kept(err)
	}
	own, err := s.DB.DroppedOf(ctx, node)
	if err != nil {
		return until, kept(err)
	}
	for _, class := range classes {
		for _, at := range []time.Time{dropped[class], own[class]} {
			if at.After(since) && at.After(until) {
				until = at
			}
		}
	}
	return until, nil
}

// placeBehind names the place behind an entry: its kind, time and number. Of the same time, resources come before traits.
func placeBehind(e report.HistoryEntry) string {
	return fmt.Sprintf("%.1s-%d-%d", cmp.Or(e.Kind, report.HistoryResource), e.At.UnixNano(), e.Seq)
}

// placeOf reads where a page begins, in both histories.
func placeOf(text string) (resources, traits sqlstore.Before, err error) {
	if text == "" {
		return resources, traits, nil
	}
	kind, rest, _ := strings.Cut(text, "-")
	nanos, number, _ := strings.Cut(rest, "-")
	at, err1 := strconv.ParseInt(nanos, 10, 64)
	seq, err2 := strconv.ParseInt(number, 10, 64)
	if err1 != nil || err2 != nil || kind != "r" && kind != "t" || at <= 0 {
		return resources, traits, api.Refuse(api.ErrBadRequest, "%.60q is not a page of the history", text)
	}
	resources, traits = sqlstore.Before{At: time.Unix(0, at), Seq: seq}, sqlstore.Before{At: time.Unix(0, at), Seq: math.MaxInt64}
	if kind == "t" {
		resources.Seq, traits.Seq = 0, seq
	}
	return resources, traits, nil
}
