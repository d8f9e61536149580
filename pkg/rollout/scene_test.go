package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// A scene is a rollout of bundle 1 after bundle 0 over nodes that a test moves by hand.
type scene struct {
	t       *testing.T
	now     time.Time
	state   rollout.State
	nodes   []rollout.Node
	shut    bool // the window
	blind   bool
	told    []rollout.Transition
	next    []rollout.Command
	unsure  map[string]string
	answers []rollout.Answer
}

// threeStages is a canary of a fifth of the nodes with the first label, then half of all, then the rest.
func threeStages() rollout.Spec {
	gate := rollout.Gate{Soak: time.Minute, Checkins: 1, Success: 100}
	return rollout.Spec{
		Channel: "stable", Deadline: time.Hour,
		Stages: []rollout.Stage{
			{Name: "canary", When: "canary", Size: rollout.Share{Percent: 20}, Gate: gate},
			{Name: "early", Size: rollout.Share{Percent: 50}, Gate: gate},
			{Name: "rest", Size: rollout.Share{Percent: 100}, Gate: gate},
		},
	}.WithDefaults()
}

// newScene has n nodes, which meet the conditions of all stages.
func newScene(t *testing.T, n int, spec rollout.Spec) *scene {
	t.Helper()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, now: epoch}
	for i := range n {
		s.nodes = append(s.nodes, rollout.Node{
			ID: fmt.Sprintf("node-%d", i), Stages: 1<<len(spec.Stages) - 1, Seen: s.now, Interval: interval, Live: true, Digest: bundle(0),
		})
	}
	s.state = rollout.Begin("r1", spec, bundle(0), bundle(1), nil, s.now)
	return s
}

// pass lets time go by in steps of an interval; nodes for which alive is true report, and take what they are admitted to.
func (s *scene) pass(d time.Duration, alive func(*rollout.Node) bool) {
	s.t.Helper()
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(interval)
		signed := s.state.Signed()
		for i := range s.nodes {
			n := &s.nodes[i]
			if alive == nil || alive(n) {
				n.Seen = s.now
				if n.Adopting != "" {
					n.Digest, n.Adopting = n.Adopting, ""
				}
				to := s.decide(signed, n)
				if to.Target != n.Digest && !n.PutAside {
					n.Adopting = to.Target
				}
			}
			n.Live = s.now.Sub(n.Seen) <= 3*interval
		}
		s.step()
	}
}

func (s *scene) decide(signed rollout.Signed, n *rollout.Node) rollout.Decision {
	return rollout.Decide(signed, rollout.Place{Node: n.ID, Current: n.Digest, Meets: func(string) (bool, error) { return n.Stages&1 != 0, nil }})
}

func (s *scene) step() {
	var told []rollout.Transition
	s.state, told = rollout.Step(s.state, rollout.Snapshot{Now: s.now, Open: !s.shut, Blind: s.blind, Nodes: slices.Clone(s.nodes), Unsure: s.unsure, Answers: s.answers}, s.next)
	s.told, s.next, s.answers = append(s.told, told...), nil, nil
}

func (s *scene) do(c rollout.Command) {
	s.next = append(s.next, c)
	s.pass(interval, nil)
}

// with are the nodes that have the candidate.
func (s *scene) with() (nodes []*rollout.Node) {
	for i := range s.nodes {
		if s.nodes[i].Digest == s.state.Candidate {
			nodes = append(nodes, &s.nodes[i])
		}
	}
	return nodes
}

func (s *scene) want(p rollout.Phase, r rollout.Reason, stage int) {
	s.t.Helper()
	if s.state.Phase != p || r != "" && s.state.Reason != r || s.state.Stage != stage {
		s.t.Fatalf("%s: %s (%s, %s) at stage %d, want %s (%s) at stage %d; %v", s.now.Format(time.TimeOnly),
			s.state.Phase, s.state.Reason, s.state.Detail, s.state.Stage, p, r, stage, s.state.Counts)
	}
}
