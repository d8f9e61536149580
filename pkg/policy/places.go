package policy

import (
	"encoding/json"
	"slices"
	"strings"
)

// Places are where the attributes of a declaration are written, by their keys: most declarations are never asked, so they are
// kept small. In JSON they are an object of pairs of line and column.
type Places []Place

// A Place is where one attribute is written.
type Place struct {
	Key       string
	Line, Col int32
}

// Of returns where an attribute is written.
func (p Places) Of(key string) (line, col int, ok bool) {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i].Key == key {
			return int(p[i].Line), int(p[i].Col), true
		}
	}
	return 0, 0, false
}

func (p *Places) add(key string, line, col int) {
	*p = append(*p, Place{key, int32(line), int32(col)})
}

// MarshalJSON implements [json.Marshaler].
func (p Places) MarshalJSON() ([]byte, error) {
	all := make(map[string][2]int, len(p))
	for _, at := range p {
		all[at.Key] = [2]int{int(at.Line), int(at.Col)}
	}
	return json.Marshal(all)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *Places) UnmarshalJSON(data []byte) error {
	var all map[string][2]int
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*p = nil
	for key, at := range all {
		p.add(key, at[0], at[1])
	}
	slices.SortFunc(*p, func(a, b Place) int { return strings.Compare(a.Key, b.Key) })
	return nil
}
