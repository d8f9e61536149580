package sim_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
)

var start = time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)

func spec() rollout.Spec {
	gate := rollout.Gate{Soak: 5 * time.Minute, Checkins: 2, Success: 90}
	return rollout.Spec{Channel: "stable", Stages: []rollout.Stage{
		{Name: "canary", When: "trial", Size: rollout.Share{Percent: 5}, Gate: gate},
		{Name: "early", Size: rollout.Share{Percent: 10}, Gate: gate},
		{Name: "rest", Size: rollout.Share{Percent: 100}, Gate: gate},
	}}.WithDefaults()
}

// fleet has n nodes, of which every third meets the condition of the canary.
func fleet(n int) (members []sim.Member) {
	for i := range n {
		m := sim.Member{Name: fmt.Sprintf("node-%d", i), Stages: 0b110}
		if i%3 == 0 {
			m.Stages |= 1
		}
		members = append(members, m)
	}
	return members
}

func config(n int) sim.Config {
	return sim.Config{Spec: spec(), Members: fleet(n), Start: start, Seed: 1}
}

func run(t *testing.T, c sim.Config) sim.Timeline {
	t.Helper()
	timeline, err := sim.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range timeline.Entries {
		sum := 0
		for _, n := range e.Counts {
			sum += n
		}
		if sum != timeline.Nodes {
			t.Errorf("after %s the counters add up to %d of %d: %v", e.After, sum, timeline.Nodes, e.Counts)
		}
	}
	return timeline
}

func want(t *testing.T, got sim.Timeline, phase rollout.Phase, reason rollout.Reason, members ...int) {
	t.Helper()
	if got.Phase != phase || got.Reason != reason {
		t.Errorf("it ended %s (%s, %s), want %s (%s): %v", got.Phase, got.Reason, got.Detail, phase, reason, got.Counts)
	}
	for i, n := range members {
		if got.Stages[i].Members != n {
			t.Errorf("stage %s has %d members, want %d", got.Stages[i].Name, got.Stages[i].Members, n)
		}
	}
}

// TestAGoodBundle goes through all stages; each is as large as it is meant to be, and who is off is excused.
func TestAGoodBundle(t *testing.T) {
	t.Parallel()
	want(t, run(t, config(300)), rollout.Completed, rollout.Done, 5, 30, 300)
	c := config(300)
	c.Rates.Offline = .1
	got := run(t, c)
	want(t, got, rollout.Completed, rollout.Done)
	if off := got.Counts[rollout.Offline]; off < 15 || off > 45 || got.Reached != 300-off || got.Stages[2].Members != 300-off {
		t.Errorf("%d are off, and %d have it: %+v", off, got.Reached, got.Stages)
	}
}

// TestABadBundle stops in the canary, whatever is bad about it, and no other node has it.
func TestABadBundle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rates  sim.Rates
		reason rollout.Reason
	}{
		"runs fail":     {sim.Rates{Fail: 1}, rollout.AbortFailed},
		"nodes die":     {sim.Rates{Lose: 1}, rollout.AbortLost},
		"nodes refuse":  {sim.Rates{Refuse: 1}, rollout.AbortFailed},
		"a check fails": {sim.Rates{Unwell: 1}, rollout.AbortCheck("serves")},
	} {
		c := config(300)
		c.Rates = tt.rates
		c.Spec.Checks = []rollout.Check{{Name: "serves", Expr: "x", For: 2}}
		got := run(t, c)
		want(t, got, rollout.Aborted, tt.reason, 5)
		if got.Reached > 5 {
			t.Errorf("%s: %d nodes have it, want no more than the canaries", name, got.Reached)
		}
	}
}

// TestOutages: while the network or the service is away nothing widens, and it goes on afterwards without a node lost.
func TestOutages(t *testing.T) {
	t.Parallel()
	c := config(300)
	c.Outages = []sim.Outage{{After: 2 * time.Minute, For: 20 * time.Minute, Share: .5}, {After: 28 * time.Minute, For: 10 * time.Minute, Service: true}}
	got := run(t, c)
	want(t, got, rollout.Completed, rollout.Done)
	blind := 0
	for _, e := range got.Entries {
		if e.Counts[rollout.Lost] > 0 {
			t.Errorf("after %s %d are lost", e.After, e.Counts[rollout.Lost])
		}
		if e.What == "" && e.Reason == rollout.EvidenceBlind {
			blind++
		}
	}
	if blind != 2 {
		t.Errorf("it was blind %d times, want 2: %+v", blind, got.Entries)
	}
}

// TestPeople: approvals come when people have had time, commands when they are given, and without anybody it pauses.
func TestPeople(t *testing.T) {
	t.Parallel()
	c := config(60)
	c.Spec.Stages[1].Approve.Count = 2
	c.Approve = time.Hour
	got := run(t, c)
	want(t, got, rollout.Completed, rollout.Done)
	if d := got.Stages[1].Began.Sub(got.Stages[0].Ended); d < time.Hour || d > time.Hour+time.Minute {
		t.Errorf("the stage began %s after the one before", d)
	}
	c.Approve = -1
	want(t, run(t, c), rollout.Paused, rollout.ProgressDeadline)
	c = config(60)
	c.Commands = []sim.Command{{After: 20 * time.Minute, Command: rollout.Command{Do: rollout.DoRevert, By: "ann"}}, {After: time.Minute, Command: rollout.Command{Do: rollout.DoPause, By: "ann"}}}
	got = run(t, c)
	want(t, got, rollout.Reverted, rollout.ByOperator)
	if got.Reached != 0 {
		t.Errorf("%d have it still", got.Reached)
	}
}

// TestAWindowAndTheEnd: outside of its window a rollout waits, and what is not over when the time has passed says so.
func TestAWindowAndTheEnd(t *testing.T) {
	t.Parallel()
	c := config(60)
	c.Open = func(at time.Time) bool { return at.Hour() == 3 }
	c.Step.Every = 30 * time.Second
	got := run(t, c)
	want(t, got, rollout.Completed, rollout.Done)
	if at := got.Stages[0].Began; at.Hour() != 3 {
		t.Errorf("the canary began at %s", at)
	}
	c.For = time.Hour
	if got := run(t, c); got.Phase != rollout.Running || got.After != sim.Elapsed(time.Hour) || got.Entries[len(got.Entries)-1].What != "the time is over" {
		t.Errorf("after an hour: %s, %+v", got.Phase, got.Entries)
	}
}

// TestTheSameAgain: the same input gives the same timeline, another seed another one.
func TestTheSameAgain(t *testing.T) {
	t.Parallel()
	c := config(200)
	c.Rates = sim.Rates{Fail: .02, Lose: .01, Offline: .05, Flaky: .05}
	c.Outages = []sim.Outage{{After: 4 * time.Minute, For: time.Minute, Share: .3}}
	one, two := run(t, c), run(t, c)
	if !reflect.DeepEqual(one, two) {
		t.Errorf("the same input gives\n%+v\nand\n%+v", one, two)
	}
	c.Seed = 2
	if three := run(t, c); reflect.DeepEqual(one.Entries, three.Entries) {
		t.Error("another seed gives the same")
	}
}

// TestRandomFleets: whatever is asked for, it comes to an end, and no stage begins before the one before it has passed.
func TestRandomFleets(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		c := config(1 + r.IntN(40))
		c.Seed, c.Step.Every = seed, 15*time.Second
		c.Rates = sim.Rates{Fail: r.Float64() * .2, Lose: r.Float64() * .2, Refuse: r.Float64() * .1, Offline: r.Float64() * .5, Flaky: r.Float64() * .1}
		c.Outages = []sim.Outage{{After: time.Duration(r.IntN(20)) * time.Minute, For: time.Duration(1+r.IntN(20)) * time.Minute, Share: r.Float64(), Service: r.IntN(2) == 0}}
		c.Spec.Immediate = r.IntN(5) == 0
		got := run(t, c)
		if got.Phase == rollout.Running {
			t.Errorf("seed %d: it runs still: %s (%s)", seed, got.Reason, got.Detail)
		}
		for i := 1; i < len(got.Stages); i++ {
			if was := got.Stages[i-1]; !got.Stages[i].Began.IsZero() && was.Ended.IsZero() {
				t.Errorf("seed %d: stage %d has begun, and the one before is not over", seed, i)
			}
		}
	}
}

// TestRefusesNonsense says everything at once.
func TestRefusesNonsense(t *testing.T) {
	t.Parallel()
	c := sim.Config{Spec: spec(), Rates: sim.Rates{Fail: 2, Unwell: 1}, Outages: []sim.Outage{{For: -1}}, Stable: "a", Candidate: "a"}
	if _, err := sim.Run(c); err == nil || len(err.Error()) < 200 {
		t.Errorf("got %v", err)
	}
}
