package policyfmt

import (
	"reflect"
	"regexp"
	"slices"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/resource"
)

// A place is where in a document a node stands, as far as that decides about the order of keys.
type place struct {
	root  string // kind of the document; only at its root
	word  string // what the node is: "resources", "resource", "defaults", "expect", "mode" or nothing
	typ   string // of the resource, for what is inside of one
	first bool   // the node is a mapping whose first key stays the first
}

// below is the place of the value of a key.
func (p place) below(key string, kinds *resource.Registry) place {
	switch {
	case p.root == "Module" && key == "resources", p.word == "expect" && key == "resources":
		return place{word: "resources"}
	case p.root == "Module" && key == "defaults":
		return place{word: "defaults"}
	case p.root == "Test" && key == "expect":
		return place{word: "expect"}
	case p.word == "defaults":
		return place{word: "resource", typ: key}
	case p.word == "resource" && isMode(kinds, p.typ, key):
		return place{word: "mode"}
	}
	return place{}
}

// item is the place of an element of a list.
func (p place) item(n *yaml.Node) place {
	if p.word == "resources" && n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		return place{word: "resource", typ: n.Content[0].Value, first: true}
	}
	return place{}
}

// order is the keys of a mapping in the order they are to have; keys that are not in it come where "" is.
func (p place) order(kinds *resource.Registry) []string {
	switch p.root {
	case "Module":
		return []string{"kind", "name", "about", "params", "when", "audit", "window", "guard", "", "defaults", "resources"}
	case "Role":
		return []string{"kind", "name", "about", "when", "audit", "window", "", "modules"}
	case "Test":
		return []string{"kind", "about", "", "given", "expect"}
	case "Alert":
		return []string{"kind", "name", "about", "severity", "event", "where", "", "for", "leave", "repeat", "group_by", "inhibited_by", "notify", "quarantine"}
	case "AlertTest":
		return []string{"kind", "about", "rules", "given", "timeline", "", "expect", "until"}
	case "Fleet":
		return []string{"kind", "name", "about", ""}
	}
	if p.word != "resource" {
		return nil
	}
	k, known := kinds.Kind(p.typ)
	if !known {
		return nil
	}
	var keys []string
	for _, f := range k.Fields { // in the order of the manual
		keys = append(keys, f.Key)
	}
	return slices.Concat([]string{p.typ, "id", "about", "foreach"}, keys, []string{"", "when", "requires", "before", "subscribe",
		"notify", "notifies", "audit", "window", "timeout", "retries", "sensitive", "controls", "tags"})
}

// sorted puts entries in order. Those that have no place in it keep the order they are in.
func (p place) sorted(entries []entry, kinds *resource.Registry) []entry {
	order := p.order(kinds)
	if order == nil {
		return entries
	}
	rest := slices.Index(order, "")
	rank := func(e entry) int {
		if at := slices.Index(order, e.key); at >= 0 {
			return at
		}
		return rest
	}
	fixed := 0
	if p.first {
		fixed = 1
	}
	slices.SortStableFunc(entries[fixed:], func(a, b entry) int { return rank(a) - rank(b) })
	return entries
}

func isMode(kinds *resource.Registry, typ, key string) bool {
	k, known := kinds.Kind(typ)
	if !known {
		return false
	}
	f, ok := k.Field(key)
	return ok && (f.Type == reflect.TypeFor[*resource.Mode]() || f.Type == reflect.TypeFor[resource.Mode]())
}

// unquotedMode is a file mode that YAML takes for a number.
var unquotedMode = regexp.MustCompile(`^0[0-7]{3,4}$`)

// quotedMode is a mode at the beginning of a line, in single quotes or in none.
var quotedMode = regexp.MustCompile(`^(?:'(0?[0-7]{3,4})'|(0[0-7]{3,4}))(\s|$)`)

// quoteMode gives a file mode double quotes; whatever else is written is left alone.
func quoteMode(text string) string { return quotedMode.ReplaceAllString(text, `"$1$2"$3`) }
