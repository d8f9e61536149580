package resources

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// jsonFormat edits JSON by cutting and pasting text at the offsets of its values.
type jsonFormat struct{}

var _ dataFormat = jsonFormat{}

func (jsonFormat) parse(text string) (any, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	doc, err := hujson.Parse([]byte(text))
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "hujson: "))
	}
	doc.Standardize()
	d := json.NewDecoder(bytes.NewReader(doc.Pack()))
	d.UseNumber()
	var v any
	err = d.Decode(&v)
	return v, err
}

func (jsonFormat) render(v any) (string, error) { return jsonLayout{indent: "  "}.text(v, 0) }

// jsonLayout is how a document is laid out.
type jsonLayout struct {
	indent  string
	compact bool
}

func layoutOf(text string) jsonLayout {
	for line := range strings.Lines(text) {
		bare := strings.TrimLeft(line, " \t")
		if width := len(line) - len(bare); width > 0 && bare != "\n" && !strings.HasPrefix(bare, "*") {
			return jsonLayout{indent: line[:width]}
		}
	}
	return jsonLayout{indent: "  ", compact: strings.Count(strings.TrimSpace(text), "\n") == 0 && len(text) > 4}
}

// text renders a value that stands at a depth.
func (l jsonLayout) text(v any, depth int) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if !l.compact {
		e.SetIndent(strings.Repeat(l.indent, depth), l.indent)
	}
	err := e.Encode(v)
	if depth > 0 || l.compact {
		return strings.TrimSuffix(b.String(), "\n"), err
	}
	return b.String(), err
}

// jsonFind returns the value at a place.
func jsonFind(text string, at dataPlace) (*hujson.Value, error) {
	doc, err := hujson.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	v := &doc
	for n, step := range at {
		switch c := v.Value.(type) {
		case *hujson.Object:
			i := jsonMember(c, step)
			if i < 0 {
				return nil, fmt.Errorf("%s was not found again", at[:n+1])
			}
			v = &c.Members[i].Value
		case *hujson.Array:
			v = &c.Elements[step.(int)]
		}
	}
	return v, nil
}

// jsonMember returns the index of a key, the last one of that name, as programs read it.
func jsonMember(o *hujson.Object, step any) int {
	for i, m := range slices.Backward(o.Members) {
		if lit, ok := m.Name.Value.(hujson.Literal); ok && lit.String() == step {
			return i
		}
	}
	return -1
}

func (jsonFormat) replace(text string, at dataPlace, v any) (string, error) {
	old, err := jsonFind(text, at)
	if err != nil {
		return "", err
	}
	fresh, err := layoutOf(text).text(v, len(at))
	return text[:old.StartOffset] + fresh + text[old.EndOffset:], err
}

// jsonPart is a member or element, with its name.
type jsonPart struct {
	before     hujson.Extra // white space and comments
	start, end int
	after      hujson.Extra // behind the value; not nil with a comma behind the last one
}

func jsonParts(v *hujson.Value) []jsonPart {
	var parts []jsonPart
	switch c := v.Value.(type) {
	case *hujson.Object:
		for _, m := range c.Members {
			parts = append(parts, jsonPart{m.Name.BeforeExtra, m.Name.StartOffset, m.Value.EndOffset, m.Value.AfterExtra})
		}
	case *hujson.Array:
		for _, e := range c.Elements {
			parts = append(parts, jsonPart{e.BeforeExtra, e.StartOffset, e.EndOffset, e.AfterExtra})
		}
	}
	return parts
}

func (jsonFormat) insert(text string, at dataPlace, v any) (string, error) {
	parent, err := jsonFind(text, at[:len(at)-1])
	if err != nil {
		return "", err
	}
	l := layoutOf(text)
	parts := jsonParts(parent)
	if len(parts) > 0 && !bytes.Contains(parts[0].before, []byte("\n")) {
		l.compact = true // as the others of this mapping or list
	}
	fresh, err := l.text(v, len(at))
	if err != nil {
		return "", err
	}
	if key, named := at[len(at)-1].(string); named {
		name, err := l.text(key, len(at))
		if err != nil {
			return "", err
		}
		colon := ": "
		if l.compact && !strings.Contains(text, "\": ") {
			colon = ":"
		}
		fresh = name + colon + fresh
	}
	if len(parts) == 0 {
		inside := fresh
		if !l.compact {
			inside = "\n" + strings.Repeat(l.indent, len(at)) + fresh + "\n" + strings.Repeat(l.indent, len(at)-1)
		}
		return text[:parent.StartOffset+1] + inside + text[parent.EndOffset-1:], nil
	}
	first, last := parts[0], parts[len(parts)-1]
	gap := string(first.before)
	switch at := strings.LastIndexByte(gap, '\n'); {
	case at >= 0:
		gap = gap[at:]
	case len(parts) > 1:
		gap = " "
		if len(parts[1].before) == 0 {
			gap = ""
		}
	default:
		gap = " "
	}
	end := len(strings.TrimRight(text[:parent.EndOffset-1], " \t\n"))
	if last.after != nil { // a comma is there already
		return text[:end] + gap + fresh + "," + text[end:], nil
	}
	return text[:last.end] + "," + text[last.end:end] + gap + fresh + text[end:], nil
}

func (f jsonFormat) remove(text string, at dataPlace) (string, error) {
	parent, err := jsonFind(text, at[:len(at)-1])
	if err != nil {
		return "", err
	}
	parts := jsonParts(parent)
	n := 0
	switch c := parent.Value.(type) {
	case *hujson.Object:
		n = jsonMember(c, at[len(at)-1])
	case *hujson.Array:
		n = at[len(at)-1].(int)
	}
	if len(parts) == 1 {
		return text[:parent.StartOffset+1] + text[parent.EndOffset-1:], nil
	}
	p := parts[n]
	from := p.start - len(p.before)
	if line, _, more := strings.Cut(string(p.before), "\n"); more && strings.Contains(line, "/") {
		from += len(line) // that comment is about the one before
	}
	switch {
	case n == 0 && !strings.Contains(text[p.end:parts[1].start], "\n"):
		return text[:p.start] + text[parts[1].start:], nil
	case n < len(parts)-1 || p.after != nil:
		return text[:from] + text[p.end+len(p.after)+1:], nil
	default:
		comma := p.start - len(p.before) - 1
		return text[:comma] + text[comma+1:from] + text[p.end:], nil
	}
}
