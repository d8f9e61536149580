package inventory

import (
	"encoding/binary"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/expr"
)

// An outcome is what a condition is for nodes that are the same in all it looks at.
type outcome uint8

const (
	unknown outcome = iota
	holding
	failing
)

func outcomeOf(holds bool) outcome {
	if holds {
		return holding
	}
	return failing
}

// dense bounds the combinations of values that have a place each.
const dense = 1 << 20

// outcomes are those of all combinations of values.
type outcomes struct {
	columns []seen
	places  []outcome // by the values of all columns; nil: there are too many combinations
	sparse  map[string]*outcome
	key     []byte
}

func newOutcomes(columns []seen) *outcomes {
	o := &outcomes{columns: columns, key: make([]byte, 4*len(columns))}
	combinations := 1
	for _, c := range columns {
		if combinations *= int(c.most) + 1; combinations > dense {
			o.sparse = map[string]*outcome{}
			return o
		}
	}
	o.places = make([]outcome, combinations)
	return o
}

// of returns the place of the outcome for a row.
func (o *outcomes) of(row int) *outcome {
	if o.places != nil {
		at := 0
		for i := range o.columns {
			at = at*(int(o.columns[i].most)+1) + int(o.columns[i].rows[row])
		}
		return &o.places[at]
	}
	for i := range o.columns {
		binary.NativeEndian.PutUint32(o.key[4*i:], o.columns[i].rows[row])
	}
	place, known := o.sparse[string(o.key)]
	if !known {
		place = new(outcome)
		o.sparse[string(o.key)] = place
	}
	return place
}

// ofPattern is which names match a pattern. They are sorted, so those with the text that it begins with are beside each other.
func ofPattern(r expr.Read, pattern string, names []string) seen {
	c := seen{read: r, rows: make([]uint32, len(names)), most: 2, decoded: map[uint32]any{1: false, 2: true}}
	for i := range c.rows {
		c.rows[i] = 1
	}
	begin := pattern
	if at := strings.IndexAny(pattern, `*?[\`); at >= 0 {
		begin = pattern[:at]
	}
	first, _ := slices.BinarySearch(names, begin)
	for i := first; i < len(names) && strings.HasPrefix(names[i], begin); i++ {
		if matches, err := path.Match(pattern, names[i]); err == nil && matches {
			c.rows[i] = 2
		}
	}
	return c
}
