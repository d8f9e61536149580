package policy

import (
	"gopkg.in/yaml.v3"
)

func (r *reader) resources(n *yaml.Node) []Declaration {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "wrong-type", "- package: nginx", "resources must be a list, not %s", describe(n))
		return nil
	}
	if len(n.Content) > MaxResources {
		r.fail(n, "too-large", "split the module", "a module has at most %d resources", MaxResources)
		return nil
	}
	list := make([]Declaration, 0, len(n.Content))
	for _, item := range n.Content {
		entries, ok := r.mapping(item, "a resource")
		if !ok {
			continue
		}
		if len(entries) == 0 {
			r.fail(item, "missing-key", "- package: nginx", "a resource needs a type and an identity")
			continue
		}
		list = append(list, r.declaration(item, entries))
	}
	return list
}

func (r *reader) declaration(n *yaml.Node, entries []entry) Declaration {
	d := Declaration{Type: entries[0].key, Identity: r.str(entries[0].value, "the identity of a "+entries[0].key),
		Pos: r.pos(n), Attrs: map[string]any{}}
	for _, e := range r.withDefaults(d.Type, entries[1:]) {
		if r.meta(&d, e) {
			continue
		}
		d.Attrs[e.key] = r.value(e.value)
		d.At.add(e.key, e.node.Line, e.node.Column)
	}
	return d
}

// meta reads a key that every resource has, and reports whether e is one.
func (r *reader) meta(d *Declaration, e entry) bool {
	switch e.key {
	case "when":
		d.When = r.text(e.value, "when")
	case "requires":
		d.Requires = r.texts(e.value, "requires")
	case "before":
		d.Before = r.texts(e.value, "before")
	case "notify":
		d.Notify = r.texts(e.value, "notify")
	case "subscribe":
		d.Subscribe = r.texts(e.value, "subscribe")
	case "audit":
		d.Audit = r.choice(e.value, "audit")
	case "foreach":
		d.Foreach = r.foreach(d, e)
	case "window":
		d.Window = r.window(e.value)
	case "sensitive":
		d.Sensitive = r.boolean(e.value, "sensitive")
	case "controls":
		d.Controls = r.strs(e.value, "controls")
	case "tags":
		d.Tags = r.strs(e.value, "tags")
	case "id":
		d.Alias = r.str(e.value, "id")
	case "about":
		d.About = r.str(e.value, "about")
	case "timeout":
		if d.Timeout = r.duration(e.value, "timeout"); d.Timeout > MaxTimeout {
			r.fail(e.value, "out-of-range", "", "a timeout is at most %s, not %s", MaxTimeout, d.Timeout)
		}
	case "retries":
		f, ok := r.value(e.value).(float64)
		if !ok || f < 0 || f > 10 || f != float64(int(f)) {
			r.fail(e.value, "out-of-range", "", "retries must be a whole number from 0 to 10, not %s", describe(e.value))
		}
		d.Retries = int(f)
	case "guard":
		d.Guard = r.guard(e)
	default:
		return false
	}
	return true
}

// MetaKeys are the keys that every resource has beside its own.
func MetaKeys() []string {
	return []string{"foreach", "when", "requires", "before", "notify", "subscribe", "audit", "sensitive", "controls", "tags", "id", "about", "timeout", "retries", "window", "guard"}
}
