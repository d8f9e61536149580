package rollouts

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
)

// TestTheSimulationIsTrue: what a simulation says of a rollout is what the report service and the controller do with agents that
// have the same fates: the same transitions at the same moments, the same members of stages, the same words of nodes.
// In one of the stories the agents reach the service over HTTP and TLS, with signatures, and the moments are still the same.
func TestTheSimulationIsTrue(t *testing.T) {
	t.Parallel()
	const soaks = "gate: {soak: 1m, checkins: 2, success: 98%}\n"
	mins := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	for name, tt := range map[string]struct {
		net     *network // nil: agents call the service
		nodes   int
		more    string // of the spec
		rates   sim.Rates
		outages []sim.Outage
		ends    rollout.Phase
		last    time.Duration
	}{
		"ten thousand nodes, of which some fail, die, refuse and are off": {nil, 10_000, soaks, sim.Rates{Fail: .002, Lose: .001, Refuse: .001, Offline: .03, Flaky: .0005}, nil, rollout.Completed, mins(15)},
		"a bundle that kills":       {nil, 400, soaks, sim.Rates{Lose: 1}, nil, rollout.Aborted, mins(15)},
		"a bundle that is reverted": {nil, 400, soaks + "on_abort: revert\n", sim.Rates{Fail: 1, Offline: .05}, nil, rollout.Reverted, mins(15)},
		"the network is away, and then the service": {&network{}, 400, soaks, sim.Rates{Fail: .002, Offline: .05},
			[]sim.Outage{{After: 62 * time.Second, For: mins(4), Share: .4}, {After: 482 * time.Second, For: mins(2), Service: true}}, rollout.Completed, mins(30)},
		"few at a time": {nil, 400, soaks + "max_in_flight: 5%\n", sim.Rates{Fail: .005, Lose: .005}, nil, rollout.Paused, mins(30)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := sim.Config{Seed: 7, Rates: tt.rates, Outages: tt.outages, For: tt.last}
				for i := range tt.nodes {
					c.Members = append(c.Members, sim.Member{Name: fmt.Sprintf("node-%05d", i), Stages: 0b110 | uint32(i%8/7)})
				}
				real := playReal(t, &c, tt.more, tt.net)
				want, err := sim.Run(c)
				must(t, err)
				same(t, want, real)
				if want.Phase != tt.ends {
					t.Errorf("it ends %s (%s, %s), want %s: %v", want.Phase, want.Reason, want.Detail, tt.ends, want.Counts)
				}
			})
		})
	}
}

// playReal has a site with the nodes of a simulation roll out a second commit, and tells the simulation when things happened first
// and what the digests are.
func playReal(t *testing.T, c *sim.Config, more string, net *network) report.RolloutStatus {
	t.Helper()
	text := "kind: Rollout\nchannel: stable\ndeadline: 10m\n" + more + "stages:\n  - {name: canary, when: stage == \"trial\", size: 5%}\n  - {name: early, size: 10%}\n  - {name: rest, size: 100%}\n"
	specs, _, err := policy.LoadRollouts(fstest.MapFS{"rollouts/stable.yaml": {Data: []byte(text)}}, nil)
	must(t, err)
	c.Spec = specs["stable"]
	s := newSite(t, text, net)
	s.enrol(c.Members)
	time.Sleep(time.Until(s.began.Add(time.Second)))
	defer s.publish()()
	time.Sleep(time.Second)
	c.Stable = s.pointer().Stable.Digest

	// They are made anew when there is a candidate: what a node does is counted from then on.
	warm := s.nodes(*c)
	start := s.began.Add(4*every + time.Second) // a poll of the controller
	s.live(warm, nil, start, start.Add(-500*time.Millisecond), nil)
	s.repo.Put(map[string]string{"modules/motd/module.yaml": motd("two")}).Commit("two")
	time.Sleep(time.Until(start.Add(500 * time.Microsecond)))
	c.Candidate = s.pointer().Candidate.Digest
	c.Start = start
	c.Step, c.Poll, c.Turn = sim.Beat{First: 2 * time.Second, Every: 3 * time.Second}, sim.Beat{Every: 15 * time.Second}, sim.Beat{First: -time.Second, Every: every}
	due := map[time.Time]func(){}
	for _, o := range c.Outages {
		if o.Service {
			due[start.Add(o.After-500*time.Microsecond)] = func() { s.down() }
			due[start.Add(o.After+o.For-500*time.Microsecond)] = func() {
				time.Sleep(500 * time.Microsecond)
				s.begin()
			}
		}
	}
	s.live(s.nodes(*c), c.Outages, start, start.Add(c.For), due)
	list, err := s.now.Load().Rollouts(t.Context(), "stable", 1000)
	must(t, err)
	s.down()
	return list[0]
}

func (s *site) nodes(c sim.Config) (nodes []*sim.Node) {
	for _, m := range c.Members {
		nodes = append(nodes, sim.NewNode(m, c.Seed, c.Rates, every, c.Stable, c.Spec.Stages))
	}
	return nodes
}

// same compares what was simulated with what happened.
func same(t *testing.T, want sim.Timeline, got report.RolloutStatus) {
	t.Helper()
	var simulated, happened []string
	for _, e := range want.Entries {
		if e.What == "" {
			simulated = append(simulated, line(e.At, e.Phase, e.Reason, e.Stage, e.Detail))
		}
	}
	for _, e := range slices.Backward(got.Log) {
		if e.From == "" {
			continue // that it begins, and by which commit
		}
		happened = append(happened, line(e.At, e.To, e.Reason, e.Stage, e.Detail))
	}
	for i := range max(len(simulated), len(happened)) {
		a, b := "nothing", "nothing"
		if i < len(simulated) {
			a = simulated[i]
		}
		if i < len(happened) {
			b = happened[i]
		}
		if a != b {
			t.Fatalf("entry %d: simulated: %s; happened: %s\nsimulated: %q\nhappened: %q", i, a, b, simulated, happened)
		}
	}
	for i, st := range want.Stages {
		if g := got.Stages[i]; g.Members != st.Members || !g.Began.Equal(st.Began) || !g.Ended.Equal(st.Ended) {
			t.Errorf("stage %s: simulated %+v, happened %+v", st.Name, st, g)
		}
	}
	if want.Phase != got.Phase || want.Reason != got.Reason || want.Phase.Over() && !maps.Equal(nonzero(want.Counts), nonzero(got.Counts)) {
		t.Errorf("simulated: %s (%s) %v; happened: %s (%s) %v", want.Phase, want.Reason, want.Counts, got.Phase, got.Reason, got.Counts)
	}
	t.Logf("%d entries at the same moments: %q; %v", len(simulated), simulated, got.Counts)
}

func line(at time.Time, phase rollout.Phase, reason rollout.Reason, stage, detail string) string {
	return fmt.Sprintf("%s %s %s %s %s", at.UTC().Format(time.TimeOnly), phase, reason, stage, detail)
}

func nonzero(counts map[rollout.Word]int) map[rollout.Word]int {
	out := maps.Clone(counts)
	maps.DeleteFunc(out, func(_ rollout.Word, n int) bool { return n == 0 })
	return out
}
