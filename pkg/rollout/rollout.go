// Package rollout decides who runs a new bundle, when, and whether it goes on: the state machine of a rollout, the numbers a
// pointer carries for it, and the decision of a node.
//
// Everything here is a pure function. The report service calls [Step] with what it knows of the nodes; the controller checks
// with [Lawful] what the service asks it to sign; nodes call [Decide]; the simulator and "explain" call all of them. So each
// gives the same answer for the same input, whenever and wherever it is asked.
//
// It refuses to look at a clock, to evaluate a condition, to store or send anything: times, the stages whose condition a node
// meets and the checks that hold for it are given.
package rollout

import (
	"slices"
	"strings"
	"time"
)

// A Spec is what policy says of the rollouts of a channel. See [Spec.Validate] for what is refused.
type Spec struct {
	Channel string  `json:"channel"`
	Stages  []Stage `json:"stages"`
	// Cohort says whether other nodes are first each time, or always the same.
	Cohort Cohort `json:"cohort,omitempty"`
	Abort  Abort  `json:"abort,omitzero"`
	// Checks must hold for nodes that have the candidate.
	Checks []Check `json:"checks,omitempty"`
	// OnAbort says what becomes of the nodes that have it when it is aborted.
	OnAbort OnAbort `json:"on_abort,omitempty"`
	// Deadline is how long a stage may take, counted while it may proceed: in its windows, with reports, not paused.
	Deadline time.Duration `json:"deadline"`
	// MaxInFlight is how many nodes may be between admission and health at a time, of those that live; zero: no limit.
	MaxInFlight Share `json:"max_in_flight,omitzero"`
	// LostAfter is how long a node that has adopted may be silent, in its own intervals.
	LostAfter int `json:"lost_after"`
	// RebootGrace is how long it may be silent when it said that it is about to reboot.
	RebootGrace time.Duration `json:"reboot_grace"`
	Supersede   Supersede     `json:"supersede,omitempty"`
	// Immediate leaves the stages out: everyone is admitted at once, under the rules of Abort.
	Immediate bool `json:"immediate,omitempty"`
}

// A Stage is a part of a rollout: so many of the nodes that meet a condition.
type Stage struct {
	Name string `json:"name"`
	When string `json:"when,omitempty"` // condition over labels; empty: every node
	// Size is how many of the live nodes that meet the condition run the candidate when the stage is over, those of stages
	// before it among them.
	Size    Share   `json:"size"`
	Gate    Gate    `json:"gate"`
	Approve Approve `json:"approve,omitzero"`
}

// A Gate is what must be true of the members of a stage before the next one begins.
type Gate struct {
	Soak     time.Duration `json:"soak"`     // how long a node must have been well
	Checkins int           `json:"checkins"` // how often it must have reported since it adopted
	Success  float64       `json:"success"`  // percent of the members that are not excused
	OnEmpty  OnEmpty       `json:"on_empty,omitempty"`
	Ask      Ask           `json:"ask,omitzero"`
}

// An Ask is who is asked outside of the fleet, before a stage begins or when its gate would be open: all of them must accept.
type Ask struct {
	Of       []string      `json:"of,omitempty"`       // names of webhooks the report service knows
	Deadline time.Duration `json:"deadline,omitempty"` // for them to accept; zero: that of the stage
}

// An Approve is who must agree before a stage begins.
type Approve struct {
	Count int      `json:"count,omitempty"`
	By    []string `json:"by,omitempty"` // roles or groups; empty: whoever may operate
	// File is where people may agree by a signed commit to the policy, too; empty: they may not.
	File string `json:"file,omitempty"`
	// OnlyCommits makes that the only way. Then the controller counts them itself before it signs a pointer that opens the stage.
	OnlyCommits bool `json:"only_commits,omitempty"`
	// Ask is who outside of the fleet must accept as well, when the people have agreed.
	Ask Ask `json:"ask,omitzero"`
}

// May reports whether somebody is one of those whom a stage asks, by one of their names.
func (a Approve) May(by string) bool {
	return len(a.By) == 0 || slices.ContainsFunc(strings.Split(by, ","), func(name string) bool { return slices.Contains(a.By, strings.TrimSpace(name)) })
}

// An Abort says when a rollout ends badly. All adopters count, of every stage.
type Abort struct {
	Failed Limit `json:"failed,omitzero"`
	Lost   Limit `json:"lost,omitzero"`
}

// A Limit is passed when both parts are reached: a percentage alone would let one node of three stop a fleet, a number alone
// three of 100,000. The zero Limit is never passed.
type Limit struct {
	Percent float64 `json:"percent"`
	Min     int     `json:"min"`
}

func (l Limit) set() bool { return l.Min > 0 || l.Percent > 0 }

func (l Limit) passed(n, of int) bool {
	return l.set() && n > 0 && n >= l.Min && float64(n)*100 >= l.Percent*float64(of)
}

// A Check is a condition over the traits and results of a node that has the candidate.
type Check struct {
	Name string `json:"name"`
	Expr string `json:"expr"`
	For  int    `json:"for"` // evaluations in sequence that it must fail before the node counts as failed
	// Abort is how many nodes may fail it. Those that fail nothing else are not counted by the limit of all that failed.
	Abort Limit `json:"abort,omitzero"`
}

// How the words of a Spec are written.
type (
	// Cohort is how nodes are drawn.
	Cohort string
	// OnAbort is what becomes of adopters.
	OnAbort string
	// OnEmpty is what a stage without nodes does.
	OnEmpty string
	// Supersede is what a newer bundle does to a rollout under way.
	Supersede string
)

// The words; the first of each is the default.
const (
	EachRelease Cohort = "release"
	Fixed       Cohort = "fixed"

	Hold   OnAbort = "hold"
	Revert OnAbort = "revert"

	Block OnEmpty = "block"
	Skip  OnEmpty = "skip"

	Restart     Supersede = "restart"
	FinishStage Supersede = "finish-stage"
	Queue       Supersede = "queue"
)
