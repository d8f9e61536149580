package reporting

import (
	"context"
	"fmt"
	"time"

	"vigo.dev/pkg/report"
)

// pause is the silence of the service itself, in which it was stopped or starved, that counts as not having listened.
const pause = 10 * time.Second

// hearing is since when the service listens again, and how long it had not before. The zero hearing has always listened.
type hearing struct {
	back   time.Time
	down   time.Duration
	ticked time.Time // it was seen to listen
}

// alive is what is kept of hearing, every few seconds and at the end.
type alive struct {
	At   time.Time     `json:"at"`
	Back time.Time     `json:"back,omitzero"`
	Down time.Duration `json:"down,omitempty"`
}

// resume begins to listen at now. A service that went down again before its nodes could come back counts as down all
// the time.
func (a alive) resume(now time.Time, interval time.Duration) hearing {
	since := a.At
	if !a.Back.IsZero() && a.At.Before(a.Back.Add(3*interval)) {
		since = a.Back.Add(-a.Down)
	}
	return hearing{back: now, down: max(0, now.Sub(since))}
}

// tick takes note that the service listens at now.
func (h *hearing) tick(now time.Time, interval time.Duration) {
	if !h.ticked.IsZero() && now.Sub(h.ticked) > pause {
		*h = alive{At: h.ticked, Back: h.back, Down: h.down}.resume(now, interval)
	}
	h.ticked = now
}

// amnesty is until when no node is called stale that was not so before; zero when the service has always listened.
func (h *hearing) amnesty(interval time.Duration) time.Time {
	if h.down == 0 {
		return time.Time{}
	}
	return h.back.Add(3 * interval)
}

// presence is that of a node now. The time in which nobody listened does not count as silence, and for three intervals
// after it nobody becomes stale.
func (s *Service) presence(n *node, now time.Time) report.Presence {
	if !n.Retired.IsZero() {
		return report.Retired
	}
	h := &s.hearing
	if n.seen.IsZero() || !n.seen.Before(h.back) {
		return report.PresenceAt(now, n.seen, n.told)
	}
	seen := n.seen.Add(h.down)
	if seen.After(h.back) {
		seen = h.back
	}
	at := report.PresenceAt(now, seen, n.told)
	if silent(at) && now.Before(h.amnesty(n.told)) && !silent(report.PresenceAt(h.back, seen, n.told)) {
		return report.Late
	}
	return at
}

func silent(p report.Presence) bool { return p == report.Stale || p == report.Missing }

// Tick does what is due each second: it takes note that the service listens, and writes an event for each node whose
// presence changed, and for each request of a new sort that was refused. Run calls it.
func (s *Service) Tick(ctx context.Context) {
	now := s.Now()
	events := s.away.take()
	s.mu.Lock()
	s.hearing.tick(now, s.longest())
	for name, n := range s.nodes {
		at := s.presence(n, now)
		if at == n.shown {
			continue
		}
		if kind := s.eventOf(n, transition(n.shown, at), now); kind != "" {
			events = append(events, report.Event{At: now.UTC(), Node: name, Kind: kind, Text: fmt.Sprintf("last seen %s", n.seen.UTC().Format(time.RFC3339))})
		}
		n.shown = at
	}
	s.mu.Unlock()
	if len(events) == 0 {
		return
	}
	if err := s.DB.PutEvents(ctx, events...); err != nil && ctx.Err() == nil {
		s.Log.Warn("keeping events", "err", err)
	}
}

// transition is the kind of the event when a node goes from one presence to another; "" for none. What a node was before
// the service started is not known: no event.
func transition(from, to report.Presence) string {
	switch {
	case from == "":
		return ""
	case to == report.Stale:
		return "node.stale"
	case to == report.Missing:
		return "node.missing"
	case silent(from) && (to == report.Live || to == report.Late):
		return "node.back"
	}
	return ""
}
