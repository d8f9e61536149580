// Package glob finds, in a long list of patterns of path.Match, those that match a name, without trying each: policies name nodes
// one by one, twenty thousand of them, and a service asks for a hundred thousand.
//
// It refuses to say which patterns are good: who takes them in does. One that is malformed matches nothing.
package glob

import (
	"path"
	"slices"
	"strings"
)

// A List is patterns in an order that matters. It is never changed, and may be asked by many at once.
type List struct {
	names    map[string][]int // where each pattern stands that matches only itself
	patterns []pattern        // the others
}

type pattern struct {
	at   int
	text string
}

// NewList makes a list of patterns.
func NewList(patterns []string) List {
	l := List{names: make(map[string][]int, len(patterns))}
	for at, text := range patterns {
		if strings.ContainsAny(text, `*?[\`) {
			l.patterns = append(l.patterns, pattern{at, text})
		} else {
			l.names[text] = append(l.names[text], at)
		}
	}
	return l
}

// Matching returns the places of the patterns that match a name, in the order of the list.
func (l List) Matching(name string) []int {
	found := slices.Clone(l.names[name])
	for _, p := range l.patterns {
		if ok, err := path.Match(p.text, name); err == nil && ok {
			found = append(found, p.at)
		}
	}
	slices.Sort(found)
	return found
}
