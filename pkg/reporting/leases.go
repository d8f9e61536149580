package reporting

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
)

const (
	// leasesEvery is how often it is looked who is back.
	leasesEvery = 3 * time.Second
	// heardEvery is how often it is kept that a node still waits.
	heardEvery = 5 * time.Minute
	// membersFor is how long the size of a group is remembered.
	membersFor = 30 * time.Second
)

// leases is what a service remembers of the turns to reboot; the truth is in the store.
type leases struct {
	known   atomic.Pointer[map[string]lease.Lease] // by node, as of the last look; nil: nobody looked yet
	mu      sync.Mutex
	members map[string]counted // by group
}

type counted struct {
	n     int
	until time.Time
}

// AskReboot implements api.Reboots.
func (s *Service) AskReboot(ctx context.Context, a lease.Ask) (lease.Answer, error) {
	now := s.Now().UTC()
	s.mu.Lock()
	n, err := s.active(a.Node)
	if err != nil {
		s.mu.Unlock()
		return lease.Answer{}, err
	}
	failing := n.account.State == report.ComplianceFailed
	s.mu.Unlock()
	slots := lease.Slots(a.AtOnce, 0)
	if a.AtOnce.Percent > 0 {
		members, err := s.groupSize(a.Group, now)
		if err != nil {
			return lease.Answer{}, err
		}
		slots = lease.Slots(a.AtOnce, members)
	}
	answer := lease.Answer{Node: a.Node, Nonce: a.Nonce}
	err = s.DB.ChangeLease(ctx, a.Node, a.Group, now, func(own *lease.Lease, held []lease.Lease) (c sqlstore.LeaseChange) {
		if a.Back {
			return givenBack(a, own, now)
		}
		next, why := lease.Take(a, own, held, slots, failing, now)
		answer.Granted, answer.Until, answer.Why = why == "", next.Until, why
		switch {
		case next.Held() && (own == nil || !own.Held()):
			text := fmt.Sprintf("one of %d at once of %s: %s", slots, a.Group, a.Why)
			c.Events = append(c.Events, report.Event{At: now, Node: a.Node, Kind: "reboot.granted", Text: text})
		case !next.Held() && own != nil && own.Group == a.Group && own.Boot == a.Boot && now.Sub(own.Heard) < heardEvery:
			return c // it waits, as is known
		}
		c.Put = &next
		return c
	})
	if err != nil {
		return lease.Answer{}, kept(err)
	}
	return api.SealReboot(answer, s.CA)
}

// givenBack frees the place of a node that did not reboot after all.
func givenBack(a lease.Ask, own *lease.Lease, now time.Time) (c sqlstore.LeaseChange) {
	if own == nil || own.Boot != a.Boot {
		return c
	}
	c.Drop = true
	if own.Held() {
		c.Events = append(c.Events, report.Event{At: now, Node: a.Node, Kind: "reboot.returned", Text: "it did not reboot: " + a.Why})
	}
	return c
}

// groupSize counts the nodes of a group that are not missing.
func (s *Service) groupSize(group string, now time.Time) (int, error) {
	l := &s.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.members[group]; ok && now.Before(c.until) {
		return c.n, nil
	}
	facet, err := trait.FacetOf(report.RebootsTrait, report.RebootDoc{Group: group})
	if err != nil {
		return 0, err
	}
	count := 0
	s.eachNode(func(n *node) {
		if n.facets[report.RebootsTrait] != facet.Digest || n.Hub || !n.Retired.IsZero() {
			return
		}
		if at := s.presence(n, now); at != report.Missing && at != report.Never {
			count++
		}
	})
	maps.DeleteFunc(l.members, func(_ string, c counted) bool { return !now.Before(c.until) })
	if l.members == nil {
		l.members = map[string]counted{}
	}
	l.members[group] = counted{count, now.Add(membersFor)}
	return count, nil
}

// ListReboots implements api.Reboots.
func (s *Service) ListReboots(ctx context.Context) ([]report.Reboot, error) {
	known, err := s.DB.Leases(ctx)
	if err != nil {
		return nil, kept(err)
	}
	list := make([]report.Reboot, 0, len(known))
	for _, l := range known {
		list = append(list, rebootOf(l))
	}
	return list, nil
}

func rebootOf(l lease.Lease) report.Reboot {
	r := report.Reboot{Node: l.Node, Group: l.Group, State: report.RebootWaits, Why: l.Why, Asked: l.Asked, Since: l.Since, Until: l.Until, Text: l.Reason}
	if l.Held() {
		r.State = report.Reboots
	}
	if !l.Overdue.IsZero() {
		r.State = report.RebootOverdue
	}
	return r
}

// ReleaseReboot implements api.Reboots.
func (s *Service) ReleaseReboot(ctx context.Context, node string) error {
	now, found := s.Now().UTC(), false
	act := audit.By(ctx, audit.RebootReleased, node, nil)
	err := s.DB.ChangeLease(ctx, node, "", now, func(own *lease.Lease, _ []lease.Lease) sqlstore.LeaseChange {
		if own == nil {
			return sqlstore.LeaseChange{}
		}
		found = true
		act.Detail = map[string]string{"group": own.Group, "state": rebootOf(*own).State}
		return sqlstore.LeaseChange{Drop: true, Acts: []audit.Entry{act}, Events: []report.Event{{At: now, Node: node, Kind: "reboot.released", Text: "by " + act.Actor}}}
	})
	if err != nil {
		return kept(err)
	}
	if !found {
		return api.Refuse(api.ErrNotFound, "%.80q neither reboots in turn nor waits for that", node)
	}
	return s.lookAtLeases(ctx)
}

// keepLeases frees the places of nodes that are back, until ctx ends.
func (s *Service) keepLeases(ctx context.Context) {
	tick := time.NewTicker(leasesEvery)
	defer tick.Stop()
	works := true
	for {
		err := s.lookAtLeases(ctx)
		if err != nil && works && ctx.Err() == nil {
			s.Log.Error("looking which nodes are back from a reboot; it does not say so again until it works", "err", err, "hint", fault.Hints(err))
		}
		works = err == nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lookAtLeases takes the leases over from the store, and changes those of which more is known by now, if this service leads.
func (s *Service) lookAtLeases(ctx context.Context) error {
	list, err := s.readLeases(ctx)
	if err != nil || !s.Leads() {
		return err
	}
	now, ended := s.Now().UTC(), false
	for _, l := range list {
		f, blind := s.rebootFact(l.Node, now)
		word, _ := l.Look(f, now)
		if word == lease.Stays || blind && word != lease.Back {
			continue
		}
		ended = true
		if err := s.endLease(ctx, l.Node, f, now); err != nil {
			return err
		}
	}
	if ended {
		_, err = s.readLeases(ctx)
	}
	return err
}

// readLeases reads what the store holds, and remembers it.
func (s *Service) readLeases(ctx context.Context) ([]lease.Lease, error) {
	list, err := s.DB.Leases(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]lease.Lease, len(list))
	for _, l := range list {
		known[l.Node] = l
	}
	s.leases.known.Store(&known)
	return list, nil
}

// rebootFact is what is known of a node, and whether its silence says nothing because this service was away itself.
func (s *Service) rebootFact(name string, now time.Time) (f lease.Fact, blind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	blind = !s.inStep(now) || s.deaf(now)
	n, err := s.active(name)
	if err != nil {
		return f, blind
	}
	last := &n.account.Last
	return lease.Fact{Known: true, Live: !n.seen.IsZero() && now.Sub(n.seen) <= 3*n.told, Seen: n.seen, Boot: last.Boot,
		Ran: last.Run.ID != "", Well: n.account.State != report.ComplianceFailed}, blind
}

// endLease decides again by what the store has by now: the node may have asked meanwhile.
func (s *Service) endLease(ctx context.Context, name string, f lease.Fact, now time.Time) error {
	err := s.DB.ChangeLease(ctx, name, "", now, func(own *lease.Lease, _ []lease.Lease) (c sqlstore.LeaseChange) {
		if own == nil {
			return c
		}
		word, reason := own.Look(f, now)
		tell := func(kind, text string) {
			c.Events = append(c.Events, report.Event{At: now, Node: name, Kind: "reboot." + kind, Text: text})
		}
		switch word {
		case lease.Stays:
			return c
		case lease.TooLate:
			next := *own
			next.Overdue, next.Reason = now, reason
			c.Put = &next
			if own.Overdue.IsZero() {
				tell("overdue", fmt.Sprintf("%s, %s after it was to be back; its place of %s stays taken", reason, now.Sub(own.Until).Round(time.Second), own.Group))
			} else {
				next.Overdue = own.Overdue
			}
			return c
		case lease.Back:
			tell("back", fmt.Sprintf("after %s", now.Sub(own.Since).Round(time.Second)))
		case lease.Unused, lease.Gone:
			if own.Held() {
				tell(string(word), reason)
			}
		}
		c.Drop = true
		return c
	})
	return kept(err)
}

// leaseOf is the lease of a node, if it has one, as of the last look.
func (s *Service) leaseOf(name string) (lease.Lease, bool) {
	known := s.leases.known.Load()
	if known == nil {
		return lease.Lease{}, false
	}
	l, ok := (*known)[name]
	return l, ok
}

// rebooting is whether a node has a place to reboot, and is not overdue: that it is silent is what it said.
func (s *Service) rebooting(name string) bool {
	l, ok := s.leaseOf(name)
	return ok && l.Held() && l.Overdue.IsZero()
}

// rebootTold is the lease of a node as people are told of it.
func (s *Service) rebootTold(name string) *report.Reboot {
	l, ok := s.leaseOf(name)
	if !ok {
		return nil
	}
	told := rebootOf(l)
	return &told
}

// rebootsNow counts who reboots, and tells of those that are not back.
func (s *Service) rebootsNow() (counts report.RebootCounts, problems []report.Problem) {
	known := s.leases.known.Load()
	if known == nil {
		return counts, nil
	}
	for _, name := range slices.Sorted(maps.Keys(*known)) {
		switch l := (*known)[name]; {
		case !l.Held():
			counts.Waiting++
		case l.Overdue.IsZero():
			counts.Now++
		default:
			counts.Now++
			counts.Overdue++
			problems = append(problems, report.Problem{Kind: "reboot", Node: name, First: l.Overdue,
				Text: fmt.Sprintf("was to be back from its reboot by %s: %s; its place of %s stays taken", l.Until.Format("15:04 MST"), l.Reason, l.Group)})
		}
	}
	return counts, problems
}
