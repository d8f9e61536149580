package reporting

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// rules gives a rig rules that tell at once, one for each event and with the names of the events.
func (r *rig) rules(t *testing.T, rules ...report.AlertRule) {
	t.Helper()
	for i := range rules {
		rules[i].Leave = 0
	}
	must(t, r.PutAlertRules(t.Context(), rules))
}

// firing is what fires, as rule and group, sorted; or what is only explained, with the key of what explains it.
func (r *rig) firing(t *testing.T) []string {
	t.Helper()
	r.alerts.next = time.Time{}
	must(t, r.Alert(t.Context()))
	list, err := r.ListAlerts(t.Context())
	must(t, err)
	names := []string{}
	for _, a := range list.Alerts {
		text := a.Rule + " " + a.Group
		if a.Inhibited != "" {
			text += " by " + a.Inhibited
		}
		names = append(names, text)
	}
	slices.Sort(names)
	return names
}

func every() []report.AlertRule {
	var rules []report.AlertRule
	for _, event := range report.AlertEvents() {
		rules = append(rules, report.NewAlertRule(strings.ReplaceAll(event, ".", "-"), event))
	}
	return rules
}

// TestEvents makes each kind of event happen, and nothing else is found.
func TestEvents(t *testing.T) {
	t.Parallel()
	run := func(n report.Counts) report.Summary { return report.Summary{ID: "1", Counts: n} }
	well := report.CheckIn{Node: "web-1", Bundle: current, Pointer: "1.7", Run: run(report.Counts{OK: 1})}
	for name, c := range map[string]struct {
		change func(*report.CheckIn)
		excess string
		note   func(*report.ChannelNote)
		wait   time.Duration
		want   []string
	}{
		"well":        {},
		"stale":       {wait: 2 * time.Minute, want: []string{"node-stale web-1"}},
		"failed":      {change: func(c *report.CheckIn) { c.Run = run(report.Counts{Failed: 1}) }, want: []string{"compliance-threshold fleet", "node-failed web-1"}},
		"drift":       {change: func(c *report.CheckIn) { c.Run = run(report.Counts{Drift: 1}) }, want: []string{"compliance-threshold fleet", "node-drift web-1"}},
		"quarantine":  {change: func(c *report.CheckIn) { c.Refusals = []report.Refusal{{Name: "rollback"}} }, want: []string{"node-quarantine web-1"}},
		"frozen":      {change: func(c *report.CheckIn) { c.Pointer = "1.6" }, want: []string{"pointer-frozen web-1"}},
		"forked":      {change: func(c *report.CheckIn) { c.Bundle, c.Pointer = older, "1.8" }, want: []string{"pointer-forked web-1"}},
		"excess":      {excess: "it says too much", want: []string{"node-excess web-1"}},
		"expired":     {note: func(n *report.ChannelNote) { n.Expires = noon }, want: []string{"pointer-frozen channel stable"}},
		"no compile":  {note: func(n *report.ChannelNote) { n.Error = "no" }, want: []string{"channel-error channel stable"}},
		"certificate": {note: func(n *report.ChannelNote) { n.Expires = noon.AddDate(0, 1, 0) }, wait: -6 * 24 * time.Hour, want: []string{"certificate-expiring web-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := hooked(t, nil)
			r.rules(t, every()...)
			r.join(t, "web-1")
			n, in := note(), well
			if c.note != nil {
				c.note(&n)
			}
			if c.change != nil {
				c.change(&in)
			}
			r.publish(t, n)
			if c.wait < 0 {
				r.pass(-c.wait)
				r.publish(t, n)
			}
			for i := range 20 {
				r.pass(half)
				in.Seq = int64(i + 1)
				r.checkIn(t, in)
			}
			if c.excess != "" {
				r.tooMuch("web-1", c.excess) // nobody else has the service now
			}
			r.publish(t, n) // the controller is heard of
			r.pass(max(0, c.wait))
			if got := r.firing(t); !slices.Equal(got, append([]string{}, c.want...)) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// TestDarkHub: the nodes behind a dark hub are found, and explained by it: people are told of one thing.
func TestDarkHub(t *testing.T) {
	t.Parallel()
	r, h := hooked(t, nil)
	r.rules(t, report.NewAlertRule("node", report.EventStale), report.NewAlertRule("hub", report.EventDark))
	r.hub(t, "plant")
	for i := range 20 {
		node := fmt.Sprintf("web-%02d", i)
		r.join(t, node)
		r.checkIn(t, report.CheckIn{Node: node, Hub: "plant"})
	}
	r.hubReport(t, "plant")
	r.listenUntil(t, noon.Add(3*time.Minute))
	if got := r.firing(t); len(got) != 21 || got[0] != "hub plant" || got[20] != "node web-19 by hub/plant" {
		t.Errorf("found %q", got)
	}
	r.tellDue(t.Context(), "pager", map[string]bool{})
	is(t, h.kinds(), "firing hub/plant")
}

// TestConditionsAfterAStart: a rule over traits does not take what was not read yet for an answer, and finds the same as before.
func TestConditionsAfterAStart(t *testing.T) {
	t.Parallel()
	type disk struct {
		UsedPercent int64 `json:"used_percent"`
		ReadOnly    bool  `json:"read_only"`
	}
	r, _ := hooked(t, nil)
	r.traits = func(s *expr.Schema) { s.Trait("filesystems", reflect.TypeFor[map[string]disk]()) }
	r.restart(t, 0)
	old := report.NewAlertRule("full-web", report.EventDisk)
	old.Where = `role == "web"`
	r.rules(t, old, report.AlertRule{Name: "db", Where: `role == "db"`}, report.AlertRule{Name: "far", Where: `site == "far"`})
	for i, used := range []int64{95, 94, 100} {
		node := fmt.Sprintf("web-%d", i)
		r.join(t, node)
		f := facet(t, "filesystems", map[string]disk{"/": {UsedPercent: used, ReadOnly: i == 2}})
		r.checkIn(t, report.CheckIn{Node: node, Traits: "x", Facets: map[string]string{"filesystems": f.Digest}})
		must(t, r.PutFacets(t.Context(), node, report.Facets{Node: node, Facets: []trait.Facet{f}}))
	}
	is(t, r.firing(t), "full-web web-0")
	r.restart(t, time.Second)
	is(t, r.firing(t), "full-web web-0")
	list, err := r.ListAlerts(t.Context())
	must(t, err)
	if len(list.Problems) != 1 || !strings.Contains(list.Problems[0], "far: its condition cannot be looked at") {
		t.Errorf("problems %q", list.Problems)
	}
}

// TestMute: a mute is bounded, needs a reason, is in the audit log, and holds over a restart.
func TestMute(t *testing.T) {
	t.Parallel()
	r, h := hooked(t, nil)
	r.rules(t, report.NewAlertRule("node", report.EventStale))
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	for what, m := range map[string]report.Mute{
		"no reason": {Rule: "*", Until: noon.Add(time.Hour)}, "no end": {Rule: "*", Reason: "x"}, "too long": {Rule: "*", Reason: "x", Until: noon.AddDate(1, 0, 0)},
		"of nothing": {Reason: "x", Until: noon.Add(time.Hour)}, "no pattern": {Rule: "[", Reason: "x", Until: noon.Add(time.Hour)},
	} {
		if _, err := r.PutMute(t.Context(), m); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
	_, err := r.PutMute(t.Context(), report.Mute{Group: "web-*", Reason: "a new rack", By: "jane", Until: noon.Add(10 * time.Minute)})
	must(t, err)
	r.restart(t, 0)
	r.alertUntil(t, noon.Add(9*time.Minute))
	is(t, h.kinds())
	r.alertUntil(t, noon.Add(11*time.Minute))
	is(t, h.kinds(), "firing node/web-1")
}

// TestDeadLetter: what nobody takes for a day is given up and listed, and can be tried again.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	r, h := hooked(t, nil)
	r.rules(t, report.NewAlertRule("node", report.EventStale))
	h.refuse = func(int) int { return 503 }
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.listenUntil(t, noon.Add(2*time.Minute))
	is(t, r.firing(t), "node web-1")
	tries := 0
	for ; tries < 100; tries++ {
		dead, err := r.DeadNotices(t.Context(), 10)
		must(t, err)
		if len(dead) > 0 {
			if dead[0].To != "pager" || !strings.Contains(dead[0].Error, "503") || dead[0].Tries != h.n {
				t.Errorf("dead %+v after %d requests", dead[0], h.n)
			}
			break
		}
		r.tellDue(t.Context(), "pager", map[string]bool{})
		if tries == 20 {
			if kinds := r.problemKinds(t); !slices.Contains(kinds, "alert") {
				t.Errorf("problems %q", kinds)
			}
		}
		r.pass(time.Duration(1+tries) * time.Minute)
	}
	if h.n < 30 || r.Now().Sub(noon) < 24*time.Hour {
		t.Errorf("given up after %d requests, at %s", h.n, r.Now())
	}
	h.refuse = func(int) int { return 0 }
	dead, err := r.DeadNotices(t.Context(), 10)
	must(t, err)
	must(t, r.RetryNotice(t.Context(), dead[0].ID))
	r.tellDue(t.Context(), "pager", map[string]bool{})
	is(t, h.kinds(), "firing node/web-1")
}
