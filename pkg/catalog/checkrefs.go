package catalog

import (
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// references checks, as far as that can be seen without a node, that what a module refers to exists, that nothing is
// declared twice, and that no order goes in a circle. Identities that are templates are compared as written.
func (k *check) references(m *policy.Module) {
	b := &builder{Language: k.Language, policy: k.policy, byName: map[string]int{}, byID: map[resource.ID]int{}}
	conditional := map[resource.ID]bool{}
	for _, d := range m.Resources {
		id := resource.ID{Type: d.Type, Name: d.Identity}
		if at, twice := b.byID[id]; twice {
			if d.When.S == "" && !conditional[id] && !dynamic(d.Identity) {
				k.fail(d.Pos, "duplicate", "remove one, or give them conditions that exclude each other", "%s is declared twice; first at %s", id, b.items[at].Pos)
			}
			continue
		}
		conditional[id] = d.When.S != ""
		at := len(b.items)
		b.items = append(b.items, resource.Item{ID: id, Module: m.Name, Pos: d.Pos})
		b.decls = append(b.decls, declared{module: m.Name, refs: refsOf(&d, env{})})
		b.byID[id], b.byName[m.Name+"/"+id.String()] = at, at
		if d.Alias != "" {
			b.byName[m.Name+"/"+d.Alias] = at
		}
	}
	k.known(m, b)
	for _, d := range b.decls { // the graph is made of what is constant
		if r := d.refs; r != nil {
			r.requires, r.before, r.notify, r.subscribe = constant(b, m, r.requires), constant(b, m, r.before), constant(b, m, r.notify), constant(b, m, r.subscribe)
		}
	}
	if loop := b.explicit().cycle(); loop != nil {
		b.cycle(loop)
		k.problems = append(k.problems, b.problems...)
	}
}

// constant keeps the references that lead to a resource of the module.
func constant(b *builder, m *policy.Module, refs []policy.Text) []policy.Text {
	var kept []policy.Text
	for _, ref := range refs {
		if _, ok := b.byName[m.Name+"/"+ref.S]; ok {
			kept = append(kept, ref)
		}
	}
	return kept
}

// known checks that each reference leads somewhere.
func (k *check) known(m *policy.Module, b *builder) {
	for _, d := range m.Resources {
		for what, refs := range map[string][]policy.Text{"requires": d.Requires, "before": d.Before, "notify": d.Notify, "subscribe": d.Subscribe} {
			for _, ref := range refs {
				k.reference(m, b, what, ref)
			}
		}
	}
}

func (k *check) reference(m *policy.Module, b *builder, what string, ref policy.Text) {
	if dynamic(ref.S) {
		return
	}
	if _, ok := b.byName[m.Name+"/"+ref.S]; ok || repeats(m, ref.S) {
		return
	}
	if r := parseReference(m.Name, ref.S); r.module != m.Name {
		other, name := r.module, r.name
		target, ok := k.policy.Modules[other]
		if k.policy.Broken(other) {
			return
		}
		if !ok {
			k.fail(ref.Pos, "missing-reference", fault.DidYouMean(other, moduleNames(k.policy)), "%s: there is no module %q", what, other)
			return
		}
		if !declares(target, name) && !repeats(target, name) {
			k.fail(ref.Pos, "missing-reference", fault.DidYouMean(name, declarations(target)), "%s: module %s has no resource %q", what, other, name)
		}
		return
	}
	if typ, _, ok := strings.Cut(ref.S, ":"); ok {
		if _, known := k.Kinds.Kind(typ); !known {
			k.fail(ref.Pos, "missing-reference", fault.DidYouMean(typ, k.Kinds.Names()), "%s: %q is not a resource type", what, typ)
			return
		}
	}
	if k.anyIdentityIsTemplate(m, ref.S) {
		return
	}
	k.fail(ref.Pos, "missing-reference", b.nearReference(m.Name, ref.S), "%s: there is no resource %q in module %s", what, ref.S, m.Name)
}

// anyIdentityIsTemplate reports whether a resource of the referred type has an identity that is only known on a node.
func (k *check) anyIdentityIsTemplate(m *policy.Module, ref string) bool {
	typ, _, _ := strings.Cut(ref, ":")
	for _, d := range m.Resources {
		if d.Type == typ && dynamic(d.Identity) {
			return true
		}
	}
	return false
}

// declarations are what resources of a module can be referred to by.
func declarations(m *policy.Module) []string {
	var names []string
	for _, d := range m.Resources {
		names = append(names, d.Type+":"+d.Identity)
		if d.Alias != "" {
			names = append(names, d.Alias)
		}
	}
	return names
}

// repeats reports whether a reference such as sites[a] is to one item of a foreach of a module.
func repeats(m *policy.Module, name string) bool {
	id, _, ok := strings.Cut(name, "[")
	return ok && strings.HasSuffix(name, "]") && slices.ContainsFunc(m.Resources, func(d policy.Declaration) bool {
		return d.Foreach != nil && d.Alias == id
	})
}

func declares(m *policy.Module, name string) bool {
	for _, d := range m.Resources {
		if d.Alias == name || fmt.Sprintf("%s:%s", d.Type, d.Identity) == name || dynamic(d.Identity) && strings.HasPrefix(name, d.Type+":") {
			return true
		}
	}
	return false
}
