package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"vigo.dev/pkg/expr"
)

// Show returns what some nodes have at some paths, row by row; nil is nothing.
func (x *Index) Show(ctx context.Context, nodes []string, paths []Path, docs Source) ([][]any, error) {
	table := make([][]any, len(nodes))
	for i := range table {
		table[i] = make([]any, len(paths))
	}
	for at, p := range paths {
		err := x.each(ctx, nodes, p, docs, func(row int, value any) { table[row][at] = value })
		if err != nil {
			return nil, err
		}
	}
	return table, nil
}

// A Count is how many nodes have a value.
type Count struct {
	Value any `json:"value"` // null: nothing
	Nodes int `json:"nodes"`
}

// Count returns the values some nodes have at a path, those that most have first.
func (x *Index) Count(ctx context.Context, nodes []string, p Path, docs Source) ([]Count, error) {
	of := map[string]int{}
	list := []Count{}
	err := x.each(ctx, nodes, p, docs, func(_ int, value any) {
		text, err := json.Marshal(value)
		if err != nil { // it was made of JSON
			return
		}
		at, known := of[string(text)]
		if !known {
			at = len(list)
			of[string(text)] = at
			list = append(list, Count{Value: value})
		}
		list[at].Nodes++
	})
	slices.SortStableFunc(list, func(a, b Count) int { return cmp.Compare(b.Nodes, a.Nodes) })
	return list, err
}

// each calls do with the value of each of some nodes, which are sorted.
func (x *Index) each(ctx context.Context, nodes []string, p Path, docs Source, do func(row int, value any)) error {
	read, keys := expr.Read{Name: p.Name}, p.Keys
	if len(keys) > 0 {
		read.Key = keys[0]
	}
	v := x.view([]expr.Read{read}, nil, nil)
	if v.columns[0].read.Key != "" && !v.columns[0].label {
		keys = keys[1:]
	}
	rows := make([]int, 0, len(nodes))
	for _, node := range nodes {
		row, found := slices.BinarySearch(v.names, node)
		if !found {
			row = -1
		}
		rows = append(rows, row)
	}
	c := &v.columns[0]
	if c.digests != nil { // only the documents of these nodes are read
		wanted := make([]uint32, len(c.rows))
		for _, row := range rows {
			if row >= 0 {
				wanted[row] = c.rows[row]
			}
		}
		c.rows = wanted
	}
	if err := v.load(ctx, docs); err != nil {
		return err
	}
	for i, row := range rows {
		if row < 0 {
			do(i, nil)
			continue
		}
		value, err := c.value(c.rows[row])
		if err != nil {
			return err
		}
		do(i, into(value, keys))
	}
	return nil
}
