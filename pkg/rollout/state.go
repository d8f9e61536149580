package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Phase is where a rollout is as a whole.
type Phase string

// The phases. Completed, reverted and superseded are the end; from aborted the nodes can still be taken back.
const (
	Running    Phase = "running"
	Paused     Phase = "paused"
	Aborted    Phase = "aborted"
	Reverting  Phase = "reverting"
	Reverted   Phase = "reverted"
	Completed  Phase = "completed"
	Superseded Phase = "superseded"
)

// Phases are all of them.
func Phases() []Phase {
	return []Phase{Running, Paused, Aborted, Reverting, Reverted, Completed, Superseded}
}

// Over reports whether nothing follows.
func (p Phase) Over() bool { return p == Completed || p == Reverted || p == Superseded }

// A Reason is why a rollout is where it is.
type Reason string

// The reasons. Those of an abort by a check are "abort:check:" and its name, those of a refusal "abort:gate:" and who refused.
const (
	Applying         Reason = "applying"          // members have yet to apply the candidate
	Soaking          Reason = "soaking"           // they have, and are watched
	WaitingWindow    Reason = "waiting-window"    // outside of the windows
	WaitingResources Reason = "waiting-resources" // members have it, and some of it waits: for windows, turns or secrets
	WaitingApproval  Reason = "waiting-approval"  // somebody must agree
	NoEligibleNodes  Reason = "no-eligible-nodes" // the stage has no node that could show anything
	CheckUnknown     Reason = "check-unknown"     // a check cannot be looked at
	WaitingGate      Reason = "waiting-gate"      // somebody outside of the fleet is asked
	EvidenceBlind    Reason = "evidence-blind"    // too many nodes went silent at once to say anything of them
	ProgressDeadline Reason = "progress-deadline" // a stage took too long
	ByOperator       Reason = "by-operator"
	AbortFailed      Reason = "abort:failed"
	AbortLost        Reason = "abort:lost"
	ByNewer          Reason = "newer-bundle"
	NotStaged        Reason = "not-staged"    // policy has its channel given what is new at once
	NotWanted        Reason = "not-wanted"    // what policy says now is what is stable
	WasUnknown       Reason = "was-not-known" // whoever kept it has forgotten it
	Done             Reason = "done"
)

// A State is all that a rollout remembers. It is a value: [Step] returns another one.
type State struct {
	ID        string `json:"id"`
	Spec      Spec   `json:"spec"` // as it was when the rollout began
	Salt      string `json:"salt"`
	Candidate string `json:"candidate"`
	Stable    string `json:"stable"` // what was stable when it began
	// Keep are bundles of rollouts before this one that did not come to their end; nodes may have them still.
	Keep []string `json:"keep,omitempty"`
	// Taken are bundles that nodes must leave.
	Taken []string `json:"taken,omitempty"`

	Phase  Phase     `json:"phase"`
	Reason Reason    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
	By     string    `json:"by,omitempty"` // who gave the command
	Began  time.Time `json:"began"`
	Since  time.Time `json:"since"`  // when the phase or the reason changed
	Ticked time.Time `json:"ticked"` // the last step

	Closed bool `json:"closed,omitempty"` // its window is

	// Control are the last values of nodes that do not have the candidate.
	Control map[string]float64 `json:"control,omitempty"`

	Stage  int         `json:"stage"` // index; the number of stages: all are over
	Stages []StageInfo `json:"stages"`
	Heard  Heard       `json:"heard"`
	// Counts is how many nodes there are of each word; they add up to the population.
	Counts map[Word]int `json:"counts,omitempty"`
	// Nodes is what is remembered of each node that was drawn, admitted, or has the candidate.
	Nodes map[string]Progress `json:"nodes,omitempty"`
}

// StageInfo is how far a stage is.
type StageInfo struct {
	Began    time.Time     `json:"began,omitzero"` // when its members were drawn
	Ended    time.Time     `json:"ended,omitzero"`
	Skipped  bool          `json:"skipped,omitempty"`
	Used     time.Duration `json:"used,omitempty"`    // of its deadline
	Held     time.Duration `json:"held,omitempty"`    // by nothing but windows of resources; not counted in Used
	Blind    time.Duration `json:"blind,omitempty"`   // without evidence, since it last had some
	Members  int           `json:"members,omitempty"` // when it began
	Healthy  int           `json:"healthy,omitempty"` // of them, when its gate was looked at last
	Max      Bucket        `json:"max,omitempty"`
	Agreed   int           `json:"agreed,omitempty"` // steps in sequence in which its gate was open
	Approved []string      `json:"approved,omitempty"`
	// Asked is when those outside were asked what they say in Answers; they have been for as long as Asking.
	Asked   time.Time         `json:"asked,omitzero"`
	Asking  time.Duration     `json:"asking,omitempty"`
	Answers map[string]Answer `json:"answers,omitempty"`
}

func (st StageInfo) open() bool { return !st.Began.IsZero() }

// Heard are two moments, two intervals or more apart: who was live at the first and is not now went silent with others.
type Heard struct {
	At     time.Time `json:"at,omitzero"`
	Before time.Time `json:"before,omitzero"`
}

// Progress is what is remembered of a node.
type Progress struct {
	Word     Word      `json:"word"`
	Stage    int       `json:"stage"`             // that admitted it
	Members  uint32    `json:"members,omitempty"` // bit i: it is a member of stage i
	Admitted bool      `json:"admitted,omitempty"`
	Adopted  bool      `json:"adopted,omitempty"`
	Good     time.Time `json:"good,omitzero"`     // since when it has been well
	Seen     time.Time `json:"seen,omitzero"`     // the last report that was counted
	Doubt    time.Time `json:"doubt,omitzero"`    // when its silence last said nothing of it
	Reports  int       `json:"reports,omitempty"` // since it adopted, at most those its gate wants
	Strikes  []uint8   `json:"strikes,omitempty"` // of each check: how often in sequence it did not hold
	Check    string    `json:"check,omitempty"`   // that made it count as failed
	Boot     string    `json:"boot,omitempty"`    // in which it was last seen
	Await    string    `json:"await,omitempty"`   // it was started anew, and has yet to show a run after this one
}

// Begin starts a rollout. Of the one before it remains what nodes may still have.
func Begin(id string, spec Spec, stable, candidate string, prev *State, now time.Time) State {
	s := State{
		ID: id, Spec: spec, Candidate: candidate, Stable: stable, Salt: candidate,
		Phase: Running, Reason: Applying, Began: now, Since: now, Ticked: now, Heard: Heard{At: now, Before: now}, Nodes: map[string]Progress{},
	}
	if spec.Cohort == Fixed {
		s.Salt = spec.Channel
	}
	if spec.Immediate {
		last := spec.Stages[len(spec.Stages)-1]
		last.Approve = Approve{}
		s.Spec.Stages, s.Spec.MaxInFlight = []Stage{last}, Share{}
	}
	s.Stages = make([]StageInfo, len(s.Spec.Stages))
	if prev != nil && prev.Phase != Completed {
		s.Keep, s.Taken = slices.Clone(prev.Keep), slices.Clone(prev.Taken)
		if prev.Candidate != candidate && !slices.Contains(s.Taken, prev.Candidate) && !slices.Contains(s.Keep, prev.Candidate) {
			s.Keep = append(s.Keep, prev.Candidate)
		}
		s.Keep = slices.DeleteFunc(s.Keep, func(d string) bool { return d == candidate })
		s.Taken = slices.DeleteFunc(s.Taken, func(d string) bool { return d == candidate }) // somebody wants it again
	}
	return s
}

// Beginning is what people are told when a rollout has begun; no phase was before.
func (s State) Beginning(detail string) Transition {
	t := Transition{At: s.Began, Rollout: s.ID, To: Running, Reason: Applying, Detail: detail}
	if len(s.Spec.Stages) > 0 {
		t.Stage = s.Spec.Stages[0].Name
	}
	return t
}

// MaxKept is how many bundles of rollouts that did not come to their end nodes may still have before a newer one has to wait:
// each of them is in every pointer.
const MaxKept = 64

// Yields says whether a newer bundle may take the place of the candidate now.
func (s State) Yields() bool {
	switch {
	case !s.Phase.Over() && len(s.Keep) >= MaxKept:
		return false
	case s.Phase != Running:
		return true
	case s.Spec.Supersede == FinishStage:
		return s.Stage >= len(s.Stages) || !s.Stages[s.Stage].open()
	default:
		return s.Spec.Supersede == Restart
	}
}

// Supersede ends a rollout because there is a newer bundle. If it did not run any more, it goes on to say why.
func (s State) Supersede(by string, now time.Time) (State, Transition) {
	m := machine{s: s.clone(), now: now}
	if !s.Phase.Over() {
		m.enter(Superseded, ByNewer, by, s.halted())
	}
	return m.s, m.last()
}

// halted is why a rollout does not run, in words; nothing when it does.
func (s State) halted() string {
	if s.Phase == Running {
		return ""
	}
	why := fmt.Sprintf("it was %s (%s)", s.Phase, s.Reason)
	if s.Detail != "" {
		why += ": " + s.Detail
	}
	return why
}

// Unstage ends a rollout because policy has the channel given what is new at once.
func (s State) Unstage(now time.Time) (State, Transition) {
	m := machine{s: s.clone(), now: now}
	if !s.Phase.Over() {
		m.enter(Superseded, NotStaged, "", "policy has no rollout for the channel any more: everyone is given what is new at once")
	}
	return m.s, m.last()
}

// Unwanted stops a rollout that runs, because policy was set back to what is stable: nobody else is given what nobody wants any more.
// Who has it keeps it until somebody takes it back, or something newer comes.
func (s State) Unwanted(now time.Time) (State, Transition) {
	m := machine{s: s.clone(), now: now}
	if s.Phase == Running {
		m.enter(Paused, NotWanted, "", "policy was set back to what is stable: take the new bundle back by rollout revert, or commit what is wanted")
	}
	return m.s, m.last()
}

// Shown takes up what the pointer of a channel has said before anything was known of the rollout that begins, as when the store of the
// service was lost: which bundles nodes may have, and have to leave. If it is of the rollout that the pointer shows, and that had let
// nobody in or was paused, it waits for somebody to look: it may have been aborted. What was taken back is not given again.
func (s State) Shown(p Signed, now time.Time) (State, []Transition) {
	if p.Directive == nil {
		return s, nil
	}
	m := machine{s: s.clone(), now: now}
	for _, had := range append(slices.Clone(p.Directive.Keep), p.Candidate) {
		if had != s.Candidate && had != s.Stable && had != "" && !slices.Contains(m.s.Keep, had) {
			m.s.Keep = append(m.s.Keep, had)
		}
	}
	for _, left := range p.Directive.Revert {
		if !slices.Contains(m.s.Taken, left) && (left != s.Candidate || p.Candidate == left) {
			m.s.Taken = append(m.s.Taken, left)
		}
	}
	m.s.Keep = slices.DeleteFunc(m.s.Keep, func(d string) bool { return slices.Contains(m.s.Taken, d) })
	switch same := p.Candidate == s.Candidate; {
	case same && slices.Contains(m.s.Taken, s.Candidate):
		m.enter(Reverting, WasUnknown, "", "the pointer says that it was taken back")
	case same && (p.Directive.Paused || len(p.Directive.Admit) == 0):
		m.enter(Paused, WasUnknown, "", "nothing was known of it, and the pointer lets nobody in: it may have been aborted; resume it if it is to go on")
	}
	return m.s, m.out
}

// clone is another state that can be changed, but for its nodes.
func (s State) clone() State {
	s.Stages = slices.Clone(s.Stages)
	for i := range s.Stages {
		s.Stages[i].Approved, s.Stages[i].Answers = slices.Clone(s.Stages[i].Approved), maps.Clone(s.Stages[i].Answers)
	}
	s.Keep, s.Taken, s.Control = slices.Clone(s.Keep), slices.Clone(s.Taken), maps.Clone(s.Control)
	return s
}

// Signed is what the pointer of the channel has to say now.
func (s State) Signed() Signed {
	if s.Phase == Completed {
		return Signed{Stable: s.Candidate}
	}
	d := &Directive{ID: s.ID, Salt: s.Salt, Paused: s.Phase == Paused, Keep: s.Keep, Revert: s.Taken}
	if s.Phase == Running || s.Phase == Paused {
		d.Closed = s.Closed
		for i, st := range s.Stages {
			if st.open() && st.Max > 0 {
				d.Admit = append(d.Admit, Admit{Stage: s.Spec.Stages[i].Name, When: s.Spec.Stages[i].When, Max: st.Max})
			}
		}
	}
	return Signed{Stable: s.Stable, Candidate: s.Candidate, Directive: d}
}
