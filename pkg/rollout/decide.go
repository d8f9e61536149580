package rollout

import (
	"fmt"
	"slices"
)

// A Why is why a node runs what it runs.
type Why string

// The reasons of a node.
const (
	WhyStable    Why = "stable"         // there is no other, or it is not its turn yet
	WhyPinned    Why = "pinned"         // an operator of the node pinned it
	WhyAdopted   Why = "adopted"        // it has the candidate and keeps it
	WhyAdmitted  Why = "admitted"       // it is its turn
	WhyKept      Why = "kept"           // it has a bundle of an earlier rollout and is not taken back
	WhyReverted  Why = "reverted"       // what is new was taken back, and is left by whoever has it
	WhyExpired   Why = "expired"        // the pointer is too old to change anything
	WhyAside     Why = "put-aside"      // the node could not run it
	WhyUndecided Why = "cannot-tell"    // the condition of a stage could not be evaluated
	WhyPaused    Why = "paused"         // it would be its turn, and nobody is let in at present
	WhyWindow    Why = "waiting-window" // it would be its turn, and the window is closed
)

// A Place is what a node knows of itself.
type Place struct {
	Node    string
	Current string // digest in force; empty: none
	Pinned  string // digest that an operator of the node has it stay with; empty: none
	Expired bool   // the pointer has expired
	// Aside are digests that this node could not run.
	Aside []string
	// Meets evaluates the condition of a stage for this node.
	Meets func(when string) (bool, error)
}

// A Decision is the bundle a node should have, and why.
type Decision struct {
	Target string // digest
	Why    Why
	Stage  string // that admitted it
	Err    error  // why it cannot tell
}

// Decide says what a node should run under a pointer. It never goes back by itself: only Revert, a new stable bundle and a pin
// take a node from the bundle it has. A pointer that has expired changes nothing for a node that has something.
func Decide(s Signed, p Place) Decision {
	d := s.Directive
	switch {
	case p.Pinned != "":
		return Decision{Target: p.Pinned, Why: WhyPinned}
	case p.Expired && p.Current != "":
		return Decision{Target: p.Current, Why: WhyExpired}
	case d == nil || s.Candidate == "":
		return Decision{Target: s.Stable, Why: WhyStable}
	case p.Current == s.Stable && s.Candidate == s.Stable:
		return Decision{Target: s.Stable, Why: WhyStable}
	}
	taken := func(digest string) bool { return slices.Contains(d.Revert, digest) }
	if p.Current == s.Candidate && !taken(s.Candidate) {
		return Decision{Target: s.Candidate, Why: WhyAdopted}
	}
	var undecided error
	if !taken(s.Candidate) {
		stage, err := d.admits(p)
		switch {
		case stage != "" && slices.Contains(p.Aside, s.Candidate):
			return Decision{Target: back(s, p), Why: WhyAside, Stage: stage}
		case stage != "" && d.Paused:
			return Decision{Target: back(s, p), Why: WhyPaused, Stage: stage}
		case stage != "" && d.Closed:
			return Decision{Target: back(s, p), Why: WhyWindow, Stage: stage}
		case stage != "":
			return Decision{Target: s.Candidate, Why: WhyAdmitted, Stage: stage}
		}
		undecided = err
	}
	switch {
	case p.Current != "" && taken(p.Current):
		return Decision{Target: s.Stable, Why: WhyReverted}
	case undecided != nil:
		return Decision{Target: back(s, p), Why: WhyUndecided, Err: undecided}
	case slices.Contains(d.Keep, p.Current) && p.Current != s.Stable:
		return Decision{Target: p.Current, Why: WhyKept}
	case taken(s.Candidate):
		return Decision{Target: s.Stable, Why: WhyReverted}
	}
	return Decision{Target: s.Stable, Why: WhyStable}
}

// back is what a node has that does not take the candidate.
func back(s Signed, p Place) string {
	if slices.Contains(s.Directive.Keep, p.Current) && !slices.Contains(s.Directive.Revert, p.Current) {
		return p.Current
	}
	return s.Stable
}

// admits returns the first stage that lets a node in. A condition that cannot be evaluated lets nobody in.
func (d *Directive) admits(p Place) (string, error) {
	bucket := BucketOf(d.Salt, p.Node)
	var failed error
	for _, a := range d.Admit {
		if bucket > a.Max {
			continue
		}
		if a.When == "" {
			return a.Stage, nil
		}
		switch ok, err := p.Meets(a.When); {
		case err != nil:
			failed = fmt.Errorf("deciding whether stage %s lets this node in: %w", a.Stage, err)
		case ok:
			return a.Stage, nil
		}
	}
	return "", failed
}
