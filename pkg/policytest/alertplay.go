package policytest

import (
	"fmt"
	"io/fs"
	"slices"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// RunAlerts runs the tests in alerts/tests of a repository, by file. Time is not waited for. A rule is judged by the code by which
// the report service does.
func RunAlerts(l catalog.Language, p *policy.Policy, fsys fs.FS) ([]Result, error) {
	files, err := fs.Glob(fsys, "alerts/tests/*.yaml")
	if err != nil || len(files) == 0 {
		return nil, err
	}
	rules, err := policy.LoadAlerts(fsys)
	if err != nil {
		return nil, err
	}
	schema := l.Schema.Clone()
	for _, label := range p.Fleet.Labels {
		schema.Label(label)
	}
	conds := map[string]*expr.Cond{}
	for _, r := range rules {
		where := alert.Condition(&r)
		if where == "" {
			continue
		}
		if conds[r.Name], err = expr.Compile(where, schema); err != nil {
			return nil, fmt.Errorf("alerts/%s.yaml: %w", r.Name, err)
		}
	}
	var results []Result
	for _, file := range files {
		r := Result{File: file}
		data, err := readFile(fsys, file)
		if err != nil {
			return nil, err
		}
		t, problems := readAlertTest(file, data, rules)
		if r.About = t.About; len(problems) == 0 {
			problems = playAlerts(file, t, rules, conds)
		}
		for _, p := range problems {
			r.Failures = append(r.Failures, p.Error())
		}
		results = append(results, r)
	}
	return results, nil
}

func readFile(fsys fs.FS, file string) ([]byte, error) {
	info, err := fs.Stat(fsys, file)
	if err != nil {
		return nil, err
	}
	if info.Size() > policy.MaxDocument {
		return nil, fmt.Errorf("reading %s: it has %d bytes, more than the %d that are allowed", file, info.Size(), policy.MaxDocument)
	}
	return fs.ReadFile(fsys, file)
}

// noon is when tests of alerts begin.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// play is a test under way.
type play struct {
	test  AlertTest
	setup alert.Setup
	world world
	state alert.State
	told  []report.Transition
	to    [][]string // receivers of each
	seen  []state    // after each step
}

// state is how it is from a time on.
type state struct {
	at     time.Time
	alerts map[string]*alert.Alert
}

func playAlerts(file string, t AlertTest, rules []report.AlertRule, conds map[string]*expr.Cond) fault.Problems {
	p := &play{test: t, world: world{conds: conds, subjects: map[string]*known{}, channels: map[string]ChannelFacts{}, rollouts: map[string]rollout.State{}}}
	p.setup = alert.Setup{Fleet: "test", Default: []string{"default"}, Caps: map[string]alert.Cap{"default": {Notices: 1 << 30}}}
	for _, r := range rules {
		if len(t.Rules) > 0 && !slices.Contains(t.Rules, r.Name) {
			continue
		}
		p.setup.Rules = append(p.setup.Rules, r)
		notify := r.Notify
		if r.Quarantine != nil {
			notify = slices.Concat(notify, r.Quarantine.Notify)
		}
		for _, name := range notify {
			p.setup.Caps[name] = alert.Cap{Notices: 1 << 30}
		}
	}
	if err := p.run(); err != nil {
		return fault.Problems{{Pos: fault.Pos{File: file}, Msg: err.Error()}}
	}
	return p.compare(file)
}

// end is until when it is played.
func (p *play) end() time.Time {
	if p.test.Until > 0 {
		return noon.Add(p.test.Until)
	}
	last := time.Duration(0)
	for _, s := range p.test.Timeline {
		last = max(last, s.At)
	}
	for _, e := range p.test.Expect {
		last = max(last, e.At)
	}
	return noon.Add(last + time.Hour)
}

// run goes from one moment at which something may be decided to the next. After a change it looks a second later, too, as the
// service does.
func (p *play) run() error {
	if err := p.world.change(p.test.Given, noon); err != nil {
		return err
	}
	next, end := 0, p.end()
	for now, steps := noon, 0; !now.After(end); steps++ {
		if steps > maxSteps {
			return fmt.Errorf("more than %d steps: the test is too long", maxSteps)
		}
		for ; next < len(p.test.Timeline) && !now.Before(noon.Add(p.test.Timeline[next].At)); next++ {
			if err := p.world.change(p.test.Timeline[next], now); err != nil {
				return fmt.Errorf("at %s: %w", now.Sub(noon), err)
			}
		}
		changed, err := p.step(now)
		if err != nil {
			return err
		}
		wake := p.wake(now)
		if changed {
			wake = soonest(wake, now.Add(time.Second))
		}
		if next < len(p.test.Timeline) {
			wake = soonest(wake, noon.Add(p.test.Timeline[next].At))
		}
		if wake.IsZero() {
			return nil
		}
		now = wake
	}
	return nil
}

func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wake is when something may be decided although nothing new is said: also that a certificate comes to its end, or that a rollout did so long ago.
func (p *play) wake(now time.Time) time.Time {
	wake := alert.Wake(p.setup, p.state, now)
	for _, k := range p.world.subjects {
		for _, r := range p.setup.Rules {
			if at := k.expires.Add(-r.Within).Add(time.Second); r.Event == report.EventExpiring && !k.expires.IsZero() && at.After(now) {
				wake = soonest(wake, at)
			}
		}
	}
	for _, s := range p.world.rollouts {
		if at := alert.RolloutWake(s); at.After(now) {
			wake = soonest(wake, at)
		}
	}
	return wake
}

func (p *play) step(now time.Time) (changed bool, err error) {
	facts, err := p.world.facts(p.setup.Rules, now)
	if err != nil {
		return false, err
	}
	p.setup.Mutes, p.setup.Nodes = p.world.mutes, p.world.nodes()
	c := alert.Step(p.setup, p.state, facts, now)
	p.state = p.state.With(c)
	p.seen = append(p.seen, state{now, p.state.Alerts})
	told := map[string]int{}
	for _, n := range c.Notices {
		for _, t := range n.Transitions {
			at, again := told[t.ID]
			if !again {
				at = len(p.told)
				told[t.ID] = at
				p.told, p.to = append(p.told, t), append(p.to, nil)
			}
			p.to[at] = append(p.to[at], n.Receiver)
		}
	}
	return !c.Empty(), nil
}
