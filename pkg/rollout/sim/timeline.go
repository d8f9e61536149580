package sim

import (
	"maps"
	"time"

	"vigo.dev/pkg/rollout"
)

// A Timeline is what a simulation showed.
type Timeline struct {
	Channel string               `json:"channel"`
	Seed    uint64               `json:"seed"`
	Nodes   int                  `json:"nodes"`
	Rates   Rates                `json:"rates"`
	Entries []Entry              `json:"entries"`
	Stages  []Stage              `json:"stages"`
	Phase   rollout.Phase        `json:"phase"`
	Reason  rollout.Reason       `json:"reason"`
	Detail  string               `json:"detail,omitempty"`
	After   Elapsed              `json:"after"` // the start: when it was over
	Counts  map[rollout.Word]int `json:"counts"`
	// Reached is how many nodes took the candidate, or died of it.
	Reached int `json:"reached"`

	steps int
}

// Elapsed is the time since the start; in documents it is written such as 12m30s.
type Elapsed time.Duration

// String renders it as [time.Duration] does.
func (e Elapsed) String() string { return time.Duration(e).String() }

// MarshalText implements [encoding.TextMarshaler].
func (e Elapsed) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (e *Elapsed) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*e = Elapsed(d)
	return err
}

// An Entry is something that happened.
type Entry struct {
	After  Elapsed              `json:"after"`
	At     time.Time            `json:"at"`
	What   string               `json:"what,omitempty"` // of the world around; the rest is of the rollout
	Phase  rollout.Phase        `json:"phase"`
	Reason rollout.Reason       `json:"reason"`
	Stage  string               `json:"stage,omitempty"`
	Detail string               `json:"detail,omitempty"`
	By     string               `json:"by,omitempty"`
	Counts map[rollout.Word]int `json:"counts"`
}

// A Stage is how a stage went.
type Stage struct {
	Name    string    `json:"name"`
	Members int       `json:"members"` // when it began
	Began   time.Time `json:"began,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Skipped bool      `json:"skipped,omitempty"`
}

// note takes down something that the rollout does not tell.
func (p *play) note(what string) {
	stage := ""
	if p.state.Stage < len(p.state.Spec.Stages) {
		stage = p.state.Spec.Stages[p.state.Stage].Name
	}
	p.out.Entries = append(p.out.Entries, Entry{After: Elapsed(p.after), At: p.now(), What: what, Phase: p.state.Phase, Reason: p.state.Reason, Stage: stage, Counts: maps.Clone(p.state.Counts)})
}

func (p *play) tell(t rollout.Transition) {
	p.out.Entries = append(p.out.Entries, Entry{After: Elapsed(p.after), At: t.At, Phase: t.To, Reason: t.Reason, Stage: t.Stage, Detail: t.Detail, By: t.By, Counts: maps.Clone(p.state.Counts)})
}

func (p *play) result() Timeline {
	out := p.out
	out.Channel, out.Seed, out.Nodes, out.Rates = p.Spec.Channel, p.Seed, len(p.nodes), p.Rates
	out.Phase, out.Reason, out.Detail, out.After, out.Counts = p.state.Phase, p.state.Reason, p.state.Detail, Elapsed(p.after), p.state.Counts
	for i, st := range p.state.Stages {
		out.Stages = append(out.Stages, Stage{Name: p.state.Spec.Stages[i].Name, Members: st.Members, Began: st.Began, Ended: st.Ended, Skipped: st.Skipped})
	}
	for _, n := range p.nodes {
		if n.bundle == p.Candidate || n.dead {
			out.Reached++
		}
	}
	return out
}
