package reporting

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
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

// tick takes note that the service listens at now; away says that it did not since the last tick, however short that was.
func (h *hearing) tick(now time.Time, interval time.Duration, away bool) {
	if !h.ticked.IsZero() && (away || now.Sub(h.ticked) > pause) {
		*h = alive{At: h.ticked, Back: h.back, Down: h.down}.resume(now, interval)
	}
	h.ticked = now
}

// amnesty is until when no node is called stale that was not so before; zero when the service has always listened.
func (h *hearing) amnesty(interval time.Duration) time.Time {
	if h.down == 0 {
		return time.Time{}
	}
	return h.back.Add(max(3*interval, settling))
}

// settling is how long the amnesty is at least: who reports several times a second still has to connect anew.
const settling = 5 * time.Second

// listens takes note that from now on requests are answered, after a service that was down has loaded what it holds.
func (s *Service) listens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.Now(); s.hearing.down > 0 && s.hearing.ticked.IsZero() && s.hearing.back.Equal(s.began) {
		s.hearing.down += now.Sub(s.hearing.back)
		s.hearing.back = now
		s.agenda.all = true
	}
}

// presence is that of a node now. The time in which nobody listened does not count as silence, and for three intervals
// after it nobody becomes stale.
func (s *Service) presence(n *node, now time.Time) report.Presence {
	if !n.Retired.IsZero() {
		return report.Retired
	}
	if !s.inStep(now) { // what others have heard since is not known
		now = s.replica.fed
	}
	h := &s.hearing
	if n.seen.IsZero() || !n.seen.Before(h.back) {
		return report.PresenceAt(now, n.seen, n.told)
	}
	seen := s.heardAs(n)
	at := report.PresenceAt(now, seen, n.told)
	if silent(at) && now.Before(h.amnesty(n.told)) && !silent(report.PresenceAt(h.back, seen, n.told)) {
		return report.Late
	}
	return at
}

func silent(p report.Presence) bool { return p == report.Stale || p == report.Missing }

// Tick does what is due each second: it takes note that the service listens, and writes an event for each node whose
// presence changed, and for each request of a new sort that was refused. Of several services, the leader writes of presences.
// Run calls it.
func (s *Service) Tick(ctx context.Context) {
	if events := s.away.take(); len(events) > 0 {
		if err := s.DB.PutEvents(ctx, events...); err != nil && ctx.Err() == nil {
			s.Log.Warn("keeping events", "err", err)
		}
	}
	if _, err := s.lead(ctx); err != nil && ctx.Err() == nil {
		s.Log.Debug("finding out which service leads", "err", err) // what cannot be written says it louder
	}
	s.keepTurns(ctx)
}

// lookEvery is how often it is looked who has become silent: that is known so soon, and as long as a commit takes.
const lookEvery = 200 * time.Millisecond

// second waits for a second, and looks meanwhile who has become silent.
func (s *Service) second(ctx context.Context, look <-chan time.Time) {
	for left := time.Second / lookEvery; ; left-- {
		select {
		case <-ctx.Done():
			return
		case <-look:
		}
		if left == 1 {
			return
		}
		if s.DB.Stats().Failing == nil { // else once a second is often enough
			s.keepTurns(ctx)
		}
	}
}

// keepTurns writes who has become silent, or is back.
func (s *Service) keepTurns(ctx context.Context) {
	for _, turns := range s.turns(s.Now(), s.Leads()) {
		err := s.DB.PutTurns(ctx, turns)
		if errors.Is(err, sqlstore.ErrFollows) || ctx.Err() != nil {
			return
		}
		if err != nil {
			s.Log.Warn("keeping which nodes are silent; it is tried again", "err", err)
			return
		}
		s.mu.Lock()
		for _, turn := range turns {
			if n, ok := s.nodes[turn.Node]; ok {
				n.shown = turn.Presence
			}
		}
		s.mu.Unlock()
	}
}

// maxTurns is how many nodes are written at once, so that check-ins are written between.
const maxTurns = 500

// turns takes note that the service listens at now, and returns what is to be written of presences, if it leads.
func (s *Service) turns(now time.Time, leads bool) [][]sqlstore.Turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replica.parted = s.replica.parted || !s.inStep(now); !s.inStep(now) { // others may hear nodes that are silent here
		return nil
	}
	back := s.hearing.back
	s.hearing.tick(now, s.longest(), s.replica.parted) // what others heard meanwhile takes a moment to arrive
	s.agenda.all = s.agenda.all || !s.hearing.back.Equal(back)
	s.replica.parted = false
	if !leads {
		return nil
	}
	var turns []sqlstore.Turn
	for _, n := range s.agenda.take(now, s.nodes) {
		at := s.presence(n, now)
		if at == n.shown || !silent(at) && !silent(n.shown) {
			n.shown = at
			s.agenda.put(n, s.lookAgain(n, now))
			continue
		}
		s.agenda.put(n, now) // until it is written
		turn := sqlstore.Turn{Node: n.Name, Presence: at}
		if kind := s.eventOf(n, transition(n.shown, at), now); kind != "" {
			turn.Event = report.Event{At: now.UTC(), Node: n.Name, Kind: kind, Text: fmt.Sprintf("last seen %s", n.seen.UTC().Format(time.RFC3339))}
		}
		turns = append(turns, turn)
	}
	return slices.Collect(slices.Chunk(turns, maxTurns))
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
