package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Verdict is what somebody outside of the fleet says of a stage.
type Verdict string

// The verdicts. Whatever is none of them is as good as no answer.
const (
	Accept Verdict = "accept"
	Refuse Verdict = "refuse" // the rollout is aborted
	Wait   Verdict = "wait"   // they are asked again
	// Unasked says that they could not be asked, or that their answer could not be read. It is never as good as Accept.
	Unasked Verdict = "unasked"
)

// A Question is for somebody outside of the fleet: may the rollout go on behind this stage, or if it has yet to begin, may it?
type Question struct {
	Rollout, Stage, Of string
	Asked              time.Time // when the gate of the stage came to be open; an answer counts for as long as it is
	Before             bool      // the stage has yet to begin
}

// An Answer is what they said.
type Answer struct {
	Rollout string    `json:"-"`
	Stage   string    `json:"-"`
	Of      string    `json:"-"`
	Asked   time.Time `json:"-"` // of the question
	Verdict Verdict   `json:"verdict"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// Questions are those that have to be asked now. One that was answered with anything but Accept is asked again.
func (s State) Questions() (list []Question) {
	if s.Phase != Running || s.Stage >= len(s.Stages) {
		return nil
	}
	st, spec := s.Stages[s.Stage], s.Spec.Stages[s.Stage]
	if st.Asked.IsZero() {
		return nil
	}
	for _, of := range s.asks().Of {
		if st.Answers[of].Verdict != Accept {
			list = append(list, Question{Rollout: s.ID, Stage: spec.Name, Of: of, Asked: st.Asked, Before: !st.open()})
		}
	}
	return list
}

// asks is who is asked in the stage under way: before it begins, or at its gate.
func (s State) asks() Ask {
	if !s.Stages[s.Stage].open() {
		return s.Spec.Stages[s.Stage].Approve.Ask
	}
	return s.Spec.Stages[s.Stage].Gate.Ask
}

// unsettle forgets what was agreed about a gate: it has to show all of it again.
func (st *StageInfo) unsettle() { st.Agreed, st.Asked, st.Asking, st.Answers = 0, time.Time{}, 0, nil }

// hear takes what those said who were asked. A refusal counts whatever became of the gate meanwhile.
func (m *machine) hear() {
	if m.s.Phase != Running || m.s.Stage >= len(m.s.Stages) || m.stage().Asked.IsZero() {
		return
	}
	st, spec := m.stage(), m.s.Spec.Stages[m.s.Stage]
	for _, a := range m.in.Answers {
		if a.Rollout != m.s.ID || a.Stage != spec.Name || !a.Asked.Equal(st.Asked) || !slices.Contains(m.s.asks().Of, a.Of) {
			continue
		}
		if a.Verdict == Refuse {
			m.abort(AbortGate(a.Of), "", a.Reason)
			return
		}
		if st.Answers == nil {
			st.Answers = map[string]Answer{}
		}
		if st.Answers[a.Of].Verdict != Accept {
			st.Answers[a.Of] = Answer{Verdict: a.Verdict, Reason: a.Reason, At: a.At}
		}
	}
}

// accepted says whether all that are to be asked now accept; as long as they do not, it is why the rollout waits.
func (m *machine) accepted() bool {
	st, asks := m.stage(), m.s.asks()
	if len(asks.Of) == 0 {
		return true
	}
	if st.Asked.IsZero() {
		st.Asked = m.now
	} else {
		st.Asking += m.elapsed
	}
	var open []string
	for _, of := range asks.Of {
		if a := st.Answers[of]; a.Verdict != Accept {
			open = append(open, a.of(of))
		}
	}
	detail := strings.Join(open, "; ")
	switch {
	case len(open) == 0:
		return true
	case asks.Deadline > 0 && st.Asking > asks.Deadline:
		m.enter(Paused, ProgressDeadline, "", fmt.Sprintf("not accepted in %s: %s", asks.Deadline, detail))
	default:
		m.because(WaitingGate, detail)
	}
	return false
}

// of says what somebody answered.
func (a Answer) of(name string) string {
	switch {
	case a.Verdict == "":
		return name + " is asked"
	case a.Verdict == Wait:
		return strings.TrimSuffix(name+" says wait: "+a.Reason, ": ")
	default:
		return strings.TrimSuffix(name+" cannot be asked: "+a.Reason, ": ")
	}
}

// AbortGate is the reason of an abort because somebody outside refused.
func AbortGate(of string) Reason { return Reason("abort:gate:" + of) }

// SamePerson reports whether two names are of one person: by commits people agree with the names of their keys, such as
// "ann,ann@example.com", and with commands as operators, such as "ann". Names that are the same up to the @ count as one, so
// that nobody agrees twice.
func SamePerson(a, b string) bool {
	for _, x := range strings.Split(a, ",") {
		for _, y := range strings.Split(b, ",") {
			if local(x) == local(y) {
				return true
			}
		}
	}
	return false
}

func local(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(name)), "@")
	return name
}
