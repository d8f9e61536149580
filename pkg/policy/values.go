package policy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
)

// entry is one key of a mapping.
type entry struct {
	key   string
	node  *yaml.Node // of the key
	value *yaml.Node
}

// mapping returns the entries of a mapping in order; duplicates are problems.
func (r *reader) mapping(n *yaml.Node, what string) ([]entry, bool) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "wrong-type", "", "want %s as a mapping, got %s", what, describe(n))
		return nil, false
	}
	seen := map[string]*yaml.Node{}
	var entries []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			r.fail(k, "wrong-type", "", "a key must be a plain word")
			continue
		}
		if first, twice := seen[k.Value]; twice {
			r.fail(k, "duplicate-key", "", "the key %q is given twice; first on line %d", k.Value, first.Line)
			continue
		}
		seen[k.Value] = k
		entries = append(entries, entry{k.Value, k, v})
	}
	return entries, true
}

// only records a problem for each key that is not known.
func (r *reader) only(entries []entry, known ...string) {
	for _, e := range entries {
		if !slices.Contains(known, e.key) {
			r.unknown(e.node, e.key, known)
		}
	}
}

func (r *reader) unknown(n *yaml.Node, key string, known []string) {
	hint := fault.DidYouMean(key, known)
	if hint == "" {
		sorted := slices.Clone(known)
		slices.Sort(sorted)
		hint = "known keys: " + strings.Join(sorted, ", ")
	}
	r.fail(n, "unknown-key", hint, "unknown key %q", key)
}

func (r *reader) str(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = "put it in quotes"
		}
		r.fail(n, "wrong-type", hint, "%s must be a string, not %s", what, describe(n))
		return ""
	}
	return n.Value
}

func (r *reader) text(n *yaml.Node, what string) Text {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" { // when: true
		return Text{n.Value, r.pos(n)}
	}
	return Text{r.str(n, what), r.pos(n)}
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.fail(n, "wrong-type", "", "%s must be true or false, not %s", what, describe(n))
		return false
	}
	return n.Value == "true"
}

// choice is a boolean that may be left open; what is further away decides then.
func (r *reader) choice(n *yaml.Node, what string) *bool {
	b := r.boolean(n, what)
	return &b
}

func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < 0 {
		r.fail(n, "bad-value", "a number with a unit, such as 30s, 5m or 1h30m", "%s must be a duration, not %s", what, describe(n))
		return 0
	}
	return d
}

// texts reads a list of strings, or a single one.
func (r *reader) texts(n *yaml.Node, what string) []Text {
	if n.Kind == yaml.ScalarNode {
		return []Text{r.text(n, what)}
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "wrong-type", "", "%s must be a list, not %s", what, describe(n))
		return nil
	}
	var all []Text
	for _, item := range n.Content {
		all = append(all, r.text(item, what))
	}
	return all
}

func (r *reader) strs(n *yaml.Node, what string) []string {
	var all []string
	for _, t := range r.texts(n, what) {
		all = append(all, t.S)
	}
	return all
}

var octal = regexp.MustCompile(`^0[0-7]{3,4}$`)

// value turns a node into a value of JSON.
func (r *reader) value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		entries, _ := r.mapping(n, "a value")
		m := make(map[string]any, len(entries))
		for _, e := range entries {
			m[e.key] = r.value(e.value)
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = r.value(item)
		}
		return list
	}
	return r.scalar(n)
}

func (r *reader) scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!str":
		return n.Value
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int":
		if octal.MatchString(n.Value) {
			r.fail(n, "unquoted-mode", `write "`+n.Value+`"`, "%s without quotes is the number %s to YAML", n.Value, decimal(n.Value))
			return nil
		}
		i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 64)
		if err != nil {
			r.fail(n, "bad-value", "", "%s is not a number that can be used", n.Value)
			return nil
		}
		return float64(i)
	case "!!float":
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			r.fail(n, "bad-value", "put it in quotes if it is text", "%s is not a number that can be used", n.Value)
			return nil
		}
		return f
	case "!!timestamp":
		return n.Value
	}
	r.fail(n, "wrong-type", "", "values of type %s are not part of the policy language", n.Tag)
	return nil
}

func decimal(octal string) string {
	n, err := strconv.ParseInt(octal, 8, 64)
	if err != nil {
		return "something else"
	}
	return strconv.FormatInt(n, 10)
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!null":
			return "nothing"
		case "!!str":
			return strconv.Quote(n.Value)
		}
		return n.Value
	}
	return "something else"
}
