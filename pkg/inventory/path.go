package inventory

import (
	"fmt"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
)

// A Path names one value of a node: a label, a trait, or what is inside of a trait.
type Path struct {
	text string
	Name string   // label or trait
	Keys []string // into the document
}

// String is the path as written.
func (p Path) String() string { return p.text }

// maxPath bounds a path, in bytes.
const maxPath = 512

// ParsePath reads a path such as environment, os.version or packages["libssl1.1"].version; elements of lists are
// addresses[0].
func ParsePath(text string) (Path, error) {
	p := Path{text: text}
	rest := text
	bad := func(what string) (Path, error) {
		return Path{}, fault.WithHint(fmt.Errorf("%.140q is not the path of a value: %s", text, what), `write trait.key, or trait["a key with dots"].key`)
	}
	if len(text) > maxPath {
		return bad("it is too long")
	}
	for first := true; rest != "" || first; first = false {
		var key string
		switch {
		case first:
			key, rest = plainKey(rest)
			p.Name = key
		case rest[0] == '.':
			key, rest = plainKey(rest[1:])
			p.Keys = append(p.Keys, key)
		case rest[0] == '[':
			inside, after, closed := strings.Cut(rest[1:], "]")
			if quoted, err := strconv.QuotedPrefix(rest[1:]); err == nil {
				inside, after, closed = quoted, "", false
				if tail := rest[1+len(quoted):]; strings.HasPrefix(tail, "]") {
					after, closed = tail[1:], true
				}
			}
			if !closed {
				return bad("a bracket is not closed")
			}
			if s, err := strconv.Unquote(inside); err == nil {
				inside = s
			}
			key, rest = inside, after
			p.Keys = append(p.Keys, key)
		default:
			return bad("a dot is missing")
		}
		if key == "" {
			return bad("a name is missing")
		}
	}
	return p, nil
}

func plainKey(s string) (key, rest string) {
	if at := strings.IndexAny(s, ".["); at >= 0 {
		return s[:at], s[at:]
	}
	return s, ""
}

// into follows keys into a decoded value; nil when there is nothing.
func into(v any, keys []string) any {
	for _, key := range keys {
		switch doc := v.(type) {
		case map[string]any:
			v = doc[key]
		case []any:
			at, err := strconv.Atoi(key)
			if err != nil || at < 0 || at >= len(doc) {
				return nil
			}
			v = doc[at]
		default:
			return nil
		}
	}
	return v
}
