package catalog

import (
	"maps"
	"slices"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// The names under which a resource with foreach sees what it is repeated for.
const (
	itemName = "item"
	keyName  = "key"
)

// item is one turn of a foreach.
type item struct {
	key   any // nil: it has none
	value any
}

// foreach adds a resource for each item. Its id stands for all of them together, and id[key] for one.
func (b *builder) foreach(u *unit, d *policy.Declaration) {
	over, err := u.env.value(d.Foreach)
	if err != nil {
		if u.applies {
			b.fail(d.Place("foreach"), "bad-template", firstHint(err), "foreach: %s", err)
		}
		b.without(u, d)
		return
	}
	items, what := itemsOf(over)
	switch {
	case !u.applies: // what its resources would be called is no mistake, whatever it is
	case what != "":
		b.fail(d.Place("foreach"), "bad-foreach", "a parameter without a value can have the default []", "foreach needs a list or a mapping, not %s", what)
	case len(items) > policy.MaxItems:
		b.fail(d.Place("foreach"), "too-large", "", "foreach makes at most %d resources, and this has %d items", policy.MaxItems, len(items))
		items = nil
	}
	b.without(u, d)
	schema, e := withItem(u.schema), u.env.repeated(d)
	if names, tainted := e.taint[itemTaint]; tainted && isList(over) {
		e.taint[keyTaint] = names
	}
	if _, tainted := e.taint.of(usesOfValue(d.Identity, e.taint).with(e)); tainted {
		b.fail(d.Pos, "secret-shown", "make it a mapping: its keys are no secrets", "the identity of a %s cannot hold a secret: it is its name in reports", d.Type)
		return
	}
	if u.applies {
		b.expectMore(len(items))
	}
	var made []int
	refers := refsOf(d, e) != nil
	for i, it := range items {
		if i == 0 || refers { // references are rendered later, with the names of their turn
			e = e.own()
		}
		alias := ""
		e.vars[itemName] = it.value
		delete(e.vars, keyName)
		if it.key != nil {
			e.vars[keyName] = it.key
			if _, secret := e.taint[keyTaint]; d.Alias != "" && !secret {
				alias = d.Alias + "[" + text(it.key) + "]"
			}
		}
		if at, ok := b.declaration(u, d, e, schema, alias); ok {
			made = append(made, at)
		}
	}
	if d.Alias != "" && len(made) > 0 {
		b.groups[u.Name+"/"+d.Alias] = made
	}
}

// repeated is what the resources of a declaration see: the item of its foreach holds the secrets of what it is an item of.
// The keys of a mapping are no secrets, and those of a list are part of it.
func (e env) repeated(d *policy.Declaration) env {
	names, tainted := e.taint.of(usesOfValue(d.Foreach, e.taint).with(e))
	if !tainted {
		return e
	}
	e.taint = maps.Clone(e.taint)
	if e.taint == nil {
		e.taint = taint{}
	}
	e.taint[itemTaint] = names
	if _, list := d.Foreach.([]any); list {
		e.taint[keyTaint] = names
	}
	return e
}

// without makes a reference to all resources of a foreach hold when there are none.
func (b *builder) without(u *unit, d *policy.Declaration) {
	if d.Alias != "" {
		b.inactive[u.Name+"/"+d.Alias] = true
	}
}

// withItem is a schema that knows the names of foreach.
func withItem(s *expr.Schema) *expr.Schema {
	s = s.Clone()
	s.Local(itemName)
	s.Local(keyName)
	return s
}

// itemsOf returns the items of a list as written, or of a mapping by key. The key of an item of a list is the item itself,
// or the name of one that is a mapping, so that it stays when others come and go. what says what v is when it is neither.
func itemsOf(v any) (items []item, what string) {
	switch v := v.(type) {
	case []any:
		for _, value := range v {
			items = append(items, item{keyOf(value), value})
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, item{key, v[key]})
		}
	default:
		return nil, resource.Describe(v)
	}
	return items, ""
}

func isList(v any) bool {
	_, ok := v.([]any)
	return ok
}

func keyOf(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return value["name"]
	case []any:
		return nil
	}
	return value
}
