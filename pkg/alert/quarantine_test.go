package alert

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// guarded is a rule about silent nodes that puts them in quarantine.
func guarded(until string) report.AlertRule {
	return rule("r", func(r *report.AlertRule) {
		r.For, r.Leave, r.Repeat = time.Minute, time.Minute, 0
		r.InhibitedBy = []string{"hub"}
		r.Quarantine = &report.QuarantineRule{Until: until, Most: 5, Notify: []string{"hook"}}
	})
}

func (p *play) hooked() *play {
	p.setup.Caps["hook"] = Cap{Notices: 1 << 20}
	p.setup.Default = nil // the rule itself tells nobody
	return p
}

// TestQuarantineUntilWell: a node is put in when its time is over, once, and comes out by itself.
func TestQuarantineUntilWell(t *testing.T) {
	t.Parallel()
	p := newPlay(guarded(report.UntilWell)).hooked()
	so, not := Facts{"r": found("a")}, Facts{"r": {}}
	expect(t, "begins", p.step(0, so))
	expect(t, "its time is over", p.step(time.Minute, so), "quarantined node.quarantine/a")
	expect(t, "it goes on", p.step(time.Hour, so))
	expect(t, "it cannot be looked at", p.step(time.Hour, Facts{}))
	expect(t, "it is well for a moment", p.step(time.Minute, not))
	expect(t, "it is not", p.step(time.Second, so))
	expect(t, "it is well", p.step(time.Second, not))
	expect(t, "for long enough", p.step(time.Minute, not), "released node.quarantine/a")
	if len(p.state.Quarantined) > 0 || p.told[0].Alert != p.told[1].Alert || p.told[0].ID == p.told[1].ID {
		t.Errorf("left over %+v, told %+v", p.state.Quarantined, p.told)
	}
}

// TestQuarantineUntilReleased: it stays in though it is well, until a person lets it out; and is not put in again for what they knew.
func TestQuarantineUntilReleased(t *testing.T) {
	t.Parallel()
	p := newPlay(guarded(report.UntilReleased)).hooked()
	so, not := Facts{"r": found("a")}, Facts{"r": {}}
	release := func() bool {
		c, ok := Release(p.setup, p.state, "a", "jane", p.now)
		p.state = p.state.With(c)
		if ok && (len(c.Notices) != 1 || c.Notices[0].Transitions[0].Kind != "released" || len(c.Events) != 1 || c.Events[0].Kind != "node.released") {
			t.Errorf("released with %+v", c)
		}
		return ok
	}
	p.step(0, so)
	expect(t, "in", p.step(time.Minute, so), "quarantined node.quarantine/a")
	expect(t, "well", p.step(time.Minute, not))
	expect(t, "for long", p.step(time.Hour, not))
	if len(p.state.Quarantined) != 1 || !release() || len(p.state.Quarantined) != 0 || release() {
		t.Errorf("released: %+v", p.state.Quarantined)
	}
	p.step(time.Minute, so)
	expect(t, "in again", p.step(time.Minute, so), "quarantined node.quarantine/a")
	if !release() || release() {
		t.Error("it is released once")
	}
	expect(t, "still so", p.step(time.Hour, so))
	p.step(time.Second, not)
	expect(t, "well", p.step(time.Minute, not))
	p.step(time.Hour, so)
	expect(t, "another time", p.step(time.Minute, so), "quarantined node.quarantine/a")
}

// TestQuarantineIsBounded: an accident of the network does not take a fleet out of service: what a dark hub explains and what is in
// maintenance is left alone, and of others only a share is put in.
func TestQuarantineIsBounded(t *testing.T) {
	t.Parallel()
	p := newPlay(guarded(report.UntilWell), report.NewAlertRule("hub", report.EventDark)).hooked()
	p.setup.Nodes = 100
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("n%02d", i))
	}
	silent := append(found(many...), found("ams/x", "ams/y")...)
	maintained := found("m")
	maintained[0].Maintained = "works"
	facts := Facts{"r": append(silent, maintained...), "hub": {{Finding: report.Finding{Subject: "ams"}, Hub: "ams"}}}
	p.step(0, facts)
	got := p.step(time.Minute, facts)
	if len(got) != 5 || !slices.IsSorted(got) || got[4] != "quarantined node.quarantine/n04" {
		t.Errorf("told %q", got)
	}
	if c := Step(p.setup, p.state, facts, p.now.Add(time.Second)); c.Held["r"] != 35 || len(c.Quarantined) > 0 {
		t.Errorf("%d are held back, %d more are put in", c.Held["r"], len(c.Quarantined))
	}
	p.setup.Nodes = 3
	p.state = State{}
	p.step(0, Facts{"r": found("a", "b"), "hub": {}})
	expect(t, "of a small fleet one", p.step(time.Minute, Facts{"r": found("a", "b"), "hub": {}}), "quarantined node.quarantine/a")
}
