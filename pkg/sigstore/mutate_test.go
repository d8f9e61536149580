package sigstore_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A mutant is a JSON document with one change.
type mutant struct {
	what string
	doc  []byte
}

// mutants changes each part of a document in many ways, also inside of the documents that it holds in base64.
func mutants(doc []byte) []mutant {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil {
		return nil
	}
	m := &mutator{root: &tree}
	m.walk("$", tree, func(v any) { tree = v })
	for _, text := range []string{" ", "x", "{}", "\xff"} {
		m.all = append(m.all, mutant{fmt.Sprintf("%q at the end", text), append(slices.Clone(doc), text...)})
	}
	return m.all
}

type mutator struct {
	root *any
	all  []mutant
}

// emit keeps the document with value in place of what is there, which set puts.
func (m *mutator) emit(what string, set func(any), value, was any) {
	set(value)
	if doc, err := json.Marshal(*m.root); err == nil {
		m.all = append(m.all, mutant{what, doc})
	}
	set(was)
}

func (m *mutator) walk(path string, v any, set func(any)) {
	for _, other := range []any{nil, "", "x", json.Number("7"), true, map[string]any{}, []any{}} {
		text, _ := json.Marshal(other)
		m.emit(path+" = "+string(text[:min(len(text), 20)]), set, other, v)
	}
	switch v := v.(type) {
	case map[string]any:
		m.object(path, v, set)
	case []any:
		m.list(path, v, set)
	case string:
		m.text(path, v, set)
	case json.Number:
		m.number(path, v.String(), v, set)
	}
}

func (m *mutator) object(path string, v map[string]any, set func(any)) {
	with := func(what string, change func(map[string]any)) {
		other := maps.Clone(v)
		change(other)
		m.emit(path+" "+what, set, other, v)
	}
	with("has one more", func(o map[string]any) { o["more"] = "x" })
	for _, name := range slices.Sorted(maps.Keys(v)) {
		value := v[name]
		with("without "+name, func(o map[string]any) { delete(o, name) })
		for _, other := range []string{strings.ToUpper(name), snake(name)} {
			with(name+" as "+other, func(o map[string]any) { delete(o, name); o[other] = value })
			with(name+" and "+other, func(o map[string]any) { o[other] = value })
		}
		m.walk(path+"."+name, value, func(other any) { v[name] = other })
	}
}

func snake(name string) string {
	var b strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(c)))
	}
	return b.String()
}

func (m *mutator) list(path string, v []any, set func(any)) {
	if len(v) > 0 {
		m.emit(path+" has the first twice", set, append(slices.Clone(v), v[0]), v)
		m.emit(path+" without the first", set, v[1:], v)
		m.emit(path+" has one more", set, append(slices.Clone(v), map[string]any{}), v)
		m.emit(path+" has null", set, append(slices.Clone(v), nil), v)
	}
	for i, one := range v {
		m.walk(fmt.Sprintf("%s[%d]", path, i), one, func(other any) { v[i] = other })
	}
}

func (m *mutator) number(path, text string, was any, set func(any)) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return
	}
	for _, other := range []string{strconv.FormatInt(n+1, 10), strconv.FormatInt(n-1, 10), "-1", "0", text + ".0", text + "e0", "9223372036854775807", "9223372036854775808", text} {
		m.emit(path+" = "+other, set, json.Number(other), was)
		m.emit(path+" = "+strconv.Quote(other), set, other, was)
	}
}

// flips is in how many places of a value in base64 a bit is flipped.
const flips = 8

func (m *mutator) text(path, v string, set func(any)) {
	m.emit(path+" longer", set, v+"x", v)
	m.emit(path+" with a line", set, v+"\n", v)
	m.emit(path+" shorter", set, v[:max(0, len(v)-1)], v)
	m.emit(path+" in capitals", set, strings.ToUpper(v), v)
	if _, err := strconv.ParseInt(v, 10, 64); err == nil {
		m.number(path, v, v, set)
	}
	for i := range strings.Count(v, "\n") {
		lines := strings.SplitAfter(v, "\n")
		m.emit(fmt.Sprintf("%s without line %d", path, i), set, strings.Join(slices.Delete(slices.Clone(lines), i, i+1), ""), v)
		m.emit(fmt.Sprintf("%s with line %d twice", path, i), set, strings.Join(slices.Insert(slices.Clone(lines), i, lines[i]), ""), v)
	}
	data, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(data) < 3 {
		return
	}
	m.emit(path+" for URLs", set, base64.URLEncoding.EncodeToString(data), v)
	m.emit(path+" unpadded", set, strings.TrimRight(v, "="), v)
	m.emit(path+" one byte longer", set, base64.StdEncoding.EncodeToString(append(slices.Clone(data), 0)), v)
	m.emit(path+" one byte shorter", set, base64.StdEncoding.EncodeToString(data[:len(data)-1]), v)
	for i := range min(flips, len(data)) {
		at := i * len(data) / min(flips, len(data))
		other := slices.Clone(data)
		other[at] ^= 1 << (i % 8)
		m.emit(fmt.Sprintf("%s with byte %d changed", path, at), set, base64.StdEncoding.EncodeToString(other), v)
	}
	if data[0] == '{' {
		for _, inner := range mutants(data) {
			m.emit(path+" > "+inner.what, set, base64.StdEncoding.EncodeToString(inner.doc), v)
		}
	}
}
