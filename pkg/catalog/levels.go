package catalog

import (
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/window"
)

// closest is what a level says, or what the levels further away say when it is silent.
func closest[T any](further T, level *T) T {
	if level != nil {
		return *level
	}
	return further
}

// audit reports whether a module is only looked at. What the module says is closer than what roles say, and roles are closer
// than the fleet. Where several roles give the module, one that wants it enforced is enough.
func (b *builder) audit(m *policy.Module, uses []use) bool {
	fleet := closest(false, b.policy.Fleet.Audit)
	roles := !slices.ContainsFunc(uses, func(u use) bool { return !closest(fleet, u.role.Audit) })
	return closest(roles, m.Audit)
}

// window returns when a module may be changed; levels as for audit. Where several roles give the module, it may be changed
// whenever one of them allows it.
func (b *builder) window(m *policy.Module, uses []use) window.Window {
	if m.Window.S != "" {
		return b.named(m.Window)
	}
	var all window.Window
	var names []string
	for _, u := range uses {
		name := u.role.Window
		if name.S == "" {
			name = b.policy.Fleet.Window
		}
		w := b.named(name)
		if w.Name == "" {
			return w
		}
		if !slices.Contains(names, w.Name) {
			names = append(names, w.Name)
			all.Spans = append(all.Spans, w.Spans...)
		}
	}
	all.Name = strings.Join(names, " or ")
	return all
}

// named returns a window by its name; "" and always are the one that is always open.
func (b *builder) named(name policy.Text) window.Window {
	if name.S == "" || name.S == policy.Always {
		return window.Window{}
	}
	w, ok := b.policy.Fleet.Windows[name.S]
	if !ok {
		b.fail(name.Pos, "missing-window", nearWindow(b.policy, name.S), "there is no window %q", name.S)
		return window.Window{}
	}
	return window.Window{Name: name.S, Spans: w.Spans}
}

func nearWindow(p *policy.Policy, name string) string {
	known := append(slices.Sorted(maps.Keys(p.Fleet.Windows)), policy.Always)
	if near := fault.DidYouMean(name, known); near != "" {
		return near
	}
	return "windows: in fleet.yaml has " + strings.Join(known, ", ")
}

// windows checks the names of windows on each level.
func (k *check) windows() {
	k.named(k.policy.Fleet.Window)
	for _, role := range k.policy.Roles {
		k.named(role.Window)
	}
	for _, m := range k.policy.Modules {
		k.named(m.Window)
		for _, d := range m.Resources {
			k.named(d.Window)
		}
	}
}
