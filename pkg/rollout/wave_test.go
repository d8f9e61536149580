package rollout_test

import (
	"fmt"
	"os"
	"testing"

	"vigo.dev/pkg/rollout"
)

// TestWavesAreExact: a stage of 5 % lets in 5 % of the nodes, rounded up, and not what a hash happens to give. Every number of
// nodes up to 10,000 is tried when VIGO_HISTORIES is set, else one in 97.
func TestWavesAreExact(t *testing.T) {
	t.Parallel()
	stride := 97
	if os.Getenv("VIGO_HISTORIES") != "" {
		stride = 1
	}
	const most = 10_000
	all := make([]rollout.Node, most)
	for i := range all {
		all[i] = rollout.Node{ID: fmt.Sprintf("web-%d.example.com", i), Stages: 0b111, Seen: epoch, Interval: interval, Live: true, Digest: bundle(0)}
	}
	spec := threeStages()
	spec.Stages[0].Size = rollout.Share{Percent: 5}
	each(most/uint64(stride), func(k uint64) {
		n := int(k) * stride
		s := rollout.Begin(fmt.Sprint("r", n), spec, bundle(0), fmt.Sprintf("sha256:%064x", n), nil, epoch)
		s, _ = rollout.Step(s, rollout.Snapshot{Now: epoch, Open: true, Nodes: all[:n]}, nil)
		signed := s.Signed()
		got := 0
		for _, node := range all[:n] {
			d := rollout.Decide(signed, rollout.Place{Node: node.ID, Current: bundle(0), Meets: func(string) (bool, error) { return true, nil }})
			if d.Target == signed.Candidate {
				got++
			}
		}
		if want := (n*5 + 99) / 100; got != want {
			t.Errorf("%d of %d nodes are let in, want %d", got, n, want)
		}
	})
}

// TestStagesAddUp: a later stage counts those that an earlier one let in.
func TestStagesAddUp(t *testing.T) {
	t.Parallel()
	s := newScene(t, 50, threeStages())
	for i := 10; i < 50; i++ {
		s.nodes[i].Stages &^= 1 // ten can be canaries, two are
	}
	want := []int{2, 25, 50}
	for range 200 {
		s.pass(interval, nil)
		if s.state.Stage < 3 && !s.state.Stages[s.state.Stage].Began.IsZero() {
			if got := len(s.with()); got > want[s.state.Stage] {
				t.Fatalf("%d have it in stage %d, want at most %d", got, s.state.Stage, want[s.state.Stage])
			}
		}
	}
	s.want(rollout.Completed, rollout.Done, 3)
	for i, st := range s.state.Stages {
		if st.Members != want[i] {
			t.Errorf("stage %d had %d members, want %d", i, st.Members, want[i])
		}
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		n, of int
	}{{"5%", 1, 7}, {"5%", 5, 100}, {"7%", 7, 100}, {"0.1%", 1, 1000}, {"0.1%", 2, 1001}, {"100%", 3, 3}, {"3", 3, 10}, {"3", 2, 2}, {"0%", 0, 10}} {
		s, err := rollout.ParseShare(c.text)
		if err != nil || s.Of(c.of) != c.n || s.String() != c.text && c.text != "0%" {
			t.Errorf("%s of %d: %d, %v (%s); want %d", c.text, c.of, s.Of(c.of), err, s, c.n)
		}
	}
	for _, text := range []string{"", "x", "-1", "101%", "NaN%", "5 percent"} {
		if s, err := rollout.ParseShare(text); err == nil {
			t.Errorf("%q is read as %v", text, s)
		}
	}
}
