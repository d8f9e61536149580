package rollout_test

import (
	"errors"
	"strings"
	"testing"

	"vigo.dev/pkg/rollout"
)

func always(string) (bool, error) { return true, nil }

// TestDecide: why a node runs what it runs.
func TestDecide(t *testing.T) {
	t.Parallel()
	all := []rollout.Admit{{Stage: "rest", Max: rollout.Everyone}}
	some := []rollout.Admit{{Stage: "canary", When: "staging", Max: rollout.Everyone}}
	at := func(d rollout.Directive) rollout.Signed {
		d.ID, d.Salt = "r", "B"
		return rollout.Signed{Stable: "A", Candidate: "B", Directive: &d}
	}
	for name, c := range map[string]struct {
		signed rollout.Signed
		place  rollout.Place
		target string
		why    rollout.Why
	}{
		"no rollout":                     {rollout.Signed{Stable: "A"}, rollout.Place{Current: "0"}, "A", rollout.WhyStable},
		"not its turn":                   {at(rollout.Directive{}), rollout.Place{Current: "A"}, "A", rollout.WhyStable},
		"its turn":                       {at(rollout.Directive{Admit: all}), rollout.Place{Current: "A"}, "B", rollout.WhyAdmitted},
		"its turn, at the first":         {at(rollout.Directive{Admit: all}), rollout.Place{}, "B", rollout.WhyAdmitted},
		"it has it":                      {at(rollout.Directive{}), rollout.Place{Current: "B"}, "B", rollout.WhyAdopted},
		"it has it, and a label changed": {at(rollout.Directive{Admit: some}), rollout.Place{Current: "B", Meets: func(string) (bool, error) { return false, nil }}, "B", rollout.WhyAdopted},
		"paused":                         {at(rollout.Directive{Admit: all, Paused: true}), rollout.Place{Current: "A"}, "A", rollout.WhyPaused},
		"outside of the window":          {at(rollout.Directive{Admit: all, Closed: true}), rollout.Place{Current: "A"}, "A", rollout.WhyWindow},
		"it has it, and the window shut": {at(rollout.Directive{Admit: all, Closed: true}), rollout.Place{Current: "B"}, "B", rollout.WhyAdopted},
		"paused, and it could not":       {at(rollout.Directive{Admit: all, Paused: true}), rollout.Place{Current: "A", Aside: []string{"B"}}, "A", rollout.WhyAside},
		"paused, and it has it":          {at(rollout.Directive{Admit: all, Paused: true}), rollout.Place{Current: "B"}, "B", rollout.WhyAdopted},
		"taken back":                     {at(rollout.Directive{Revert: []string{"B"}}), rollout.Place{Current: "B"}, "A", rollout.WhyReverted},
		"taken back, it never had it":    {at(rollout.Directive{Revert: []string{"B"}}), rollout.Place{Current: "A"}, "A", rollout.WhyReverted},
		"of a rollout before":            {at(rollout.Directive{Keep: []string{"X"}}), rollout.Place{Current: "X"}, "X", rollout.WhyKept},
		"of a rollout before, its turn":  {at(rollout.Directive{Keep: []string{"X"}, Admit: all}), rollout.Place{Current: "X"}, "B", rollout.WhyAdmitted},
		"of a rollout before, to leave":  {at(rollout.Directive{Keep: []string{"X"}, Revert: []string{"X"}}), rollout.Place{Current: "X"}, "A", rollout.WhyReverted},
		"pinned":                         {at(rollout.Directive{Admit: all}), rollout.Place{Current: "A", Pinned: "P"}, "P", rollout.WhyPinned},
		"an old pointer":                 {at(rollout.Directive{Admit: all}), rollout.Place{Current: "A", Expired: true}, "A", rollout.WhyExpired},
		"it could not run it":            {at(rollout.Directive{Admit: all}), rollout.Place{Current: "A", Aside: []string{"B"}}, "A", rollout.WhyAside},
		"a condition that fails":         {at(rollout.Directive{Admit: some}), rollout.Place{Current: "A", Meets: func(string) (bool, error) { return false, errors.New("no such label") }}, "A", rollout.WhyUndecided},
	} {
		c.place.Node = "n"
		if c.place.Meets == nil {
			c.place.Meets = always
		}
		d := rollout.Decide(c.signed, c.place)
		if d.Target != c.target || d.Why != c.why || (d.Err != nil) != (c.why == rollout.WhyUndecided) {
			t.Errorf("%s: %+v, want %s because %s", name, d, c.target, c.why)
		}
	}
}

// TestLawful: what a report service that was taken over may not have signed.
func TestLawful(t *testing.T) {
	t.Parallel()
	prev := rollout.Signed{Stable: "A", Candidate: "B", Directive: &rollout.Directive{
		ID: "r", Salt: "B", Keep: []string{"X"}, Revert: []string{"Y"}, Admit: []rollout.Admit{{Stage: "canary", When: "w", Max: 5}}}}
	with := func(change func(*rollout.Signed)) rollout.Signed {
		next, d := prev, *prev.Directive
		d.Admit = append([]rollout.Admit(nil), d.Admit...)
		next.Directive = &d
		change(&next)
		return next
	}
	for name, c := range map[string]struct {
		next rollout.Signed
		says string
	}{
		"the same": {with(func(*rollout.Signed) {}), ""},
		"wider":    {with(func(s *rollout.Signed) { s.Directive.Admit[0].Max = 9 }), ""},
		"another stage": {with(func(s *rollout.Signed) {
			s.Directive.Admit = append(s.Directive.Admit, rollout.Admit{Stage: "rest", Max: 1})
		}), ""},
		"over":                       {rollout.Signed{Stable: "B"}, ""},
		"aborted":                    {with(func(s *rollout.Signed) { s.Directive.Admit = nil }), ""},
		"taken back":                 {with(func(s *rollout.Signed) { s.Directive.Admit, s.Directive.Revert = nil, []string{"Y", "B"} }), ""},
		"a newer bundle":             {rollout.Signed{Stable: "A", Candidate: "C", Directive: &rollout.Directive{ID: "s", Salt: "C", Keep: []string{"X", "B"}, Revert: []string{"Y"}}}, ""},
		"narrower":                   {with(func(s *rollout.Signed) { s.Directive.Admit[0].Max = 4 }), "lets fewer in"},
		"another condition":          {with(func(s *rollout.Signed) { s.Directive.Admit[0].When = "" }), "lets fewer in"},
		"another salt":               {with(func(s *rollout.Signed) { s.Directive.Salt = "z" }), "salt"},
		"an old bundle as stable":    {rollout.Signed{Stable: "0"}, "which was no candidate"},
		"an old bundle as candidate": {rollout.Signed{Stable: "A", Candidate: "0", Directive: &rollout.Directive{ID: "s", Keep: []string{"X", "B"}, Revert: []string{"Y"}}}, "neither the one before"},
		"nodes that would go back":   {rollout.Signed{Stable: "A", Candidate: "C", Directive: &rollout.Directive{ID: "s", Keep: []string{"X"}}}, "nodes that have B would go back"},
		"what was taken back again":  {with(func(s *rollout.Signed) { s.Directive.Revert = nil }), "comes again"},
		"a candidate for everyone":   {rollout.Signed{Stable: "A", Candidate: "B"}, "come together"},
		"stable to be left":          {with(func(s *rollout.Signed) { s.Directive.Revert = []string{"Y", "A"} }), "to be left for itself"},
	} {
		err := rollout.Lawful(prev, c.next, "C")
		switch {
		case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestASpecIsChecked: everything that is wrong is said at once.
func TestASpecIsChecked(t *testing.T) {
	t.Parallel()
	bad := rollout.Spec{
		Stages: []rollout.Stage{
			{Name: "a", Size: rollout.Share{Percent: 5}, Gate: rollout.Gate{Success: 120, OnEmpty: "maybe"}},
			{Name: "a"},
		},
		Checks: []rollout.Check{{Name: "c"}}, OnAbort: "panic", Supersede: "later", Cohort: "lucky",
		Abort: rollout.Abort{Failed: rollout.Limit{Percent: 5}}, LostAfter: 1,
	}.WithDefaults()
	err := bad.Validate()
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{"channel", "stages[1]: it needs a name", "size: it is missing", "120 is no percentage", `"maybe"`, "last one", "checks[0]", `"panic"`, `"later"`, `"lucky"`, "abort.failed", "lost_after"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if err := (rollout.Spec{Channel: "stable"}).WithDefaults().Validate(); err != nil {
		t.Errorf("the shortest spec: %v", err)
	}
}
