package reporting

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// maxDocuments is how many bytes of trait documents a node may send in an hour. They stay for at least as long.
const maxDocuments = 64 << 20

// weight is about how many rows of 4 KiB a run adds to the store.
func weight(r *report.Run) int64 {
	bytes := len(r.Error)
	for i := range r.Results {
		res := &r.Results[i]
		bytes += len(res.ID) + len(res.Reason)
		for _, c := range res.Changes {
			bytes += len(c.Field) + len(c.From) + len(c.To)
		}
	}
	return 1 + int64(len(r.Results)) + int64(bytes)/4096
}

// keepShare takes note that so much was kept of a node, and when it adds up has the store look at whether the node has more than
// its share: what one node says must not take the room of the others before the hour is over.
func (s *Service) keepShare(ctx context.Context, name string, added int64) {
	share := s.Keep.Runs.Node
	for _, of := range []int64{s.Keep.Quiet.Node, s.Keep.History.Node, s.Keep.Traits.Node} {
		if of > 0 && (share <= 0 || of < share) {
			share = of
		}
	}
	s.mu.Lock()
	n := s.nodes[name]
	due := false
	if n != nil && share > 0 {
		if n.added += added; n.added > share/10 {
			n.added, due = 0, true
		}
	}
	s.mu.Unlock()
	if !due {
		return
	}
	over, err := s.DB.PruneNode(ctx, name, s.Keep.Retention)
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("forgetting what a node has too much of", "node", name, "err", err)
	}
	if len(over) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tooMuch(name, overText(over))
}

// excessHolds is for how long a node counts as one that reports too much after something of it was forgotten for that, or refused: as
// long as it goes on, that happens again within an hour.
const excessHolds = 2 * time.Hour

// excess is that a node reports more than its share.
type excess struct {
	At   time.Time `json:"at"` // when something was forgotten for that, or refused, last
	Text string    `json:"text"`
}

// now is whether it still does.
func (e *excess) now(now time.Time) bool { return !e.At.IsZero() && now.Sub(e.At) < excessHolds }

func overText(classes []string) string {
	return "it says more than its share, and the oldest of it is forgotten early: " + strings.Join(classes, ", ")
}

// tooMuch takes note that a node reports more than its share, with an event when it begins to. The caller holds the lock.
func (s *Service) tooMuch(name, text string) {
	n, err := s.active(name)
	if err != nil {
		return
	}
	now := s.Now()
	if e := &n.account.Excess; !e.now(now) {
		n.news = append(n.news, report.Event{At: now.UTC(), Node: name, Kind: report.EventExcess, Text: text})
		s.Log.Warn("a node reports too much", "node", name, "what", text)
	}
	n.account.Excess = excess{At: now.UTC(), Text: text}
	if err := s.keep(n, nil); err != nil {
		s.Log.Warn("keeping that a node reports too much", "node", name, "err", err)
	}
}

// keepShares is [Service.keepShare] of the nodes whose traits have changed.
func (s *Service) keepShares(ctx context.Context, entries map[int64]*report.HistoryEntry) {
	added := map[string]int64{}
	for _, e := range entries {
		if e != nil {
			added[e.Node]++
		}
	}
	for name, n := range added {
		s.keepShare(ctx, name, n)
	}
}

// admitDocuments refuses documents of a node that has sent too many bytes of them in this hour. The caller holds the lock.
func (s *Service) admitDocuments(n *node, documents []trait.Facet, now time.Time) error {
	for _, f := range documents {
		if n.documents.add(now, len(f.Doc)) > maxDocuments {
			s.tooMuch(n.Name, fmt.Sprintf("it has sent more than %d MiB of trait documents in an hour, and more are refused", maxDocuments>>20))
			return api.Refuse(api.ErrTooMany, "more than %d MiB of trait documents in an hour", maxDocuments>>20)
		}
	}
	return nil
}
