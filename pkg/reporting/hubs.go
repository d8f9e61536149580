package reporting

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// role is what the certificate of a node or of a hub says.
func role(hub bool) identity.Role {
	if hub {
		return identity.RoleHub
	}
	return identity.RoleNode
}

// sameSort refuses a token for hubs to a node, whose certificate would be good for serving, and the other way about.
func sameSort(g identity.Grant, hub bool) error {
	switch {
	case hub && !g.Hub:
		return api.Refuse(api.ErrToken, "token %s is for nodes, not for hubs: `vigo token create --hub` makes one for a hub", g.ID)
	case g.Hub && !hub:
		return api.Refuse(api.ErrToken, "token %s is for hubs, not for nodes: `vigo token create` makes one for a node", g.ID)
	}
	return nil
}

// expiryOf is until when the first certificate of a PEM chain is valid.
func expiryOf(chain []byte) (time.Time, error) {
	cert, err := identity.ParseChain(chain)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading back a certificate: %w", err)
	}
	return cert.NotAfter.UTC(), nil
}

// How far the word of a hub goes.
const (
	// proof is how old the last check-in may be that a node itself has signed, for the word of its hub to count. Hubs pass
	// one on at least every ten minutes.
	proof = 30 * time.Minute
	// hubInterval is the longest time in which hubs report.
	hubInterval = 10 * time.Second
)

// hubEvery is how often hubs report: four times in the shortest interval of nodes, so that a hub is known to be dark before
// the nodes behind it are, and its word for them is not late. The caller holds the lock.
func (s *Service) hubEvery() time.Duration {
	shortest := s.interval("")
	for name := range s.channels {
		shortest = min(shortest, s.interval(name))
	}
	return max(min(shortest/4, hubInterval), 100*time.Millisecond)
}

// HubReport implements api.Hubs.
func (s *Service) HubReport(_ context.Context, name string, r report.HubReport) (report.HubAnswer, error) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	hub, err := s.active(name)
	if err != nil {
		return report.HubAnswer{}, err
	}
	if !hub.Hub {
		return report.HubAnswer{}, api.Refuse(api.ErrForbidden, "%s is enrolled as a node, not as a hub", name)
	}
	answer := report.HubAnswer{Interval: s.hubEvery()}
	hub.seen, hub.told = now, answer.Interval
	s.expect(hub, now)
	for _, sighting := range r.Seen {
		n, err := s.active(sighting.Node)
		if err != nil || !s.vouched(n, name, now) {
			answer.Verbatim = append(answer.Verbatim, sighting.Node)
			continue
		}
		s.metrics.checkIns.Inc()
		s.rate.add(now)
		if seen := now.Add(-max(0, sighting.Age)); seen.After(n.seen) {
			n.seen = seen
			s.expect(n, now)
			s.DB.PutHot(sqlstore.Hot{Node: n.Name, Seen: n.seen, Told: n.told, Counter: n.window.Highest()})
		}
	}
	r.Seen = nil
	r.Version, r.Trouble = r.Version[:min(len(r.Version), 100)], r.Trouble[:min(len(r.Trouble), 1000)]
	hub.account.Report = r
	return answer, s.keep(hub, nil)
}

// vouched is whether the word of a hub is enough for a node: it has shown itself behind that hub, not too long ago, nothing is to
// be told it, and no rollout waits for another run of it. The caller holds the lock.
func (s *Service) vouched(n *node, hub string, now time.Time) bool {
	if run, after := n.account.Last.Run.ID, n.account.Wish.After; after != "" && (run == "" || run == after) {
		return false
	}
	return !n.Hub && n.account.Last.Hub == hub && now.Sub(n.account.Heard) <= max(proof, 3*n.told) && n.told == s.interval(s.channelOf(n))
}

// wish is that a node is to show another run of its own: each service has the hub that it is behind hand that on, and tells it the leader.
type wish struct {
	At    time.Time `json:"at"`    // when the leader said so last; the newest counts
	After string    `json:"after"` // the run that it is to show another one after; "": none is awaited
}

// later is the one of two wishes that was said last.
func (w wish) later(other wish) wish {
	if other.At.After(w.At) {
		return other
	}
	return w
}

// await has a node show a run of its own after one; "": it need not. The caller holds the lock.
func (s *Service) await(n *node, after string, now time.Time) {
	if n.account.Wish.After == after || after != "" && n.account.Last.Hub == "" && s.replica.feed == nil {
		return // known, or nobody but this service hears it
	}
	n.account.Wish = wish{At: now.UTC(), After: after}
	if err := s.keep(n, nil); err != nil {
		s.Log.Warn("keeping that a run of a node is awaited", "node", n.Name, "err", err)
	}
}

// behindDark is whether a node was last heard of through a hub that is not heard of. The caller holds the lock.
func (s *Service) behindDark(n *node, now time.Time) bool {
	hub, err := s.active(n.account.Last.Hub)
	return n.account.Last.Hub != "" && err == nil && hub.Hub && silent(s.presence(hub, now))
}

// eventOf is the kind of the event for a transition: that of a hub has its own name, and a dark hub is one event, not one
// for each node behind it. The caller holds the lock.
func (s *Service) eventOf(n *node, kind string, now time.Time) string {
	switch {
	case n.Hub && (kind == "node.stale" || kind == "node.missing"):
		return "hub.dark"
	case n.Hub && kind == "node.back":
		return "hub.back"
	case kind == "node.stale" && s.behindDark(n, now):
		return ""
	}
	return kind
}

// hubs lists the hubs with what is wrong with them; behind is how many nodes there are behind each. The caller holds the lock.
func (s *Service) hubs(all []*node, behind map[string]int, now time.Time) ([]report.HubStatus, []report.Problem) {
	var list []report.HubStatus
	var problems []report.Problem
	for _, n := range all {
		if !n.Retired.IsZero() {
			continue
		}
		r := n.account.Report
		h := report.HubStatus{Name: n.Name, Presence: s.presence(n, now), Seen: n.seen, Interval: n.told, Nodes: behind[n.Name],
			Version: r.Version, Spooled: r.Spooled, Mirrors: r.Mirrors, Trouble: r.Trouble}
		list = append(list, h)
		switch {
		case s.maintained(n, h.Presence, now) != nil:
		case silent(h.Presence):
			problems = append(problems, report.Problem{Kind: "dark", Node: h.Name, First: h.Seen,
				Text: fmt.Sprintf("this hub was last heard of %s ago, with %d nodes behind it", now.Sub(h.Seen).Round(time.Second), h.Nodes)})
		case h.Trouble != "":
			problems = append(problems, report.Problem{Kind: "mirror", Node: h.Name, Text: h.Trouble})
		}
	}
	slices.SortFunc(list, func(a, b report.HubStatus) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(problems, func(a, b report.Problem) int { return strings.Compare(a.Node, b.Node) })
	return list, problems
}
