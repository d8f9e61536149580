package catalog

import (
	"strings"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// explicit makes the graph of what the policy says.
func (b *builder) explicit() graph {
	g := graph{before: make([][]int, len(b.items)), notifies: make([][]int, len(b.items))}
	for i := range b.decls {
		b.edges(&g, i, &b.decls[i])
		for n := range b.decls[i].also {
			b.edges(&g, i, &b.decls[i].also[n])
		}
	}
	return g
}

// refs is what a declaration refers to.
type refs struct {
	requires, before, notify, subscribe []policy.Text
	env                                 env // they are rendered with
}

func refsOf(d *policy.Declaration, e env) *refs {
	if len(d.Requires)+len(d.Before)+len(d.Notify)+len(d.Subscribe) == 0 {
		return nil
	}
	return &refs{d.Requires, d.Before, d.Notify, d.Subscribe, e}
}

// index notes how the items can be called. Most of a large policy is never referred to.
func (b *builder) index() {
	if b.byName != nil {
		return
	}
	b.byName = make(map[string]int, len(b.items))
	for at := range b.decls {
		b.called(at, &b.decls[at])
		for n := range b.decls[at].also {
			b.called(at, &b.decls[at].also[n])
		}
	}
}

func (b *builder) called(at int, d *declared) {
	b.byName[d.module+"/"+b.items[at].ID.String()] = at
	if d.alias != "" {
		b.byName[d.module+"/"+d.alias] = at
	}
}

// edges adds what one declaration of item i says.
func (b *builder) edges(g *graph, i int, d *declared) {
	if d.refs == nil {
		return
	}
	g.before[i] = append(g.before[i], b.resolve(d, "requires", d.refs.requires)...)
	for _, at := range b.resolve(d, "before", d.refs.before) {
		g.before[at] = append(g.before[at], i)
	}
	for _, at := range b.resolve(d, "notify", d.refs.notify) {
		g.before[at] = append(g.before[at], i)
		g.notifies[i] = append(g.notifies[i], at)
	}
	for _, at := range b.resolve(d, "subscribe", d.refs.subscribe) {
		g.before[i] = append(g.before[i], at)
		g.notifies[at] = append(g.notifies[at], i)
	}
}

// reference is what a reference names.
type reference struct {
	module, name string
	optional     bool // of another module, and no mistake if the node does not have it
}

// parseReference reads type:identity, an id, or either after "module/"; of another module also with "?" behind it.
func parseReference(module, text string) reference {
	if m, rest, ok := strings.Cut(text, "/"); ok && nameOfModule(m) {
		name, optional := strings.CutSuffix(rest, "?")
		return reference{m, name, optional}
	}
	return reference{module: module, name: text}
}

func nameOfModule(s string) bool { return s != "" && !strings.ContainsAny(s, ":.[") }

// resolve finds the items that references name. What does not apply to this node is left out: it is satisfied.
func (b *builder) resolve(d *declared, what string, refs []policy.Text) []int {
	var found []int
	if len(refs) > 0 {
		b.index()
	}
	for _, ref := range refs {
		text := ref.S
		if dynamic(text) {
			rendered, err := d.refs.env.text("reference", text)
			if err != nil {
				b.fail(ref.Pos, "bad-template", firstHint(err), "the reference %q: %s", text, err)
				continue
			}
			text = rendered
		}
		r := parseReference(d.module, text)
		full := r.module + "/" + r.name
		if at, ok := b.byName[full]; ok {
			found = append(found, at)
		} else if all, ok := b.groups[full]; ok {
			found = append(found, all...)
		} else if at, ok := b.byID[idOf(r.name)]; ok && r.module == d.module {
			found = append(found, at)
		} else if !b.inactive[full] {
			b.nowhere(d, what, ref, r)
		}
	}
	return found
}

// idOf is the inverse of [resource.ID.String]: a type has no colon.
func idOf(name string) resource.ID {
	typ, identity, _ := strings.Cut(name, ":")
	return resource.ID{Type: typ, Name: identity}
}

// nowhere says that a reference leads nowhere, unless that is no mistake.
func (b *builder) nowhere(d *declared, what string, ref policy.Text, r reference) {
	applies, given := b.given[r.module]
	switch {
	case r.module != d.module && (r.optional || b.alone || given && !applies):
	case !given && r.module != d.module:
		b.fail(ref.Pos, "module-not-given", "give it in a role too, or write "+ref.S+"? if the order matters only where both are there",
			"%s: this node does not have the module %s: no role that applies gives it", what, r.module)
	default:
		b.fail(ref.Pos, "missing-reference", b.nearReference(r.module, r.name), "%s: there is no resource %q in module %s", what, r.name, r.module)
	}
}
