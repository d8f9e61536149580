package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"vigo.dev/pkg/expr"
)

// A Source gives documents by their digests; those that it does not have are left out.
type Source interface {
	Facets(ctx context.Context, digests []string) (map[string]json.RawMessage, error)
}

// Search returns the names of the nodes for which a condition holds, sorted. Documents that the condition looks at as a
// whole are read from the source, the others not at all. A condition that cannot be evaluated for a node does not hold for
// it, and the first such error is returned beside the others. What is known of nodes beside their traits is given by more, under
// the name of a trait.
func (x *Index) Search(ctx context.Context, cond *expr.Cond, docs Source, more ...Known) (found []string, err error) {
	many, err := cond.ForMany()
	if err != nil {
		return nil, err
	}
	return x.view(many.Reads, many.Patterns, more).search(ctx, many, docs)
}

// search returns the names of the rows for which a condition holds.
func (v *view) search(ctx context.Context, many *expr.Many, docs Source) (found []string, err error) {
	if err := v.load(ctx, docs); err != nil {
		return nil, err
	}
	judged := newOutcomes(v.columns)
	for row, name := range v.names {
		if row%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		outcome := judged.of(row)
		if *outcome == unknown {
			holds, failed := v.judge(many, row)
			if failed != nil && err == nil {
				err = fmt.Errorf("%s: %w", name, failed)
			}
			*outcome = outcomeOf(holds)
		}
		if *outcome == holding {
			found = append(found, name)
		}
	}
	return found, err
}

// view is what a condition looks at, of all nodes at one moment.
type view struct {
	names   []string
	columns []seen
	vars    map[string]any // of the row that is judged
}

// seen is one thing a condition looks at.
type seen struct {
	read    expr.Read
	rows    []uint32 // by row: index into texts, or, of whole documents, into digests
	most    uint32   // of rows
	texts   []string // JSON
	digests []string
	label   bool
	decoded map[uint32]any
}

func (x *Index) view(reads []expr.Read, patterns []string, more []Known) *view {
	names, entries := x.sorted()
	defer x.mu.RUnlock()
	return x.viewOf(names, entries, reads, patterns, more)
}

// viewOf is of some nodes. The caller holds the lock.
func (x *Index) viewOf(names []string, entries []*entry, reads []expr.Read, patterns []string, more []Known) *view {
	v := &view{names: names, vars: map[string]any{}}
	for i, pattern := range patterns {
		v.columns = append(v.columns, ofPattern(expr.Read{Name: expr.Matched(i)}, pattern, names))
	}
	for _, r := range reads {
		if at := slices.IndexFunc(more, func(k Known) bool { return k.Name == r.Name }); at >= 0 {
			if r.Key = ""; !slices.ContainsFunc(v.columns, func(c seen) bool { return c.read == r }) {
				v.columns = append(v.columns, ofKnown(more[at], names))
			}
		} else if s := x.sections[r.Name]; s != nil {
			v.columns = append(v.columns, ofTrait(s, r, entries))
		} else {
			v.columns = append(v.columns, ofLabel(r, names, entries))
		}
	}
	return v
}

func ofTrait(s *section, r expr.Read, entries []*entry) seen {
	if s.opaque {
		r.Key = ""
	}
	c := seen{read: r, rows: make([]uint32, len(entries)), decoded: map[uint32]any{}}
	if r.Key == "" {
		c.digests, c.most = slices.Clone(s.digests), uint32(len(s.digests)-1)
		for i, e := range entries {
			c.rows[i] = s.at(e.slot)
		}
		return c
	}
	values, texts := s.values(r.Key)
	c.texts, c.most = texts, uint32(len(texts)-1)
	for i, e := range entries {
		c.rows[i] = values[s.at(e.slot)]
	}
	return c
}

func ofLabel(r expr.Read, names []string, entries []*entry) seen {
	c := seen{read: r, rows: make([]uint32, len(names)), label: true, texts: []string{""}, decoded: map[uint32]any{}}
	if r.Name == "node" {
		c.texts = append(c.texts, names...)
		for i := range c.rows {
			c.rows[i] = uint32(i + 1)
		}
		c.most = uint32(len(names))
		return c
	}
	known := map[string]uint32{}
	for i, e := range entries {
		value, has := e.labels[r.Name]
		if !has {
			continue
		}
		at, again := known[value]
		if !again {
			at = uint32(len(c.texts))
			known[value] = at
			c.texts = append(c.texts, value)
		}
		c.rows[i] = at
	}
	c.most = uint32(len(c.texts) - 1)
	return c
}

// load reads and decodes what is looked at as a whole.
func (v *view) load(ctx context.Context, docs Source) error {
	const atOnce = 500
	for i := range v.columns {
		c := &v.columns[i]
		if c.digests == nil {
			continue
		}
		var wanted []string
		ids := map[string]uint32{}
		for _, id := range c.rows {
			if d := c.digests[id]; id != 0 && ids[d] == 0 {
				ids[d] = id
				wanted = append(wanted, d)
			}
		}
		for len(wanted) > 0 {
			n := min(atOnce, len(wanted))
			found, err := docs.Facets(ctx, wanted[:n])
			if err != nil {
				return err
			}
			for digest, doc := range found {
				var value any
				if err := json.Unmarshal(doc, &value); err != nil {
					return fmt.Errorf("reading document %s: %w", digest, err)
				}
				c.decoded[ids[digest]] = value
			}
			wanted = wanted[n:]
		}
	}
	return nil
}

// judge evaluates a condition for one row, and so for all that are like it.
func (v *view) judge(cond *expr.Many, row int) (bool, error) {
	if err := v.fill(row); err != nil {
		return false, err
	}
	return cond.Eval(v.vars)
}

// fill puts what the nodes of a row say into the variables.
func (v *view) fill(row int) error {
	vars := v.vars
	clear(vars)
	for i := range v.columns {
		c := &v.columns[i]
		value, err := c.value(c.rows[row])
		if err != nil {
			return err
		}
		switch {
		case value == nil:
		case c.read.Key == "":
			vars[c.read.Name] = value // all of it, over what was put there of its keys
		default:
			doc, ok := vars[c.read.Name].(map[string]any)
			if !ok {
				doc = map[string]any{}
				vars[c.read.Name] = doc
			}
			doc[c.read.Key] = value
		}
	}
	return nil
}

// value decodes a value, once.
func (c *seen) value(at uint32) (any, error) {
	if at == 0 {
		return nil, nil
	}
	if v, ok := c.decoded[at]; ok || c.digests != nil {
		return v, nil
	}
	if c.label {
		return c.texts[at], nil
	}
	var v any
	if err := json.Unmarshal([]byte(c.texts[at]), &v); err != nil {
		return nil, fmt.Errorf("reading %s.%s: %w", c.read.Name, c.read.Key, err)
	}
	c.decoded[at] = v
	return v, nil
}
