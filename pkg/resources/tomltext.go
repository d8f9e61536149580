package resources

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// tomlFormat edits TOML by cutting and pasting text at the offsets of its statements.
type tomlFormat struct{}

var _ dataFormat = tomlFormat{}

func (tomlFormat) parse(text string) (any, error) {
	var v map[string]any
	if _, err := toml.Decode(text, &v); err != nil {
		return nil, err
	}
	if len(v) == 0 {
		return nil, nil
	}
	return plainTOML(v), nil
}

// plainTOML makes lists of tables plain lists.
func plainTOML(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = plainTOML(v[key])
		}
	case []map[string]any:
		l := make([]any, len(v))
		for n := range v {
			l[n] = plainTOML(v[n])
		}
		return l
	case []any:
		for n := range v {
			v[n] = plainTOML(v[n])
		}
	}
	return v
}

func (tomlFormat) render(v any) (string, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return "", fmt.Errorf("a document of TOML is a mapping, not %s", describeData(v))
	}
	return tomlBody(nil, m)
}

func (f tomlFormat) replace(text string, at dataPlace, v any) (string, error) {
	all, err := scanTOML(text)
	if err != nil {
		return "", err
	}
	for _, s := range all {
		place := s.place()
		if s.key == nil || len(place) > len(at) || !slices.Equal(place, at[:len(place)]) {
			continue
		}
		doc, err := f.parse(text)
		if err != nil {
			return "", err
		}
		return tomlSplice(text, s, withData(doc, at, v), place)
	}
	// A table with headers: it is taken out, and written anew.
	if text, err = f.remove(text, at); err != nil {
		return "", err
	}
	return f.insert(text, at, v)
}

// tomlSplice writes the value of a statement anew.
func tomlSplice(text string, s tomlStatement, doc any, place dataPlace) (string, error) {
	_, v, _, err := follow(doc, placePath(place))
	if err != nil {
		return "", err
	}
	fresh, err := tomlValue(v)
	return text[:s.from] + fresh + text[s.to:], err
}

func (f tomlFormat) insert(text string, at dataPlace, v any) (string, error) {
	all, err := scanTOML(text)
	if err != nil {
		return "", err
	}
	parent, name := at[:len(at)-1], at[len(at)-1]
	behind, dotted := -1, dataPlace(nil)
	for _, s := range all {
		place := s.place()
		switch {
		case s.key != nil && len(place) <= len(parent) && slices.Equal(place, parent[:len(place)]): // inside a list or braces
			doc, err := f.parse(text)
			if err != nil {
				return "", err
			}
			return tomlSplice(text, s, withData(doc, at, v), place)
		case slices.Equal(s.table, parent):
			behind = s.end
		case len(s.table) < len(parent) && len(place) > len(parent) && slices.Equal(place[:len(parent)], parent):
			behind, dotted = s.end, parent[len(s.table):] // a table of keys with dots
		}
	}
	if _, list := name.(int); list {
		return tomlAppend(text, at, v, true)
	}
	if m, is := v.(map[string]any); is && len(m) > 0 && dotted == nil {
		return tomlAppend(text, at, m, false)
	}
	value, err := tomlValue(v)
	line := tomlName(append(slices.Clone(dotted), name)) + " = " + value + "\n"
	switch {
	case err != nil:
		return "", err
	case len(parent) == 0 && behind < 0 && len(all) > 0: // before the first header
		top := tomlTop(text, all[0].start)
		return text[:top] + line + "\n" + text[top:], nil
	case behind >= 0:
		return text[:behind] + indentOfLine(text, all, parent) + line + text[behind:], nil
	}
	return tomlAppend(text, parent, map[string]any{name.(string): v}, false)
}

// tomlTop is the place for the first statement outside of a table: above the comment of the first header.
func tomlTop(text string, at int) int {
	for at > 0 {
		line := strings.LastIndexByte(text[:at-1], '\n') + 1
		if !strings.HasPrefix(strings.TrimSpace(text[line:at]), "#") {
			break
		}
		at = line
	}
	return at
}

// indentOfLine is the white space before the last key of a table.
func indentOfLine(text string, all []tomlStatement, table dataPlace) string {
	indent := ""
	for _, s := range all {
		if s.key != nil && slices.Equal(s.table, table) {
			indent = text[s.start : s.start+blankWidth(text[s.start:])]
		}
	}
	return indent
}

// tomlAppend writes a table at the end of the document.
func tomlAppend(text string, at dataPlace, v any, array bool) (string, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return "", fmt.Errorf("it is %s among tables", describeData(v))
	}
	var names dataPlace
	for _, step := range at {
		if _, named := step.(string); named {
			names = append(names, step)
		}
	}
	body, err := tomlBody(names, m)
	if err != nil {
		return "", err
	}
	gap := ""
	if text != "" && !strings.HasSuffix(text, "\n\n") {
		gap = "\n"
	}
	open, end := "[", "]\n"
	if array {
		open, end = "[[", "]]\n"
	}
	return text + gap + open + tomlName(names) + end + body, nil
}

func (f tomlFormat) remove(text string, at dataPlace) (string, error) {
	all, err := scanTOML(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	kept, found := 0, false
	for n, s := range all {
		place := s.place()
		if s.key != nil && len(place) < len(at) && slices.Equal(place, at[:len(place)]) { // inside a list or braces
			doc, err := f.parse(text)
			if err != nil {
				return "", err
			}
			return tomlSplice(text, s, withoutData(doc, at), place)
		}
		if len(place) < len(at) || !slices.Equal(place[:len(at)], at) {
			continue
		}
		found = true
		b.WriteString(text[kept:max(kept, s.start)])
		kept = s.end
		if n+1 < len(all) && len(s.table) >= len(at) && strings.TrimSpace(text[s.end:all[n+1].start]) == "" {
			kept = all[n+1].start // the blank lines behind a part of a table that goes
		}
	}
	if !found {
		return "", fmt.Errorf("%s was not found again", at)
	}
	b.WriteString(text[kept:])
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}

// tomlBody renders the keys of a table: first what fits on lines, then tables below it.
func tomlBody(at dataPlace, m map[string]any) (string, error) {
	var lines, tables strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		inner, is := m[key].(map[string]any)
		if is && len(inner) > 0 {
			body, err := tomlBody(at.with(key), inner)
			if err != nil {
				return "", err
			}
			tables.WriteString("\n[" + tomlName(at.with(key)) + "]\n" + body)
			continue
		}
		v, err := tomlValue(m[key])
		if err != nil {
			return "", fmt.Errorf("%s: %w", at.with(key), err)
		}
		lines.WriteString(tomlName(dataPlace{key}) + " = " + v + "\n")
	}
	if lines.Len() == 0 {
		return strings.TrimPrefix(tables.String(), "\n"), nil
	}
	return lines.String() + tables.String(), nil
}

func tomlName(keys dataPlace) string {
	var parts []string
	for _, k := range keys {
		key := k.(string)
		if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			key = tomlString(key)
		}
		parts = append(parts, key)
	}
	return strings.Join(parts, ".")
}

// tomlValue renders a value on one line.
func tomlValue(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return tomlString(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10), nil
		}
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case []any:
		var parts []string
		for _, e := range v {
			part, err := tomlValue(e)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			part, err := tomlValue(v[key])
			if err != nil {
				return "", err
			}
			parts = append(parts, tomlName(dataPlace{key})+" = "+part)
		}
		return strings.TrimSuffix("{ "+strings.Join(parts, ", "), " ") + " }", nil
	case nil:
		return "", errors.New("TOML has no null")
	}
	if n, ok := numberText(v); ok {
		return n, nil
	}
	data, err := toml.Marshal(map[string]any{"v": v}) // dates
	return strings.TrimSpace(strings.TrimPrefix(string(data), "v =")), err
}

// tomlString renders a basic string.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}
