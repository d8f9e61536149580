package resource

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A DataPath leads to a value inside a document such as JSON. A policy writes it as text, server.listeners[0].port, with
// keys that hold other characters than letters, digits, _, - and / in double quotes; or as a list of keys and numbers. In
// text, [name=web] is the element of a list whose key name is web. The empty path is the document.
type DataPath []DataStep

// A DataStep goes one level down.
type DataStep struct {
	Key   string // of a mapping; also of the element that is looked for in a list
	Index int    // of a list
	Is    string // what the key of the element is
	Kind  DataStepKind
}

// A DataStepKind says what a step goes by.
type DataStepKind int

// The kinds of step.
const (
	ByKey DataStepKind = iota
	ByIndex
	ByMatch
)

var _ ValueDecoder = (*DataPath)(nil)

// DecodeValue implements [ValueDecoder].
func (p *DataPath) DecodeValue(raw any) error {
	switch raw := raw.(type) {
	case string:
		steps, err := ParseDataPath(raw)
		*p = steps
		return err
	case []any:
		for _, item := range raw {
			if key, ok := item.(string); ok {
				*p = append(*p, DataStep{Key: key})
			} else if n, ok := integer(item); ok && n >= 0 {
				*p = append(*p, DataStep{Kind: ByIndex, Index: int(n)})
			} else {
				return fmt.Errorf("want a list of keys and numbers, got %s in it", Describe(item))
			}
		}
		return nil
	}
	return fmt.Errorf("want a path as text or as a list of keys and numbers, got %s", Describe(raw))
}

// ParseDataPath reads a path written as text.
func ParseDataPath(s string) (DataPath, error) {
	var p DataPath
	for rest := s; rest != ""; {
		step, after, err := nextStep(rest)
		if err != nil {
			return nil, fmt.Errorf("%q is not a path: %w", s, err)
		}
		p, rest = append(p, step), after
		if next, dot := strings.CutPrefix(rest, "."); dot && next != "" && next[0] != '[' {
			rest = next
		} else if rest != "" && rest[0] != '[' {
			return nil, fmt.Errorf("%q is not a path: want . or [ before %q", s, rest)
		}
	}
	return p, nil
}

func nextStep(s string) (DataStep, string, error) {
	if s[0] == '"' {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return DataStep{}, "", errors.New("an open quote")
		}
		key, err := strconv.Unquote(quoted)
		return DataStep{Key: key}, s[len(quoted):], err
	}
	if s[0] != '[' {
		end := strings.IndexFunc(s, func(r rune) bool { return !isPathWord(r) })
		if end < 0 {
			end = len(s)
		}
		if end == 0 {
			return DataStep{}, "", fmt.Errorf("put a key such as %q in double quotes", s)
		}
		return DataStep{Key: s[:end]}, s[end:], nil
	}
	inside, rest, closed := strings.Cut(s[1:], "]")
	if !closed {
		return DataStep{}, "", errors.New("an open bracket")
	}
	if key, is, match := strings.Cut(inside, "="); match && key != "" {
		return DataStep{Kind: ByMatch, Key: key, Is: is}, rest, nil
	}
	n, err := strconv.Atoi(inside)
	if err != nil || n < 0 {
		return DataStep{}, "", fmt.Errorf("[%s] is neither a number nor key=value", inside)
	}
	return DataStep{Kind: ByIndex, Index: n}, rest, nil
}

func isPathWord(r rune) bool {
	return r == '_' || r == '-' || r == '/' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
}

// String renders the path as text.
func (p DataPath) String() string {
	var b strings.Builder
	for i, s := range p {
		switch s.Kind {
		case ByIndex:
			fmt.Fprintf(&b, "[%d]", s.Index)
		case ByMatch:
			fmt.Fprintf(&b, "[%s=%s]", s.Key, s.Is)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			if s.Key == "" || strings.ContainsFunc(s.Key, func(r rune) bool { return !isPathWord(r) }) {
				b.WriteString(strconv.Quote(s.Key))
			} else {
				b.WriteString(s.Key)
			}
		}
	}
	return b.String()
}

// MarshalText renders the path as text.
func (p DataPath) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
