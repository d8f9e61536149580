package reporting

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// ListAlerts implements api.Alerts.
func (s *Service) ListAlerts(ctx context.Context) (report.Alerts, error) {
	counts, err := s.DB.OutboxCounts(ctx)
	if err != nil {
		return report.Alerts{}, kept(err)
	}
	a := &s.alerts
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loaded = a.loaded && s.Leads() // the leader may have gone on
	if err := s.loadAlerts(ctx); err != nil {
		return report.Alerts{}, kept(err)
	}
	now := s.Now()
	list := report.Alerts{Alerts: []report.Alert{}, Mutes: []report.Mute{}, Rules: []report.AlertRule{}, BuiltIn: a.builtIn, Receivers: []report.AlertReceiver{}}
	for _, one := range a.state.Alerts {
		list.Alerts = append(list.Alerts, shown(one))
	}
	slices.SortFunc(list.Alerts, func(a, b report.Alert) int {
		return cmp.Or(strings.Compare(a.State, b.State), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Group, b.Group))
	})
	for _, m := range a.mutes {
		if now.Before(m.Until) {
			list.Mutes = append(list.Mutes, m)
		}
	}
	for _, r := range a.rules {
		list.Rules = append(list.Rules, r.AlertRule)
		list.Problems = append(list.Problems, s.ruleProblems(r)...)
	}
	d := s.receivers()
	for _, name := range s.receiverNames() {
		c := counts[name]
		list.Receivers = append(list.Receivers, report.AlertReceiver{Name: name, Kind: d.Kinds[name], Waiting: c.Waiting, Dead: c.Dead, Error: c.Error, Since: c.Since})
	}
	for name, c := range counts {
		if d == nil || d.Senders[name] == nil {
			list.Problems = append(list.Problems, fmt.Sprintf("%d notices wait for the receiver %s, and %d are given up: the service does not know it any more", c.Waiting, name, c.Dead))
		}
	}
	slices.Sort(list.Problems)
	if d == nil {
		list.Problems = append(list.Problems, "nobody is told: the service was started without --alerts")
	} else {
		list.Key = d.Key
	}
	return list, nil
}

// ruleProblems is why a rule does not do what it says.
func (s *Service) ruleProblems(r rule) []string {
	var list []string
	if r.err != nil {
		list = append(list, fmt.Sprintf("%s: its condition cannot be looked at: %s", r.Name, r.err))
	}
	d := s.receivers()
	if d == nil {
		return list
	}
	names := s.receiverNames()
	notify := r.Notify
	if r.Quarantine != nil {
		notify = slices.Concat(notify, r.Quarantine.Notify)
	}
	for _, name := range notify {
		if !slices.Contains(names, name) {
			text := fmt.Sprintf("%s: the service has no receiver %q", r.Name, name)
			if hint := fault.DidYouMean(name, names); hint != "" {
				text += "; " + hint
			}
			list = append(list, text)
		}
	}
	if len(r.Notify) == 0 && len(d.Default) == 0 {
		list = append(list, fmt.Sprintf("%s: nobody is told: it names no receiver, and the service has no default", r.Name))
	}
	return list
}

func shown(a *alert.Alert) report.Alert {
	n, _ := a.Firing()
	out := report.Alert{ID: a.ID, Rule: a.Rule, Group: a.Group, Severity: cmp.Or(a.Severity, "warning"), State: "firing", Since: a.Began, Told: a.Told,
		Inhibited: a.Inhibited, Muted: a.Muted, Count: n, Findings: a.Findings(n > 0, report.MaxListed)}
	if n == 0 {
		out.State, out.Count = "waiting", len(a.Items)
	}
	gone := n > 0
	for _, it := range a.Items {
		if out.Since.IsZero() || n == 0 && it.Since.Before(out.Since) {
			out.Since = it.Since
		}
		gone = gone && (!it.On || !it.Gone.IsZero())
	}
	if gone {
		out.State = "leaving"
	}
	return out
}

// PutAlertRules implements api.Alerts. The rules were checked where they were compiled; here they are bounded.
func (s *Service) PutAlertRules(ctx context.Context, rules []report.AlertRule) error {
	if len(rules) > report.MaxAlertRules {
		return api.Refuse(api.ErrTooLarge, "%d rules of alerts, at most %d", len(rules), report.MaxAlertRules)
	}
	seen := map[string]bool{}
	for _, r := range rules {
		if r.Name == "" || len(r.Name) > 100 || strings.ContainsAny(r.Name, "/\x00") || seen[r.Name] || len(r.GroupBy) > 10 || len(r.Notify) > 100 {
			return api.Refuse(api.ErrBadRequest, "%.140q is not the name of a rule, is named twice, or has too much in it", r.Name)
		}
		seen[r.Name] = true
	}
	a := &s.alerts
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.builtIn || len(rules) > 0 {
		old := []report.AlertRule{}
		for _, r := range a.rules {
			old = append(old, r.AlertRule)
		}
		if string(encoded(old)) == string(encoded(rules)) {
			return nil
		}
	} else {
		return nil
	}
	if err := s.DB.PutNote(ctx, alertRulesKey, rules); err != nil {
		return kept(err)
	}
	s.useRules(rules)
	return nil
}

// maxMute is the longest that alerts are muted at once.
const maxMute = 90 * 24 * time.Hour

// PutMute implements api.Alerts.
func (s *Service) PutMute(ctx context.Context, m report.Mute) (report.Mute, error) {
	now := s.Now().UTC()
	for _, glob := range []string{m.Rule, m.Group} {
		if _, err := path.Match(glob, "a"); err != nil || len(glob) > 300 {
			return m, api.Refuse(api.ErrBadRequest, "%.140q is not a pattern", glob)
		}
	}
	switch {
	case m.Rule == "" && m.Group == "":
		return m, api.Refuse(api.ErrBadRequest, "a mute names a rule, or what was found: * is all of them")
	case strings.TrimSpace(m.Reason) == "" || len(m.Reason) > 1000:
		return m, api.Refuse(api.ErrBadRequest, "a mute needs a reason, of at most 1000 bytes")
	case !m.Until.After(now) || m.Until.After(now.Add(maxMute)):
		return m, api.Refuse(api.ErrBadRequest, "a mute ends later than now, and within %d days", maxMute/(24*time.Hour))
	}
	m.ID, m.At, m.Until = strings.ToLower(rand.Text()[:8]), now, m.Until.UTC()
	err := s.changeMutes(ctx, audit.By(ctx, audit.AlertMuted, m.ID, map[string]string{"rule": m.Rule, "group": m.Group, "reason": m.Reason, "until": m.Until.Format(time.RFC3339)}),
		func(list []report.Mute) ([]report.Mute, error) {
			if len(list) >= report.MaxMutes {
				return nil, api.Refuse(api.ErrTooLarge, "there are %d mutes already, at most %d", len(list), report.MaxMutes)
			}
			return append(list, m), nil
		})
	return m, err
}

// RemoveMute implements api.Alerts.
func (s *Service) RemoveMute(ctx context.Context, id string) error {
	return s.changeMutes(ctx, audit.By(ctx, audit.AlertUnmuted, id, nil), func(list []report.Mute) ([]report.Mute, error) {
		rest := slices.DeleteFunc(slices.Clone(list), func(m report.Mute) bool { return m.ID == id })
		if len(rest) == len(list) {
			return nil, api.Refuse(api.ErrNotFound, "there is no mute %.40q", id)
		}
		return rest, nil
	})
}

func (s *Service) changeMutes(ctx context.Context, act audit.Entry, change func([]report.Mute) ([]report.Mute, error)) error {
	a := &s.alerts
	a.mu.Lock()
	defer a.mu.Unlock()
	now := s.Now()
	list, err := change(slices.DeleteFunc(slices.Clone(a.mutes), func(m report.Mute) bool { return !now.Before(m.Until) }))
	if err != nil {
		return err
	}
	if err := s.DB.PutNoteOf(ctx, mutesKey, list, now, []audit.Entry{act}); err != nil {
		return kept(err)
	}
	a.mutes, a.next = list, time.Time{}
	return nil
}

// TestReceiver implements api.Alerts.
func (s *Service) TestReceiver(ctx context.Context, name string) error {
	names := s.receiverNames()
	d := s.receivers()
	if d == nil || d.Senders[name] == nil {
		refused := api.Refuse(api.ErrNotFound, "the service has no receiver %.100q", name)
		refused.Advice = fault.DidYouMean(name, names)
		return refused
	}
	now := s.Now().UTC()
	id := "test_" + strings.ToLower(rand.Text())
	n := report.Notice{ID: id, Fleet: s.Fleet, At: now, Transitions: []report.Transition{{ID: id, Alert: id, Key: "test/test", Kind: "test", Rule: "test", Group: "test",
		Severity: "info", About: "Somebody asked for this with vigo alert test. Nothing is wrong.", At: now, Since: now}}}
	if err := d.Senders[name].Send(ctx, n); err != nil {
		return api.Refuse(api.ErrUndelivered, "%s", err)
	}
	return nil
}

// DeadNotices implements api.DeadNotices.
func (s *Service) DeadNotices(ctx context.Context, limit int) ([]report.DeadNotice, error) {
	list, err := s.DB.Dead(ctx, limit)
	if err != nil {
		return nil, kept(err)
	}
	dead := make([]report.DeadNotice, len(list))
	for i, o := range list {
		d := report.DeadNotice{To: o.Receiver, Died: o.Died, Tries: o.Tries, Error: o.Error}
		if err := json.Unmarshal(o.Doc, &d.Notice); err != nil {
			d.Notice = report.Notice{ID: o.ID, At: o.At}
		}
		dead[i] = d
	}
	return dead, nil
}

// RetryNotice implements api.DeadNotices.
func (s *Service) RetryNotice(ctx context.Context, id string) error {
	if err := s.DB.Revive(ctx, id, s.Now()); err != nil {
		return kept(err)
	}
	for _, name := range s.receiverNames() {
		s.alerts.bells.ring(name)
	}
	return nil
}

// DropNotice implements api.DeadNotices.
func (s *Service) DropNotice(ctx context.Context, id string) error { return kept(s.DB.Drop(ctx, id)) }
