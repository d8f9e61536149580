package resources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// yamlFormat edits YAML line by line, where the nodes of its values are.
type yamlFormat struct{}

var _ dataFormat = yamlFormat{}

func (yamlFormat) parse(text string) (any, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	var v any
	if err := d.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one document")
	}
	return stringKeys(v), nil
}

// stringKeys gives every mapping keys of text, as paths have them.
func stringKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = stringKeys(v[key])
		}
	case map[any]any:
		m := make(map[string]any, len(v))
		for key := range v {
			m[scalarText(key)] = stringKeys(v[key])
		}
		return m
	case []any:
		for n := range v {
			v[n] = stringKeys(v[n])
		}
	}
	return v
}

func (yamlFormat) render(v any) (string, error) {
	n, err := yamlNode(v)
	if err != nil {
		return "", err
	}
	return yamlText(n, 2)
}

// yamlNode makes a node of a value: whole numbers as such, keys in order.
func yamlNode(v any) (*yaml.Node, error) {
	var n yaml.Node
	err := n.Encode(wholeNumbers(v))
	return &n, err
}

func wholeNumbers(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case map[string]any:
		m := make(map[string]any, len(v))
		for key := range v {
			m[key] = wholeNumbers(v[key])
		}
		return m
	case []any:
		l := make([]any, len(v))
		for n := range v {
			l[n] = wholeNumbers(v[n])
		}
		return l
	}
	return v
}

func yamlText(n *yaml.Node, indent int) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(indent)
	err := errors.Join(e.Encode(n), e.Close())
	return b.String(), err
}

func (f yamlFormat) replace(text string, at dataPlace, v any) (string, error) {
	d, err := readYAML(text)
	if err != nil {
		return "", err
	}
	spot, err := d.find(at)
	if errors.Is(err, errMerged) {
		return f.insert(text, at, v) // what is in the mapping itself wins
	}
	if err != nil {
		return "", err
	}
	fresh, err := yamlNode(v)
	switch {
	case err != nil:
		return "", err
	case spot.flow >= 0:
		spot.parent().Content[spot.slot] = fresh
		return d.redraw(spot, at)
	}
	if edited, ok := d.inPlace(spot, fresh); ok {
		return edited, nil
	}
	return d.write(spot.from, spot.end, spot, fresh)
}

func (yamlFormat) insert(text string, at dataPlace, v any) (string, error) {
	d, err := readYAML(text)
	if err != nil {
		return "", err
	}
	spot, err := d.into(at)
	if err != nil {
		return "", err
	}
	fresh, err := yamlNode(v)
	if err != nil {
		return "", err
	}
	if spot.flow >= 0 {
		c := spot.parent()
		if len(c.Content) == 0 && spot.flow > 0 {
			c.Style = 0 // an empty one need not stay on its line
		}
		if spot.key != nil {
			c.Content = append(c.Content, spot.key)
		}
		c.Content = append(c.Content, fresh)
		return d.redraw(spot, at)
	}
	return d.write(spot.end, spot.end, spot, fresh)
}

func (f yamlFormat) remove(text string, at dataPlace) (string, error) {
	d, err := readYAML(text)
	if err != nil {
		return "", err
	}
	spot, err := d.find(at)
	if err != nil {
		return "", err
	}
	c := spot.parent()
	one := 1
	if spot.key != nil {
		one = 2
	}
	last := len(c.Content) == one
	if spot.flow >= 0 || last {
		c.Content = slices.Delete(c.Content, spot.slot-one+1, spot.slot+1)
		if last && spot.flow < 0 {
			c.Style, spot.flow = yaml.FlowStyle, len(at)-1
		}
		return d.redraw(spot, at)
	}
	from := spot.from
	if spot.slot >= one { // a comment above the first may be about all
		for from > 0 && isYAMLComment(d.lines[from-1], spot.column) {
			from--
		}
	}
	lines := slices.Clone(d.lines)
	if spot.slot < one && strings.Trim(spot.prefix, " ") != "" { // the dash of a list goes to the next key
		next := c.Content[spot.slot+1].Line - 1
		lines[next] = spot.prefix + lines[next][spot.column:]
	}
	return joinLines(slices.Delete(lines, from, spot.end)), nil
}

// isYAMLComment is whether a line is a comment that starts at a column.
func isYAMLComment(line string, column int) bool {
	bare := strings.TrimLeft(line, " ")
	return strings.HasPrefix(bare, "#") && len(line)-len(bare) == column
}

func joinLines(lines []string) string { return text{lines: lines}.String() }

// readYAML reads a document of nodes.
func readYAML(content string) (*yamlDoc, error) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(content), &n); err != nil {
		return nil, err
	}
	if len(n.Content) != 1 {
		return nil, fmt.Errorf("the file holds %d documents", len(n.Content))
	}
	return &yamlDoc{root: &n, lines: textOf(content).lines, indent: indentOfYAML(n.Content[0])}, nil
}
