package rollout_test

import (
	"fmt"
	"maps"
	"slices"

	"vigo.dev/pkg/rollout"
)

// gates adds to a spec at random what is asked and compared.
func (w *world) gates(s *rollout.Spec) {
	if w.chance(0.3) {
		s.Stages[w.rand.IntN(3)].Gate.Ask = rollout.Ask{Of: []string{"slo", "board"}[:1+w.rand.IntN(2)]}
	}
	if w.chance(0.2) {
		s.Stages[w.rand.IntN(3)].Approve.Ask = rollout.Ask{Of: []string{"board"}}
	}
	if w.chance(0.3) {
		s.Checks[0].Abort = rollout.Limit{Percent: 40, Min: 2}
	}
}

// run is a run of a node, which says in which boot it was, if not at once.
func (m *machine) run() {
	m.said.Boot, m.said.Run = fmt.Sprint(m.boot), fmt.Sprint(m.runs)
	if m.shown == m.boot {
		m.runs++
		m.said.Run = fmt.Sprint(m.runs)
	}
	m.shown = m.boot // its next report is of a run after the boot
}

// outside is what is known beside the nodes: whether the check can be looked at, what others have, and what those answer who
// are asked.
func (w *world) outside(in *rollout.Snapshot) {
	if w.now.Before(w.unsure) {
		in.Unsure = map[string]string{"serves": "nobody knows"}
	}
	if w.chance(0.1) {
		in.Control = map[string]float64{"load.one": w.rand.Float64()}
	}
	for _, q := range w.state.Questions() {
		if w.chance(0.3) {
			verdict := []rollout.Verdict{rollout.Accept, rollout.Accept, rollout.Accept, rollout.Wait, rollout.Unasked, "nonsense", rollout.Refuse}[w.rand.IntN(7)]
			in.Answers = append(in.Answers, rollout.Answer{Rollout: q.Rollout, Stage: q.Stage, Of: q.Of, Asked: q.Asked, Verdict: verdict, At: w.now})
		}
	}
	if w.chance(0.1) && len(w.said) > 0 {
		in.Answers = append(in.Answers, w.said[w.rand.IntN(len(w.said))]) // late, or again
	}
	w.said = append(w.said, in.Answers...)
}

// wantGates: no stage passes while a check cannot be looked at, before all that are asked have accepted what they were asked last,
// or after one of them refused.
func (w *world) wantGates(before, next rollout.State, in rollout.Snapshot, commands []rollout.Command) {
	for i, st := range next.Stages {
		if begins := !st.Began.IsZero() && before.Stages[i].Began.IsZero(); begins && len(next.Spec.Stages[i].Approve.Ask.Of) > 0 && before.ID == next.ID {
			if !slices.ContainsFunc(w.said, func(a rollout.Answer) bool {
				return a.Of == "board" && a.Rollout == next.ID && a.Asked.Equal(before.Stages[i].Asked) && a.Verdict == rollout.Accept
			}) {
				w.fail("%s: stage %d begins, and the board has not accepted: %v", w.now, i, w.said)
			}
		}
		if st.Ended.IsZero() || !before.Stages[i].Ended.IsZero() || st.Skipped {
			continue
		}
		if len(in.Unsure) > 0 {
			w.fail("%s: stage %d passed while a check cannot be looked at", w.now, i)
		}
		for _, of := range next.Spec.Stages[i].Gate.Ask.Of {
			if !slices.ContainsFunc(w.said, func(a rollout.Answer) bool {
				return a.Of == of && a.Rollout == next.ID && a.Asked.Equal(before.Stages[i].Asked) && a.Verdict == rollout.Accept
			}) {
				w.fail("%s: stage %d passed, and %s has not accepted: %v", w.now, i, of, w.said)
			}
		}
	}
	for _, a := range in.Answers {
		st := before.Stages[min(before.Stage, len(before.Stages)-1)]
		asked := a.Rollout == before.ID && !st.Asked.IsZero() && a.Asked.Equal(st.Asked) && a.Stage == next.Spec.Stages[min(before.Stage, len(before.Stages)-1)].Name
		if asked && a.Verdict == rollout.Refuse && (next.Phase == rollout.Running || next.Stage > before.Stage) && before.Phase == rollout.Running && len(commands) == 0 {
			w.fail("%s: stage %d goes on, and %s refused", w.now, before.Stage, a.Of)
		}
	}
	if before.ID == next.ID && !maps.Equal(before.Control, next.Control) && len(in.Control) == 0 {
		w.fail("%s: what others had is another: %v, %v", w.now, before.Control, next.Control)
	}
}
