package reporting

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

const (
	// LeastRetireAfter is the shortest silence after which a node is retired by itself: it is for ever, and hasty is worse than late.
	LeastRetireAfter = time.Hour
	// retireAtOnce bounds the nodes that are retired in one look, which is each minute.
	retireAtOnce = 500
)

// Retire implements api.Admin.
func (s *Service) Retire(ctx context.Context, name string) error {
	if err := s.retire(ctx, name, ""); err != nil {
		return kept(err)
	}
	s.metrics.retired.WithLabelValues("person").Inc()
	s.Log.Info("a node was retired", "node", name)
	return nil
}

func (s *Service) retire(ctx context.Context, name, why string) error {
	now := s.Now()
	if err := s.DB.Retire(ctx, name, why, now); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.nodes[name]; ok {
		n.Retired = now.UTC()
		s.expect(n, now)
		s.indexed(n)
	}
	return nil
}

// retireSilent retires nodes that have not been heard of for as long as their token, or else the service, gives them. Only the leader
// does. Nobody is retired while the silence may be that of something else: this service was down, their hub is dark, somebody works on
// them, or no node at all is heard of. Hubs are retired by people.
func (s *Service) retireSilent(ctx context.Context) {
	for _, name := range s.goneForGood(s.Now()) {
		s.mu.Lock()
		n, err := s.active(name)
		why, gone := "", false
		if err == nil {
			why, gone = s.gone(n, s.Now())
		}
		s.mu.Unlock()
		if !gone {
			continue // it came back in this moment
		}
		if err := s.retire(ctx, name, why); err != nil {
			if ctx.Err() == nil {
				s.Log.Warn("retiring a node that is gone; it is tried again", "node", name, "err", err)
			}
			return
		}
		s.metrics.retired.WithLabelValues("silence").Inc()
		s.Log.Info("a node was retired", "node", name, "why", why)
	}
}

// goneForGood are the names of the nodes to retire now.
func (s *Service) goneForGood(now time.Time) []string {
	var names []string
	heard := false
	s.eachNode(func(n *node) {
		heard = heard || !n.Hub && n.Retired.IsZero() && s.presence(n, now) == report.Live
		if len(names) == retireAtOnce {
			return
		}
		if _, gone := s.gone(n, now); gone {
			names = append(names, n.Name)
		}
	})
	if !heard {
		return nil
	}
	return names
}

// retireAfter is how long a node may not be heard of; 0: as long as it likes.
func (s *Service) retireAfter(n *node) time.Duration {
	if n.Hub {
		return 0
	}
	return cmp.Or(n.RetireAfter, s.RetireAfter)
}

// gone is whether a node is to be retired because of its silence, and why. The caller holds the lock.
func (s *Service) gone(n *node, now time.Time) (why string, gone bool) {
	after := s.retireAfter(n)
	if after <= 0 || !n.Retired.IsZero() || !s.inStep(now) || now.Before(s.hearing.amnesty(s.longest())) {
		return "", false
	}
	last, since := n.seen, "last seen"
	if last.IsZero() { // it has joined, and was never heard of
		last, since = n.Enrolled, "enrolled"
	}
	if now.Sub(s.hearing.heard(last)) < max(after, 3*n.told) || s.maintained(n, s.presence(n, now), now) != nil || s.behindDark(n, now) {
		return "", false
	}
	rule := "--retire-after of the service is " + after.String()
	if n.RetireAfter > 0 {
		rule = fmt.Sprintf("token %s gives its nodes %s", n.Token, after)
	}
	return fmt.Sprintf("%s %s; %s", since, last.UTC().Format(time.RFC3339), rule), true
}

// forgetRetired forgets nodes whose retirement is long ago. Only the leader does.
func (s *Service) forgetRetired(ctx context.Context) {
	now := s.Now()
	names, err := s.DB.Forget(ctx, s.Keep.Retired, now)
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("forgetting retired nodes; it is tried again", "err", err)
	}
	if len(names) == 0 {
		return
	}
	s.mu.Lock()
	for _, name := range names {
		if n, ok := s.nodes[name]; ok && !n.Retired.IsZero() { // else another machine has joined under the name since
			s.leave(n)
		}
	}
	s.mu.Unlock()
	s.metrics.forgotten.Add(float64(len(names)))
	s.Log.Info("retired nodes were forgotten", "nodes", len(names), "first", names[0])
	e := report.Event{At: now.UTC(), Kind: "nodes.forgotten", Text: forgottenText(names)}
	if err := s.DB.PutEvents(ctx, e); err != nil && ctx.Err() == nil {
		s.Log.Warn("keeping events", "err", err)
	}
}

// namedForgotten is how many names the event of forgotten nodes has.
const namedForgotten = 10

func forgottenText(names []string) string {
	text := strings.Join(names[:min(len(names), namedForgotten)], ", ")
	if more := len(names) - namedForgotten; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// takeAbsent forgets nodes that were here before the store was read, and are not in it: another service has forgotten them. The caller
// holds the lock.
func (s *Service) takeAbsent(before []*node, there map[string]bool) {
	for _, n := range before {
		if !there[n.Name] && s.nodes[n.Name] == n {
			s.leave(n)
		}
	}
}

// hereOf are the nodes of some names that are here; nil: all.
func (s *Service) hereOf(names []string, all bool) []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	var here []*node
	for _, name := range names {
		if n, ok := s.nodes[name]; ok {
			here = append(here, n)
		}
	}
	if all {
		here = slices.DeleteFunc(slices.Clone(s.entered), func(n *node) bool { return n == nil })
	}
	return here
}

// checkRetireAfter refuses a silence that is no time to wait.
func checkRetireAfter(after time.Duration) error {
	if after < 0 || after > 0 && after < LeastRetireAfter {
		return api.Refuse(api.ErrBadRequest, "retire after %s: at least %s, or 0 for what the service says", after, LeastRetireAfter)
	}
	return nil
}
