package reporting

import (
	"cmp"
	"context"
	"fmt"
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.alerts.rules {
		if skip[i] {
			continue
		}
		facts[r.Name] = s.findings(r.AlertRule, holds[i], now)
	}
	return facts
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

// findings is what a rule is true for; holds is nil when there is no condition. The caller holds the lock of the service.
func (s *Service) findings(r report.AlertRule, holds map[string]bool, now time.Time) []alert.Finding {
	switch r.Event {
	case report.EventThreshold:
		return s.belowThreshold(r, holds, now)
	case report.EventChannel:
		return s.channelFindings(r, now, "channel", "silent")
	}
	var found []alert.Finding
	for _, n := range s.nodes {
		if !n.Retired.IsZero() || holds != nil && !holds[n.Name] || n.Hub != (r.Event == report.EventDark) && r.Event != report.EventExpiring {
			continue
		}
		at := s.presence(n, now)
		if !s.selected(r, n, at) {
			continue
		}
		if text, is := s.happens(r, n, at, now); is {
			found = append(found, s.finding(n, text))
		}
	}
	if r.Event == report.EventFrozen {
		found = append(found, s.channelFindings(r, now, "expired")...)
	}
	return found
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
	return anyOf(r.Presence, at) && anyOf(r.Compliance, n.account.State) && anyOf(r.Channel, s.channelOf(n)) && anyOf(r.Hub, n.account.Last.Hub) &&
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
		return fmt.Sprintf("last seen %s (interval %s)", n.seen.UTC().Format(time.RFC3339), n.told), silent(at)
	case report.EventSetAside:
		texts := []string{}
		for _, refusal := range a.Last.Refusals {
			texts = append(texts, refusal.Name+": "+refusal.Detail)
		}
		return strings.Join(texts, "; "), len(texts) > 0
	case report.EventFailed:
		return a.Reason, a.State == report.ComplianceFailed
	case report.EventDrift:
		return a.Reason, a.State == report.ComplianceDrift
	case report.EventExpiring:
		return "valid until " + n.CertExpires.UTC().Format(time.RFC3339), !silent(at) && !n.CertExpires.IsZero() && n.CertExpires.Sub(now) < r.Within
	case report.EventDisk:
		return fmt.Sprintf("a filesystem is %g %% full or more", r.Full), true
	case report.EventFrozen, report.EventForked:
		if at != report.Live {
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

// belowThreshold finds the groups of nodes of which fewer comply than are to. A node that has not reported a run is not counted.
func (s *Service) belowThreshold(r report.AlertRule, holds map[string]bool, now time.Time) []alert.Finding {
	type tally struct {
		alert.Finding
		all, well int
	}
	groups := map[string]*tally{}
	for _, n := range s.nodes {
		if n.Hub || !n.Retired.IsZero() || holds != nil && !holds[n.Name] || n.account.State == report.ComplianceNever || !s.selected(r, n, s.presence(n, now)) {
			continue
		}
		f := s.finding(n, "")
		f.Subject = "fleet"
		f.Subject = alert.GroupOf(&r, f)
		g := groups[f.Subject]
		if g == nil {
			g = &tally{Finding: f}
			groups[f.Subject] = g
		}
		g.all++
		if n.account.State == report.ComplianceOK || n.account.State == report.ComplianceChanged {
			g.well++
		}
	}
	var found []alert.Finding
	for _, g := range groups {
		if percent := 100 * float64(g.well) / float64(g.all); percent < r.Min {
			g.Text = fmt.Sprintf("%.1f %% of %d nodes comply, not %g %%", percent, g.all, r.Min)
			found = append(found, g.Finding)
		}
	}
	return found
}
