package rollout

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxStages is how many stages a rollout can have.
const MaxStages = 32

// MaxChecks is how many checks it can have.
const MaxChecks = 32

// MaxAsked is how many can be asked at a gate.
const MaxAsked = 8

// WithDefaults returns the spec with what it does not say filled in. Stages that give no gate get the one that is given.
func (s Spec) WithDefaults() Spec {
	s.Cohort, s.OnAbort, s.Supersede = or(s.Cohort, EachRelease), or(s.OnAbort, Hold), or(s.Supersede, Restart)
	s.Deadline, s.LostAfter, s.RebootGrace = or(s.Deadline, 2*time.Hour), or(s.LostAfter, 3), or(s.RebootGrace, 10*time.Minute)
	s.Abort.Failed = or(s.Abort.Failed, Limit{Percent: 5, Min: 3})
	s.Abort.Lost = or(s.Abort.Lost, Limit{Percent: 3, Min: 3})
	s.Stages, s.Checks = slices.Clone(s.Stages), slices.Clone(s.Checks)
	if len(s.Stages) == 0 {
		s.Stages = []Stage{{Name: "all", Size: Share{Percent: 100}}}
	}
	for i := range s.Stages {
		g := &s.Stages[i].Gate
		g.Soak, g.Checkins, g.Success, g.OnEmpty = or(g.Soak, 10*time.Minute), or(g.Checkins, 2), or(g.Success, 98), or(g.OnEmpty, Block)
	}
	for i := range s.Checks {
		s.Checks[i].For = or(s.Checks[i].For, 2)
	}
	return s
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Validate reports everything that is wrong with a spec that has its defaults.
func (s Spec) Validate() error {
	var faults []error
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if s.Channel == "" {
		wrong("channel: it is missing")
	}
	if len(s.Stages) > MaxStages {
		wrong("stages: there are %d, and at most %d are allowed", len(s.Stages), MaxStages)
	}
	names := map[string]bool{}
	for i, st := range s.Stages {
		if st.Name == "" || names[st.Name] {
			wrong("stages[%d]: it needs a name of its own", i)
		}
		names[st.Name] = true
		faults = append(faults, st.faults()...)
	}
	if n := len(s.Stages); n > 0 && (s.Stages[n-1].Size != Share{Percent: 100} || s.Stages[n-1].When != "") {
		wrong("stages: the last one, %s, must have the size 100%% and no condition, or nodes would get the bundle that were in no stage", s.Stages[n-1].Name)
	}
	faults = append(faults, s.ruleFaults()...)
	return errors.Join(faults...)
}

func (st Stage) faults() (faults []error) {
	wrong := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("stage %s: "+format, append([]any{st.Name}, args...)...))
	}
	if st.Size.IsZero() {
		wrong("size: it is missing or zero")
	}
	if st.Gate.Success < 0 || st.Gate.Success > 100 {
		wrong("gate.success: %g is no percentage", st.Gate.Success)
	}
	if st.Gate.Soak < 0 || st.Gate.Checkins < 1 {
		wrong("gate: soak may not be negative, and checkins must be at least 1")
	}
	if st.Approve.Count < 0 || st.Approve.Count > 16 {
		wrong("approve.count: %d is not between 0 and 16", st.Approve.Count)
	}
	for name, ask := range map[string]Ask{"gate": st.Gate.Ask, "approve": st.Approve.Ask} {
		if len(ask.Of) > MaxAsked || ask.Deadline < 0 || slices.Contains(ask.Of, "") || len(slices.Compact(slices.Sorted(slices.Values(ask.Of)))) < len(ask.Of) {
			wrong("%s.ask: it needs at most %d different names, and a deadline that is not negative", name, MaxAsked)
		}
	}
	if st.Approve.OnlyCommits && (st.Approve.File == "" || st.Approve.Count == 0) {
		wrong("approve.only_commits: it needs a file, and a count of at least 1")
	}
	if !slices.Contains([]OnEmpty{Block, Skip}, st.Gate.OnEmpty) {
		wrong("gate.on_empty: %q is neither block nor skip", st.Gate.OnEmpty)
	}
	return faults
}

func (s Spec) ruleFaults() (faults []error) {
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for name, l := range map[string]Limit{"failed": s.Abort.Failed, "lost": s.Abort.Lost} {
		if l.Percent < 0 || l.Percent > 100 || l.Min < 1 {
			wrong("abort.%s: it needs a percentage and a least number of nodes (min) of at least 1", name)
		}
	}
	if len(s.Checks) > MaxChecks {
		wrong("checks: there are %d, and at most %d are allowed", len(s.Checks), MaxChecks)
	}
	for i, c := range s.Checks {
		if c.Name == "" || c.Expr == "" || c.For < 1 || slices.ContainsFunc(s.Checks[:i], func(b Check) bool { return b.Name == c.Name }) {
			wrong("checks[%d]: it needs a name of its own, an expression, and a for of at least 1", i)
		}
		if l := c.Abort; l.set() && (l.Percent <= 0 || l.Percent > 100 || l.Min < 1) {
			wrong("checks[%d].abort: it needs a percentage and a least number of nodes (min) of at least 1", i)
		}
	}
	if s.Deadline <= 0 || s.LostAfter < 2 || s.RebootGrace < 0 {
		wrong("deadline must be positive, lost_after at least 2 intervals, and reboot_grace not negative")
	}
	if !slices.Contains([]Cohort{EachRelease, Fixed}, s.Cohort) {
		wrong("cohort: %q is neither release nor fixed", s.Cohort)
	}
	if !slices.Contains([]OnAbort{Hold, Revert}, s.OnAbort) {
		wrong("on_abort: %q is neither hold nor revert", s.OnAbort)
	}
	if !slices.Contains([]Supersede{Restart, FinishStage, Queue}, s.Supersede) {
		wrong("supersede: %q is none of restart, finish-stage and queue", s.Supersede)
	}
	return faults
}
