package reporting

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/rollout"
)

const (
	// leastControl is how many nodes without the candidate must be there to compare with; with fewer, one odd node would decide.
	leastControl = 3
	// mostControl is how many are looked at: the last of the order, which stay the same for as long as possible.
	mostControl = 1000
)

// measures are the checks of a rollout, compiled.
type measures struct {
	id     string // of the rollout
	until  time.Time
	checks []*expr.Check
	errs   []error
	runs   bool // one of them looks at runs
	// order are the nodes, those that the rollout reaches last first; nil: nothing is compared.
	order []string
}

// measuresOf compiles the checks, and again after a minute: labels that nobody has yet are not known.
func (s *Service) measuresOf(c *rolling, now time.Time) *measures {
	if g := c.measures; g != nil && g.id == c.state.ID && now.Before(g.until) {
		return g
	}
	g := &measures{id: c.state.ID, until: now.Add(time.Minute)}
	schema := s.querySchema()
	schema.Trait("run", reflect.TypeFor[rollout.Result]())
	for _, check := range c.state.Spec.Checks {
		one, err := expr.CompileCheck(check.Expr, schema)
		g.checks, g.errs = append(g.checks, one), append(g.errs, err)
		g.runs = g.runs || err == nil && one.Looks("run")
		if g.order == nil && err == nil && len(one.Terms) > 0 {
			g.order = s.order(c)
		}
	}
	c.measures = g
	return g
}

// measured is what the checks say of the nodes that have reported since they were looked at last.
type measured struct {
	failing []map[string]bool    // by check
	seen    map[string]time.Time // of the report that was looked at
}

// of is when a node was last seen, as far as its checks were looked at: a report that came meanwhile is for the next step.
func (m measured) of(n *node, p rollout.Progress) time.Time {
	if at, looked := m.seen[n.Name]; m.seen == nil || looked && at.Equal(n.seen) || !n.seen.After(p.Seen) {
		return n.seen
	} else if looked {
		return at
	}
	return p.Seen
}

// measure finds, for each check, the nodes for which it does not hold. One that cannot be looked at, or has nothing to compare
// with, is unsure: it fails nobody, and lets nobody pass.
func (s *Service) measure(ctx context.Context, c *rolling, in *rollout.Snapshot) (m measured) {
	checks := c.state.Spec.Checks
	if len(checks) == 0 || c.state.Phase.Over() {
		return m
	}
	in.Unsure, in.Control = map[string]string{}, map[string]float64{}
	m.failing = make([]map[string]bool, len(checks))
	switch n := s.behind(); {
	case n > soon:
		for _, check := range checks {
			in.Unsure[check.Name] = fmt.Sprintf("%d documents of nodes, or nodes, are still to be read", n)
		}
		return m
	case n > 0:
		s.readDocuments(ctx, false)
	}
	g := s.measuresOf(c, in.Now)
	seen, without := s.sides(c, in.Now)
	with := slices.Sorted(maps.Keys(seen))
	m.seen = seen
	runs := inventory.Known{Name: "run", Doc: func(string) string { return "" }}
	if g.runs {
		docs := s.runsOf(append(slices.Clone(with), without...))
		runs.Doc = func(node string) string { return docs[node] }
	}
	for i, check := range checks {
		cond, err := s.compared(ctx, g, i, c, in, without, runs)
		if err != nil {
			in.Unsure[check.Name] = clipped(err.Error())
			continue
		}
		names, err := s.index.Among(ctx, cond, with, s.DB, runs)
		if err != nil && names == nil {
			in.Unsure[check.Name] = clipped(err.Error())
			continue
		}
		m.failing[i] = map[string]bool{}
		for _, name := range with {
			if _, holds := slices.BinarySearch(names, name); !holds {
				m.failing[i][name] = true
			}
		}
	}
	return m
}

// compared puts the values of the nodes without the candidate into a check: those of now, or when there are too few, the last.
func (s *Service) compared(ctx context.Context, g *measures, i int, c *rolling, in *rollout.Snapshot, without []string, runs inventory.Known) (*expr.Cond, error) {
	if g.errs[i] != nil {
		return nil, g.errs[i]
	}
	values := make([]float64, 0, len(g.checks[i].Terms))
	for _, term := range g.checks[i].Terms {
		numbers, err := s.index.Numbers(ctx, term, without, s.DB, runs)
		if err != nil {
			return nil, err
		}
		value, known := c.state.Control[term.String()]
		if len(numbers) >= leastControl {
			value, known = median(numbers), true
			in.Control[term.String()] = value
		}
		if !known {
			return nil, fmt.Errorf("%d nodes without the candidate have %s, and at least %d are needed to compare with", len(numbers), term, leastControl)
		}
		values = append(values, value)
	}
	return g.checks[i].With(values)
}

// median is the middle one: a single node that is far off does not move it.
func median(numbers []float64) float64 {
	slices.Sort(numbers)
	n := len(numbers)
	if n%2 == 1 {
		return numbers[n/2]
	}
	return (numbers[n/2-1] + numbers[n/2]) / 2
}

// sides are the nodes that have the candidate and have reported since they were looked at last, and a sample of those that live
// and have not taken it. The caller does not hold the lock.
func (s *Service) sides(c *rolling, now time.Time) (with map[string]time.Time, without []string) {
	with = map[string]time.Time{}
	s.eachNode(func(n *node) {
		if !s.rolledBy(c, n) {
			return
		}
		if p := c.state.Nodes[n.Name]; n.seen.After(p.Seen) && (p.Adopted || n.account.Last.Bundle == c.state.Candidate) {
			with[n.Name] = n.seen
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range c.measures.order {
		n := s.nodes[name]
		if n == nil || !s.rolledBy(c, n) || s.adopted(c, n) || n.account.Last.Adopting == c.state.Candidate || !n.live(now) || s.covered(n) != nil {
			continue
		}
		if without = append(without, name); len(without) == mostControl {
			break
		}
	}
	return with, without
}

// rolledBy reports whether a rollout is about a node. The caller holds the lock.
func (s *Service) rolledBy(c *rolling, n *node) bool {
	return n.Retired.IsZero() && !n.Hub && s.channelOf(n) == c.channel
}

// adopted reports whether a node has, or had, the candidate. The caller holds the lock.
func (s *Service) adopted(c *rolling, n *node) bool {
	return n.account.Last.Bundle == c.state.Candidate || c.state.Nodes[n.Name].Adopted
}

// order are the nodes in the opposite of the order in which the rollout reaches them.
func (s *Service) order(c *rolling) []string {
	type placed struct {
		name   string
		bucket rollout.Bucket
	}
	var all []placed
	s.eachNode(func(n *node) {
		if s.rolledBy(c, n) {
			all = append(all, placed{n.Name, rollout.BucketOf(c.state.Salt, n.Name)})
		}
	})
	slices.SortFunc(all, func(a, b placed) int { return cmp.Or(cmp.Compare(b.bucket, a.bucket), cmp.Compare(a.name, b.name)) })
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.name
	}
	return names
}

// runsOf is the last run of each of some nodes, as checks look at it.
func (s *Service) runsOf(names []string) map[string]string {
	results := make(map[string]rollout.Result, len(names))
	s.mu.Lock()
	for _, name := range names {
		n := s.nodes[name]
		if n == nil || n.account.Last.Run.ID == "" {
			continue
		}
		run := n.account.Last.Run
		k := run.Counts
		r := rollout.Result{OK: k.OK, Changed: k.Changed, Corrected: k.Corrected, Failed: k.Failed, Skipped: k.Skipped, Drift: k.Drift, Seconds: run.Took.Seconds(), Error: run.Error}
		if k.Failed > 0 {
			r.Failing = slices.Sorted(maps.Keys(n.account.Failed))
		}
		results[name] = r
	}
	s.mu.Unlock()
	docs := make(map[string]string, len(results))
	for name, r := range results {
		if doc, err := json.Marshal(r); err == nil {
			docs[name] = string(doc)
		}
	}
	return docs
}
