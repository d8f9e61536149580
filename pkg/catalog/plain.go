package catalog

import (
	"fmt"
	"strings"
)

// plain renders a text whose actions are all plain paths such as {{ .param.port }}, without a template: a foreach renders many
// of them. ok is false for everything else, and for what has no plain value: a template says what is wrong with it.
func (e env) plain(text string) (out string, ok bool) {
	var b strings.Builder
	for {
		before, rest, more := strings.Cut(text, "{{")
		b.WriteString(before)
		if !more {
			return b.String(), b.Len() <= maxRendered
		}
		action, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", false
		}
		v, found := e.path(action)
		if !found {
			return "", false
		}
		switch v := v.(type) {
		case string:
			b.WriteString(v)
		case bool, int, float64:
			fmt.Fprint(&b, v)
		default:
			return "", false
		}
		text = after
	}
}

// path returns what a path such as ` .param.port ` leads to; ok is false for what is none, and for what is not there.
func (e env) path(action string) (v any, ok bool) {
	action, isPath := strings.CutPrefix(strings.Trim(action, " "), ".")
	if !isPath || action == "" {
		return nil, false
	}
	var at any = e.vars
	for name := range strings.SplitSeq(action, ".") {
		if name == "" || strings.ContainsFunc(name, notOfName) {
			return nil, false
		}
		m, isMap := at.(map[string]any)
		if !isMap {
			return nil, false
		}
		if at = m[name]; at == nil {
			return nil, false
		}
	}
	return at, true
}

func notOfName(r rune) bool {
	return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}
