package alert

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// A play is a state in time, with what was told.
type play struct {
	setup Setup
	state State
	now   time.Time
	told  []report.Transition
}

func newPlay(rules ...report.AlertRule) *play {
	return &play{setup: Setup{Fleet: "acme", Rules: rules, Default: []string{"pager"}, Caps: map[string]Cap{"pager": {Notices: 1 << 20}}}, now: noon}
}

// step lets time pass and then looks once; node names are found behind the hub before the slash, if any.
func (p *play) step(pass time.Duration, facts Facts) []string {
	p.now = p.now.Add(pass)
	c := Step(p.setup, p.state, facts, p.now)
	p.state = p.state.With(c)
	var kinds []string
	for _, n := range c.Notices {
		for _, t := range n.Transitions {
			p.told = append(p.told, t)
			kinds = append(kinds, t.Kind+" "+t.Key)
		}
	}
	return kinds
}

func found(subjects ...string) []Finding {
	list := []Finding{}
	for _, s := range subjects {
		hub, name, ok := strings.Cut(s, "/")
		if !ok {
			hub, name = "", s
		}
		list = append(list, Finding{Finding: report.Finding{Subject: name, Text: "x"}, Hub: hub, Labels: map[string]string{"site": hub}})
	}
	return list
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: told %q, want %q", what, got, want)
	}
}

func rule(name string, change func(*report.AlertRule)) report.AlertRule {
	r := report.NewAlertRule(name, "")
	if change != nil {
		change(&r)
	}
	return r
}

// TestTime: it has to be so for a while before it is told, and to be over for a while; meanwhile there are reminders.
func TestTime(t *testing.T) {
	t.Parallel()
	p := newPlay(rule("r", func(r *report.AlertRule) { r.For, r.Leave = time.Minute, 2*time.Minute }))
	so, not := Facts{"r": found("a")}, Facts{"r": {}}
	expect(t, "begins", p.step(0, so))
	expect(t, "not long enough", p.step(59*time.Second, so))
	expect(t, "over before its time", p.step(time.Second, not))
	expect(t, "begins anew", p.step(time.Second, so))
	expect(t, "long enough", p.step(time.Minute, so), "firing r/a")
	expect(t, "over for a moment", p.step(time.Minute, not))
	expect(t, "again", p.step(time.Minute, so))
	expect(t, "a reminder", p.step(4*time.Hour, so), "repeat r/a")
	expect(t, "could not be looked at", p.step(time.Hour, Facts{}))
	expect(t, "over", p.step(time.Minute, not))
	expect(t, "over for long enough", p.step(2*time.Minute, not), "resolved r/a")
	if len(p.state.Alerts) > 0 {
		t.Errorf("left over: %+v", p.state.Alerts)
	}
}

// TestGroups: one notice for many; those that come later are told together, and it is over when all are.
func TestGroups(t *testing.T) {
	t.Parallel()
	p := newPlay(rule("r", func(r *report.AlertRule) { r.GroupBy, r.Leave = []string{"site"}, 0 }))
	expect(t, "two sites", p.step(0, Facts{"r": found("ams/a", "ams/b", "ber/c")}), "firing r/site=ams", "firing r/site=ber")
	if got := p.told[0]; got.Count != 2 || len(got.Findings) != 2 || got.Findings[0].Subject != "a" {
		t.Errorf("told %+v", got)
	}
	expect(t, "one more, too early", p.step(time.Minute, Facts{"r": found("ams/a", "ams/b", "ams/d", "ber/c")}))
	expect(t, "one more", p.step(4*time.Minute, Facts{"r": found("ams/a", "ams/b", "ams/d", "ber/c")}), "grown r/site=ams")
	expect(t, "fewer", p.step(10*time.Minute, Facts{"r": found("ams/d", "ber/c")}))
	expect(t, "another", p.step(10*time.Minute, Facts{"r": found("ams/e", "ber/c")}), "grown r/site=ams")
	expect(t, "one site is well", p.step(time.Minute, Facts{"r": found("ber/c")}), "resolved r/site=ams")
}

// TestInhibition: nodes behind a dark hub are explained by it; what is still so after it is told then.
func TestInhibition(t *testing.T) {
	t.Parallel()
	p := newPlay(report.NewAlertRule("node", report.EventStale), report.NewAlertRule("hub", report.EventDark))
	dark := []Finding{{Finding: report.Finding{Subject: "ams"}, Hub: "ams"}}
	expect(t, "a hub", p.step(0, Facts{"node": found("ams/a", "ams/b", "ber/c"), "hub": dark}), "firing hub/ams", "firing node/c")
	if a := p.state.Alerts["node/a"]; a.Inhibited != "hub/ams" {
		t.Errorf("explained by %q", a.Inhibited)
	}
	expect(t, "one comes back", p.step(time.Minute, Facts{"node": found("ams/b", "ber/c"), "hub": dark}))
	expect(t, "the hub comes back", p.step(time.Minute, Facts{"node": found("ams/b", "ber/c"), "hub": {}}))
	expect(t, "for good", p.step(time.Minute, Facts{"node": found("ams/b", "ber/c"), "hub": {}}), "resolved hub/ams", "firing node/b")
}

// TestUnsure: while it cannot be said whether it is so, as after the service itself was away, nothing begins and nothing is over.
func TestUnsure(t *testing.T) {
	t.Parallel()
	p := newPlay(rule("r", func(r *report.AlertRule) { r.Leave = time.Minute }))
	expect(t, "a", p.step(0, Facts{"r": found("a")}), "firing r/a")
	unsure := found("a", "b")
	for i := range unsure {
		unsure[i].Unsure = true
	}
	expect(t, "unsure", p.step(time.Minute, Facts{"r": unsure}))
	expect(t, "for long", p.step(time.Hour, Facts{"r": unsure}))
	expect(t, "it is so", p.step(time.Minute, Facts{"r": found("a", "b")}), "firing r/b")
	p.step(time.Minute, Facts{"r": {}})
	expect(t, "it is not", p.step(time.Minute, Facts{"r": {}}), "resolved r/a", "resolved r/b")
}

// TestMutes: nothing is told until they end; what was told before is told to be over also then.
func TestMutes(t *testing.T) {
	t.Parallel()
	p := newPlay(rule("r", func(r *report.AlertRule) { r.Leave = 0 }))
	expect(t, "before", p.step(0, Facts{"r": found("a")}), "firing r/a")
	p.setup.Mutes = []report.Mute{{ID: "m", Rule: "r", Group: "[ab]", Until: noon.Add(time.Hour)}}
	expect(t, "muted", p.step(time.Minute, Facts{"r": found("a", "b", "c")}), "firing r/c")
	expect(t, "over", p.step(time.Minute, Facts{"r": found("b", "c")}), "resolved r/a")
	expect(t, "the mute ends", p.step(time.Hour, Facts{"r": found("b", "c")}), "firing r/b")
	p.setup.Rules = nil
	expect(t, "the rule goes", p.step(time.Minute, Facts{}), "resolved r/b", "resolved r/c")
}

// TestCap: a receiver that was told enough gets the others together; none is left out.
func TestCap(t *testing.T) {
	t.Parallel()
	p := newPlay(rule("r", func(r *report.AlertRule) { r.Leave = 0 }))
	p.setup.Caps["pager"] = Cap{Notices: 3, Gather: time.Minute}
	many := []string{}
	for i := range 40 {
		many = append(many, fmt.Sprintf("n%02d", i))
	}
	expect(t, "at once", p.step(0, Facts{"r": found(many...)}), "firing r/n00", "firing r/n01", "firing r/n02")
	expect(t, "gathered", p.step(59*time.Second, Facts{"r": found(many[1:]...)}))
	if got := p.step(time.Second, Facts{"r": found(many[1:]...)}); len(got) != 38 || got[37] != "resolved r/n00" {
		t.Errorf("together: %q", got)
	}
	expect(t, "later", p.step(10*time.Minute, Facts{"r": found(many[2:]...)}), "resolved r/n01")
	delete(p.setup.Caps, "pager")
	expect(t, "nobody is there", p.step(time.Minute, Facts{"r": {}}))
}

// TestProperties: whatever happens, a step is pure; of each alert it is told that it begins, and then that it is over, in turns;
// no ID is used twice; and when all is well for long enough nothing is left over.
func TestProperties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := newPlay(rule("a", func(r *report.AlertRule) { r.For, r.Leave = seconds(rnd, 60), seconds(rnd, 60) }),
			rule("b", func(r *report.AlertRule) {
				r.GroupBy, r.InhibitedBy, r.Repeat = []string{"hub"}, []string{"a"}, seconds(rnd, 200)
			}))
		p.setup.Caps["pager"] = Cap{Notices: 1 + rnd.IntN(5), Window: time.Minute, Gather: seconds(rnd, 30)}
		for range 300 {
			facts := Facts{}
			for _, name := range []string{"a", "b"} {
				if rnd.IntN(20) > 0 {
					facts[name] = found(some(rnd)...)
				}
			}
			if rnd.IntN(30) == 0 {
				p.setup.Mutes = []report.Mute{{ID: "m", Group: "n1", Until: p.now.Add(seconds(rnd, 100))}}
			}
			before := p.state
			at := p.now.Add(time.Second)
			if one, two := Step(p.setup, before, facts, at), Step(p.setup, before, facts, at); !reflect.DeepEqual(one, two) {
				t.Fatalf("seed %d: two steps differ:\n%+v\n%+v", seed, one, two)
			}
			p.step(time.Second, facts)
		}
		for range 10 {
			p.step(time.Minute, Facts{"a": {}, "b": {}})
		}
		if len(p.state.Alerts) > 0 || len(p.state.Queues["pager"].Waiting) > 0 {
			t.Errorf("seed %d: left over: %+v", seed, p.state)
		}
		turns(t, seed, p.told)
	}
}

func seconds(rnd *rand.Rand, most int) time.Duration {
	return time.Duration(rnd.IntN(most)) * time.Second
}

func some(rnd *rand.Rand) []string {
	var list []string
	for i := range 6 {
		if rnd.IntN(4) == 0 {
			list = append(list, fmt.Sprintf("h%d/n%d", i%2, i))
		}
	}
	return list
}

func turns(t *testing.T, seed uint64, told []report.Transition) {
	t.Helper()
	open, ids := map[string]string{}, map[string]bool{}
	for _, tr := range told {
		if ids[tr.ID] {
			t.Errorf("seed %d: %s twice", seed, tr.ID)
		}
		ids[tr.ID] = true
		switch tr.Kind {
		case "firing":
			if open[tr.Key] != "" {
				t.Errorf("seed %d: %s begins twice", seed, tr.Key)
			}
			open[tr.Key] = tr.Alert
		case "resolved":
			if open[tr.Key] != tr.Alert {
				t.Errorf("seed %d: the end of %s is not that of its beginning", seed, tr.Key)
			}
			delete(open, tr.Key)
		default:
			if open[tr.Key] != tr.Alert {
				t.Errorf("seed %d: %s of %s, which has not begun", seed, tr.Kind, tr.Key)
			}
		}
	}
	if len(open) > 0 || len(told) == 0 {
		t.Errorf("seed %d: %d told, never over: %v", seed, len(told), open)
	}
}

// TestBuiltIn: the usual rules are about events there are, and each says what to do.
func TestBuiltIn(t *testing.T) {
	t.Parallel()
	for _, r := range BuiltIn() {
		if !slices.Contains(report.AlertEvents(), r.Event) || r.About == "" || r.Leave == 0 || r.Repeat == 0 || r.Severity == "" {
			t.Errorf("%+v", r)
		}
	}
}
