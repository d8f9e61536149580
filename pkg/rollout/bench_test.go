package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// fleetOf is a rollout over n nodes of which all have reported; the canary is drawn.
func fleetOf(b *testing.B, n int) (rollout.State, rollout.Snapshot) {
	b.Helper()
	spec := threeStages()
	in := rollout.Snapshot{Now: epoch, Open: true}
	for i := range n {
		node := rollout.Node{ID: fmt.Sprintf("node-%06d", i), Stages: 0b110, Seen: epoch, Interval: interval, Live: true, Digest: bundle(0)}
		if i%10 == 0 {
			node.Stages |= 1
		}
		in.Nodes = append(in.Nodes, node)
	}
	s, _ := rollout.Step(rollout.Begin("r1", spec, bundle(0), bundle(1), nil, epoch), in, nil)
	return s, in
}

// BenchmarkStep is one step of the service at 100,000 nodes: while the canaries soak, and while a tenth of all nodes, which have
// the candidate, have reported since the last step.
func BenchmarkStep(b *testing.B) {
	const n = 100_000
	b.Run("canary", func(b *testing.B) {
		s, in := fleetOf(b, n)
		b.ReportAllocs()
		for b.Loop() {
			in.Now = in.Now.Add(time.Millisecond)
			s, _ = rollout.Step(s, in, nil)
		}
	})
	b.Run("all", func(b *testing.B) {
		s, in := fleetOf(b, n)
		s.Stage = 2
		s.Stages[0].Ended, s.Stages[1].Began, s.Stages[1].Ended = epoch, epoch, epoch
		for i := range in.Nodes {
			in.Nodes[i].Digest = bundle(1)
		}
		for range 3 {
			s, _ = rollout.Step(s, in, nil)
		}
		b.ReportAllocs()
		for round := 0; b.Loop(); round++ {
			in.Now = in.Now.Add(time.Millisecond)
			for i := round % 10; i < n; i += 10 {
				in.Nodes[i].Seen = in.Now
			}
			s, _ = rollout.Step(s, in, nil)
		}
		if s.Counts[rollout.Applied]+s.Counts[rollout.Healthy] != n {
			b.Fatalf("%s %v", s.Phase, s.Counts)
		}
	})
}
