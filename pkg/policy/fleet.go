package policy

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// MaxModes is how many modes a fleet can have: a pointer carries them.
const MaxModes = 64

var labelRule = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

const defaultInterval = 30 * time.Second

// kind checks the kind of a document and the name it may carry.
func (r *reader) kind(entries []entry, n *yaml.Node, want, name string) bool {
	for _, e := range entries {
		switch e.key {
		case "kind":
			if e.value.Value != want {
				r.fail(e.value, "wrong-kind", "", "this file must be of kind %s, not %s", want, describe(e.value))
				return false
			}
			return true
		case "name":
			if name != "" && e.value.Value != name {
				r.fail(e.value, "bad-name", "leave the name out", "the name %q differs from that of the file, %q", e.value.Value, name)
			}
		}
	}
	r.fail(n, "missing-key", "kind: "+want, `the document needs the key "kind"`)
	return false
}

func (r *reader) fleet(n *yaml.Node) *Fleet {
	entries, ok := r.mapping(n, "the fleet")
	if !ok || !r.kind(entries, n, "Fleet", "") {
		return nil
	}
	r.only(entries, "kind", "name", "about", "interval", "nodes", "channels", "modes", "labels", "data", "audit", "windows", "window", "guardrails", "trust", "secrets", "controls", "reboots")
	f := &Fleet{Interval: defaultInterval, Channels: map[string]Channel{}, Modes: map[string]bool{}, Pos: r.pos(n)}
	for _, e := range entries {
		switch e.key {
		case "name":
			f.Name = r.str(e.value, "the name")
			if f.Name != "" && !nameRule.MatchString(f.Name) {
				r.fail(e.value, "bad-name", "lower-case letters, digits, - and _", "%q is not a name for a fleet", f.Name)
			}
		case "interval":
			if f.Interval = r.duration(e.value, "the interval"); f.Interval < time.Second {
				r.fail(e.value, "out-of-range", "", "the interval must be at least 1s")
			}
		case "nodes":
			f.Nodes = r.grants(e.value)
		case "channels":
			f.Channels = r.channels(e.value)
		case "modes":
			modes, _ := r.mapping(e.value, "the modes")
			if len(modes) > MaxModes {
				r.fail(e.node, "too-many", "", "there are more than %d modes", MaxModes)
			}
			for _, m := range modes {
				if !labelRule.MatchString(m.key) {
					r.fail(m.node, "bad-name", "lower-case letters, digits and _", "%q is not a name for a mode", m.key)
				}
				f.Modes[m.key] = r.boolean(m.value, "a mode")
			}
		case "labels":
			f.Labels = r.strs(e.value, "labels")
		case "data":
			f.Data = r.texts(e.value, "data")
		case "audit":
			f.Audit = r.choice(e.value, "audit")
		case "windows":
			f.Windows = r.windows(e.value)
		case "window":
			f.Window = r.window(e.value)
		case "guardrails":
			f.Allow = r.guardrails(e.value)
		case "controls":
			f.Controls = r.controls(e.value)
		case "reboots":
			f.Reboots = r.reboots(e.value)
		case "trust":
			f.Trust = r.trust(e.value)
		case "secrets":
			f.Secrets = r.secretProviders(e.value)
		}
	}
	if f.Name == "" {
		r.fail(n, "missing-key", "", `the fleet needs the key "name"`)
	}
	if len(f.Channels) == 0 {
		f.Channels["stable"] = Channel{Pos: f.Pos}
	}
	f.Labels = allLabels(f)
	return f
}

// allLabels is every label that is declared or granted; each is a name that conditions may use.
func allLabels(f *Fleet) []string {
	all := append([]string{"environment", "role", "site"}, f.Labels...)
	for _, g := range f.Nodes {
		for name := range g.Labels {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (r *reader) grants(n *yaml.Node) []Grant {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "wrong-type", "- match: \"web-*\"", "nodes must be a list, not %s", describe(n))
		return nil
	}
	var grants []Grant
	for _, item := range n.Content {
		entries, ok := r.mapping(item, "a grant of labels")
		if !ok {
			continue
		}
		r.only(entries, "match", "labels")
		g := Grant{Labels: map[string]string{}, Pos: r.pos(item)}
		for _, e := range entries {
			switch e.key {
			case "match":
				g.Match = r.str(e.value, "match")
			case "labels":
				labels, _ := r.mapping(e.value, "labels")
				for _, l := range labels {
					if !labelRule.MatchString(l.key) {
						r.fail(l.node, "bad-name", "lower-case letters, digits and _", "%q is not a name for a label", l.key)
					}
					g.Labels[l.key] = r.str(l.value, "a label")
				}
			}
		}
		if g.Match == "" {
			r.fail(item, "missing-key", "", `a grant of labels needs the key "match"`)
		}
		grants = append(grants, g)
	}
	return grants
}

func (r *reader) channels(n *yaml.Node) map[string]Channel {
	channels := map[string]Channel{}
	entries, _ := r.mapping(n, "the channels")
	for _, e := range entries {
		if !nameRule.MatchString(e.key) {
			r.fail(e.node, "bad-name", "lower-case letters, digits, - and _", "%q is not a name for a channel", e.key)
		}
		c := Channel{Pos: r.pos(e.node)}
		if e.value.Tag != "!!null" {
			keys, _ := r.mapping(e.value, "a channel")
			r.only(keys, "nodes", "about", "from")
			for _, k := range keys {
				switch k.key {
				case "nodes":
					c.Nodes = r.text(k.value, "nodes")
				case "from":
					c.From = r.origin(k.value)
				}
			}
		}
		channels[e.key] = c
	}
	return channels
}

// data reads a data file: module, parameter, value; or module.parameter and value.
func (r *reader) data(n *yaml.Node) Data {
	d := Data{}
	entries, _ := r.mapping(n, "the data")
	set := func(module, param string, key, value *yaml.Node) {
		if d[module] == nil {
			d[module] = map[string]Value{}
		}
		if first, twice := d[module][param]; twice {
			r.fail(key, "duplicate-key", "", "%s.%s is given twice; first on line %d", module, param, first.Pos.Line)
			return
		}
		d[module][param] = Value{V: r.value(value), Pos: r.pos(key)}
	}
	for _, e := range entries {
		if strings.Contains(e.key, "::") {
			r.fail(e.node, "bad-name", "write "+strings.ReplaceAll(e.key, "::", "."), "parameters are written with a dot, not with colons: %q", e.key)
			continue
		}
		if module, param, ok := cutParam(e.key); ok {
			set(module, param, e.node, e.value)
			continue
		}
		params, ok := r.mapping(e.value, "the parameters of module "+e.key)
		if !ok {
			continue
		}
		for _, p := range params {
			set(e.key, p.key, p.node, p.value)
		}
	}
	return d
}

func cutParam(key string) (module, param string, ok bool) {
	for i := range key {
		if key[i] == '.' {
			return key[:i], key[i+1:], i > 0 && i+1 < len(key)
		}
	}
	return "", "", false
}
