package inventory

import (
	"context"

	"vigo.dev/pkg/expr"
)

// Known is something that is known of nodes and is no trait, such as their last run: a document of each under one name.
type Known struct {
	Name string
	Doc  func(node string) string // JSON; "": there is none
}

// ofKnown is what is known of the nodes, each different document once.
func ofKnown(k Known, names []string) seen {
	c := seen{read: expr.Read{Name: k.Name}, rows: make([]uint32, len(names)), texts: []string{""}, decoded: map[uint32]any{}}
	at := map[string]uint32{"": 0}
	for i, name := range names {
		doc := k.Doc(name)
		id, there := at[doc]
		if !there {
			id = uint32(len(c.texts))
			at[doc] = id
			c.texts = append(c.texts, doc)
		}
		c.rows[i] = id
	}
	c.most = uint32(len(c.texts) - 1)
	return c
}

// Numbers evaluates an expression for some nodes, and returns the results that are numbers, in no particular order.
func (x *Index) Numbers(ctx context.Context, n *expr.Number, of []string, docs Source, more ...Known) ([]float64, error) {
	v := x.some(n.Reads, nil, of, more)
	if err := v.load(ctx, docs); err != nil {
		return nil, err
	}
	var numbers []float64
	for row := range v.names {
		if err := v.fill(row); err != nil {
			return nil, err
		}
		if value, ok := n.Eval(v.vars); ok {
			numbers = append(numbers, value)
		}
	}
	return numbers, ctx.Err()
}

// Among is [Index.Search] among some nodes, whose names are sorted.
func (x *Index) Among(ctx context.Context, cond *expr.Cond, of []string, docs Source, more ...Known) ([]string, error) {
	many, err := cond.ForMany()
	if err != nil {
		return nil, err
	}
	return x.some(many.Reads, many.Patterns, of, more).search(ctx, many, docs)
}

// some is a view of some nodes; those that are not known are left out.
func (x *Index) some(reads []expr.Read, patterns, of []string, more []Known) *view {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var names []string
	var entries []*entry
	for _, name := range of {
		if e, known := x.nodes[name]; known {
			names, entries = append(names, name), append(entries, e)
		}
	}
	return x.viewOf(names, entries, reads, patterns, more)
}
