package rollout_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"vigo.dev/pkg/rollout"
)

// restarted is a state after the service was: written down and read.
func restarted(t testing.TB, s rollout.State) rollout.State {
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back rollout.State
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func (w *world) wantCounts(in rollout.Snapshot) {
	if w.state.Phase.Over() {
		return
	}
	sum := 0
	for word, n := range w.state.Counts {
		if n < 0 || !slices.Contains(rollout.Words(), word) {
			w.fail("%s: %d nodes are %q", w.now, n, word)
		}
		sum += n
	}
	if sum != len(in.Nodes) {
		w.fail("%s: the counters add up to %d of %d nodes: %v", w.now, sum, len(in.Nodes), w.state.Counts)
	}
}

func (w *world) wantNoWayBack(before, next rollout.State) {
	if before.ID != next.ID {
		return
	}
	if before.Phase == rollout.Aborted && (next.Phase == rollout.Running || next.Phase == rollout.Completed || next.Phase == rollout.Paused) {
		w.fail("%s: from %s to %s", w.now, before.Phase, next.Phase)
	}
	for i, st := range next.Stages {
		if st.Max < before.Stages[i].Max {
			w.fail("%s: stage %d admits fewer: %d after %d", w.now, i, st.Max, before.Stages[i].Max)
		}
	}
}

// wantEvidence: a stage that passed has a node that really is well with the candidate.
func (w *world) wantEvidence(before, next rollout.State) {
	for i, st := range next.Stages {
		if st.Ended.IsZero() || !before.Stages[i].Ended.IsZero() || st.Skipped {
			continue
		}
		if !slices.ContainsFunc(w.nodes, func(m *machine) bool { return m.wellWith == next.Candidate }) {
			w.fail("%s: stage %d passed, and no node is well", w.now, i)
		}
	}
}

// wantMonotone: had more nodes failed, an abort would be one still, and what did not pass would not.
func (w *world) wantMonotone(before rollout.State, in rollout.Snapshot, commands []rollout.Command, next rollout.State) {
	worse := in
	worse.Nodes = slices.Clone(in.Nodes)
	for i := range worse.Nodes {
		if n := &worse.Nodes[i]; n.Digest == before.Candidate && w.chance(0.5) {
			n.Failed++
		}
	}
	with, _ := rollout.Step(before, worse, commands)
	good := func(p rollout.Phase) bool { return p == rollout.Running || p == rollout.Completed }
	if !good(next.Phase) && good(with.Phase) && next.Phase != rollout.Paused || with.Stage > next.Stage {
		w.fail("%s: with more failures %s stage %d, with fewer %s stage %d", w.now, with.Phase, with.Stage, next.Phase, next.Stage)
	}
}

// wantReplay: the same inputs give the same state.
func (w *world) wantReplay() {
	s := w.from
	for _, in := range w.inputs {
		s, _ = rollout.Step(s, in.snapshot, in.commands)
	}
	if a, b := restarted(w.t, s), restarted(w.t, w.state); !reflect.DeepEqual(a, b) {
		w.fail("replayed:\n%+v\nwas:\n%+v", a, b)
	}
}
