package policy

import "fmt"

// Level is the level of the language that this program knows. A compact form says which level it needs, so that a program
// that would overlook a part of it refuses it instead:
//
//	1  everything that says nothing
//	2  foreach, windows and guardrails
//	3  guard
//	4  reboots
const Level = 4

// known returns an error if a part of a policy needs a higher level of the language.
func known(p *Policy) error {
	if p.Needs > Level {
		return levelError("the fleet", p.Needs)
	}
	for name, m := range p.Modules {
		if m.Needs > Level {
			return levelError("module "+name, m.Needs)
		}
	}
	return nil
}

func levelError(what string, level int) error {
	return fmt.Errorf("reading a policy: %s needs level %d of the language and this program knows level %d: a newer version of it is needed", what, level, Level)
}

// level records the level of the language that the document needs.
func (r *reader) level(n int) { r.needs = max(r.needs, n) }
