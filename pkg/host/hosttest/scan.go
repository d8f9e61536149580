package hosttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// line is one line of host text, taken apart.
type line struct {
	word  string
	args  []string
	argv  []string // of the JSON list, if there is one
	attrs map[string]string
	body  *string // the indented lines below it
}

var attrKey = regexp.MustCompile(`^[a-z_]+=`)

// scan takes a line apart: words, quoted words, key=value, key="quoted value" and one JSON list.
func scan(text string) (*line, error) {
	l := &line{attrs: map[string]string{}}
	rest := strings.TrimSpace(text)
	for first := true; rest != ""; rest = strings.TrimLeft(rest, " ") {
		var err error
		switch {
		case rest[0] == '[':
			dec := json.NewDecoder(strings.NewReader(rest))
			if err := dec.Decode(&l.argv); err != nil {
				return nil, fmt.Errorf("reading the list: %w", err)
			}
			rest = rest[dec.InputOffset():]
			continue
		case attrKey.MatchString(rest) && !first:
			key, value, _ := strings.Cut(rest, "=")
			if l.attrs[key], rest, err = word(value); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			continue
		}
		var w string
		if w, rest, err = word(rest); err != nil {
			return nil, err
		}
		if first {
			l.word, first = w, false
		} else {
			l.args = append(l.args, w)
		}
	}
	return l, nil
}

// word takes one plain or quoted word off the front.
func word(s string) (w, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		w, rest, _ = strings.Cut(s, " ")
		return w, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("reading the string %s: %w", s, err)
	}
	w, err = strconv.Unquote(quoted)
	return w, s[len(quoted):], err
}

// attr takes an attribute.
func (l *line) attr(key, otherwise string) string {
	if v, ok := l.attrs[key]; ok {
		delete(l.attrs, key)
		return v
	}
	return otherwise
}

// flag takes a word such as "held" out of the arguments after the first n.
func (l *line) flag(name string, n int) bool {
	for i := n; i < len(l.args); i++ {
		if l.args[i] == name {
			l.args = slices.Delete(l.args, i, i+1)
			return true
		}
	}
	return false
}

func (l *line) number(key string, otherwise int) (int, error) {
	v, ok := l.attrs[key]
	if !ok {
		return otherwise, nil
	}
	delete(l.attrs, key)
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is not a number", key, v)
	}
	return n, nil
}

func (l *line) truth(key string, otherwise bool) (bool, error) {
	v, ok := l.attrs[key]
	if !ok {
		return otherwise, nil
	}
	delete(l.attrs, key)
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%s=%s is neither true nor false", key, v)
	}
	return b, nil
}

func (l *line) list(key string) []string {
	v := l.attr(key, "")
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// want checks the number of arguments and that no attribute is left over.
func (l *line) want(low, high int, usage string) error {
	if len(l.args) < low || len(l.args) > high {
		return fmt.Errorf("want %s", usage)
	}
	if len(l.attrs) > 0 {
		return fmt.Errorf("unknown attribute %q: want %s", slices.Sorted(maps.Keys(l.attrs))[0], usage)
	}
	return nil
}
