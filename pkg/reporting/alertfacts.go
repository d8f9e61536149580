package reporting

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
)

// facts is what rules are true for now. Rules whose conditions cannot be looked at are left out. The caller holds the lock of the
// alerts.
func (s *Service) facts(ctx context.Context, now time.Time) alert.Facts {
	facts := alert.Facts{}
	holds := make([]map[string]bool, len(s.alerts.rules))
	skip := make([]bool, len(s.alerts.rules))
	for i := range s.alerts.rules {
		r := &s.alerts.rules[i]
		if r.condition() == "" {
			continue
		}
		var err error
		if holds[i], err = s.holds(ctx, r, now); err != nil {
			skip[i] = true
		}
	}
	looks := make([]*look, 0, len(s.alerts.rules))
	for i, r := range s.alerts.rules {
		if !skip[i] {
			looks = append(looks, &look{AlertRule: r.AlertRule, holds: holds[i], groups: map[string]*tally{}})
		}
	}
	s.lookAll(looks, now)
	for _, l := range looks {
		facts[l.Name] = l.found
	}
	return facts
}

// look is a rule that is looked at, with what it has found.
type look struct {
	report.AlertRule
	holds  map[string]bool // nil: there is no condition
	found  []alert.Finding
	groups map[string]*tally // of compliance.threshold
}

// tally counts the nodes of a group.
type tally struct {
	alert.Finding
	all, well int
}

// atOnce is how many nodes are looked at before others, such as check-ins, have their turn.
const atOnce = 1000

// lookAll has rules look at all nodes and channels.
func (s *Service) lookAll(looks []*look, now time.Time) {
	s.mu.Lock()
	nodes := slices.Collect(maps.Values(s.nodes))
	for _, l := range looks {
		switch l.Event {
		case report.EventChannel:
			l.found = s.channelFindings(l.AlertRule, now, "channel", "silent")
		case report.EventFrozen:
			l.found = s.channelFindings(l.AlertRule, now, "expired")
		}
	}
	s.mu.Unlock()
	for some := range slices.Chunk(nodes, atOnce) {
		s.mu.Lock()
		for _, n := range some {
			if !n.Retired.IsZero() {
				continue
			}
			at := s.presence(n, now)
			for _, l := range looks {
				s.look(l, n, at, now)
			}
		}
		s.mu.Unlock()
	}
	for _, l := range looks {
		l.count()
	}
}

// condition is that over labels and traits.
func (r *rule) condition() string {
	if r.Event != report.EventDisk {
		return r.Where
	}
	full := fmt.Sprintf("has(filesystems) && any(values(filesystems), .used_percent >= %g && !.read_only)", r.Full)
	if r.Where == "" {
		return full
	}
	return "(" + r.Where + ") && " + full
}

// holds finds the nodes that the condition of a rule holds for.
func (s *Service) holds(ctx context.Context, r *rule, now time.Time) (map[string]bool, error) {
	if r.cond == nil && (r.err == nil || now.Sub(r.at) >= time.Minute) { // a label that nobody has yet is not known
		r.cond, r.err = expr.Compile(r.condition(), s.querySchema())
		r.at = now
	}
	if r.err != nil {
		return nil, r.err
	}
	switch n := s.behind(); {
	case n > soon:
		return nil, fmt.Errorf("%d documents are still to be read", n)
	case n > 0:
		s.readDocuments(ctx)
	}
	names, err := s.index.Search(ctx, r.cond, s.DB)
	if names == nil && err != nil && ctx.Err() != nil {
		return nil, err
	}
	holds := make(map[string]bool, len(names))
	for _, name := range names {
		holds[name] = true
	}
	return holds, nil
}

// look has a rule look at a node. The caller holds the lock of the service.
func (s *Service) look(l *look, n *node, at report.Presence, now time.Time) {
	switch {
	case l.Event == report.EventChannel || l.holds != nil && !l.holds[n.Name]:
		return
	case n.Hub != (l.Event == report.EventDark) && l.Event != report.EventExpiring:
		return
	case !s.selected(l.AlertRule, n, at):
		return
	case l.Event == report.EventThreshold:
		l.add(s.finding(n, ""), n.account.State)
	default:
		if text, is := s.happens(l.AlertRule, n, at, now); is {
			l.found = append(l.found, s.finding(n, text))
		}
	}
}

func (s *Service) finding(n *node, text string) alert.Finding {
	f := alert.Finding{Hub: n.account.Last.Hub, Channel: s.channelOf(n), Labels: n.Labels}
	if n.Hub {
		f.Hub = n.Name
	}
	f.Subject, f.Text = n.Name, text
	return f
}

// selected is whether a rule looks at a node.
func (s *Service) selected(r report.AlertRule, n *node, at report.Presence) bool {
	return anyOf(r.Presence, at) && anyOf(r.Compliance, n.account.State) && (len(r.Channel) == 0 || slices.Contains(r.Channel, s.channelOf(n))) && anyOf(r.Hub, n.account.Last.Hub) &&
		(len(r.Node) == 0 || slices.ContainsFunc(r.Node, func(glob string) bool { ok, err := path.Match(glob, n.Name); return ok && err == nil }))
}

// anyOf is whether a value is one of a list; an empty list has them all.
func anyOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// happens is whether the event of a rule is so for a node, and what is to be said of it.
func (s *Service) happens(r report.AlertRule, n *node, at report.Presence, now time.Time) (string, bool) {
	a := &n.account
	switch r.Event {
	case "":
		return cmp.Or(a.Reason, fmt.Sprintf("%s, %s", at, a.State)), true
	case report.EventStale, report.EventDark:
		if !silent(at) {
			return "", false
		}
		return fmt.Sprintf("last seen %s (interval %s)", n.seen.UTC().Format(time.RFC3339), n.told), true
	case report.EventSetAside:
		var texts []string
		for _, refusal := range a.Last.Refusals {
			texts = append(texts, refusal.Name+": "+refusal.Detail)
		}
		return strings.Join(texts, "; "), len(texts) > 0
	case report.EventFailed:
		return a.Reason, a.State == report.ComplianceFailed
	case report.EventDrift:
		return a.Reason, a.State == report.ComplianceDrift
	case report.EventExpiring:
		if silent(at) || n.CertExpires.IsZero() || n.CertExpires.Sub(now) >= r.Within {
			return "", false
		}
		return "valid until " + n.CertExpires.UTC().Format(time.RFC3339), true
	case report.EventDisk:
		return fmt.Sprintf("a filesystem is %g %% full or more", r.Full), true
	case report.EventFrozen, report.EventForked:
		if at != report.Live || n.account.Last.Pointer == s.channels[s.channelOf(n)].Pointer { // most nodes, and cheap to know
			return "", false
		}
		kind, text, _ := s.lag(n, s.nodeStatus(n, now), now)
		return text, kind == "frozen" && r.Event == report.EventFrozen || kind == "ahead" && r.Event == report.EventForked
	}
	return "", false
}

// channelFindings are the problems of channels of some kinds.
func (s *Service) channelFindings(r report.AlertRule, now time.Time, kinds ...string) []alert.Finding {
	var found []alert.Finding
	for name, note := range s.channels {
		if !anyOf(r.Channel, name) {
			continue
		}
		for _, p := range s.channelProblems(note, now) {
			if slices.Contains(kinds, p.Kind) {
				f := alert.Finding{Channel: name}
				f.Subject, f.Text = "channel "+name, p.Text[:min(len(p.Text), 1000)]
				found = append(found, f)
			}
		}
	}
	return found
}

// add counts a node for its group. One that has not reported a run is not counted.
func (l *look) add(f alert.Finding, state report.Compliance) {
	if state == report.ComplianceNever {
		return
	}
	f.Subject = "fleet"
	f.Subject = alert.GroupOf(&l.AlertRule, f)
	g := l.groups[f.Subject]
	if g == nil {
		g = &tally{Finding: f}
		l.groups[f.Subject] = g
	}
	g.all++
	if state == report.ComplianceOK || state == report.ComplianceChanged {
		g.well++
	}
}

// count finds the groups of nodes of which fewer comply than are to.
func (l *look) count() {
	for _, g := range l.groups {
		if percent := 100 * float64(g.well) / float64(g.all); percent < l.Min {
			g.Text = fmt.Sprintf("%.1f %% of %d nodes comply, not %g %%", percent, g.all, l.Min)
			l.found = append(l.found, g.Finding)
		}
	}
}
