package policyfmt

import (
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/resource"
)

// source is a document that is being laid out. Lines are counted from 1, as YAML does, so line n is lines[n-1].
type source struct {
	file  string
	lines []string
	kinds *resource.Registry
}

// An entry is one key with its value, or one element of a list, laid out at no indentation.
type entry struct {
	key  string
	lead []string // comments above it, and an empty line where there was one
	text []string
}

// block lays out a mapping or list that is written in lines. It begins with what stands above its first line, from line from;
// before limit something else begins. outer is the column of what it is in, -1 for none. It returns the last line it used.
func (s *source) block(n *yaml.Node, from, limit, outer int, at place) ([]string, int, error) {
	starts, err := s.starts(n, limit)
	if err != nil {
		return nil, 0, err
	}
	var entries []entry
	end := from - 1
	for i, start := range starts {
		next := limit
		if i+1 < len(starts) {
			next = starts[i+1]
		}
		e := entry{lead: s.lead(end+1, start)}
		if n.Kind == yaml.MappingNode {
			end, err = s.pair(n.Content[2*i], n.Content[2*i+1], next, at, &e)
		} else {
			end, err = s.element(n, n.Content[i], start, next, at, &e)
		}
		if err != nil {
			return nil, 0, err
		}
		entries = append(entries, e)
	}
	if n.Kind == yaml.MappingNode {
		entries = at.sorted(entries, s.kinds)
	}
	var out []string
	for i, e := range entries {
		if i == 0 && len(e.lead) > 0 && e.lead[0] == "" {
			e.lead = e.lead[1:]
		}
		out = append(append(out, e.lead...), e.text...)
	}
	column := n.Column - 1
	if column <= outer {
		column = outer + 1
	}
	foot := s.foot(end+1, limit, column)
	return append(out, s.lead(end+1, foot+1)...), max(end, foot), nil
}

// starts returns the lines on which the entries of a mapping or list begin.
func (s *source) starts(n *yaml.Node, limit int) ([]int, error) {
	var starts []int
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			line := n.Content[i].Line
			if len(starts) > 0 && starts[len(starts)-1] >= line {
				return nil, s.refuse(line, "a line with two keys")
			}
			starts = append(starts, line)
		}
		return starts, nil
	}
	// The node of an element says where its value begins, not its dash.
	for line := n.Line; line < limit; line++ {
		text := s.lines[line-1]
		if column := n.Column - 1; len(text) > column && text[column] == '-' && (len(text) == column+1 || text[column+1] == ' ') &&
			(line == n.Line || strings.TrimSpace(text[:column]) == "") {
			starts = append(starts, line)
		}
	}
	if len(starts) != len(n.Content) {
		return nil, s.refuse(n.Line, "the list that begins here")
	}
	return starts, nil
}

// lead returns the comments of lines from to before, at no indentation; of empty lines at most one in a row is kept.
func (s *source) lead(from, before int) []string {
	var out []string
	for line := from; line < before; line++ {
		text := strings.TrimSpace(s.lines[line-1])
		if text != "" || len(out) == 0 || out[len(out)-1] != "" {
			out = append(out, text)
		}
	}
	if len(out) > 1 && out[0] == "" && out[1] == "" {
		out = out[1:]
	}
	return out
}

// foot returns the last line of the comments at the end of a block that are indented as much as it is; from-1 if there is none.
func (s *source) foot(from, limit, column int) int {
	last := from - 1
	for line := from; line < limit && line <= len(s.lines); line++ {
		text := strings.TrimSpace(s.lines[line-1])
		if text == "" {
			continue
		}
		if text[0] != '#' || indentOf(s.lines[line-1]) < column {
			break
		}
		last = line
	}
	return last
}

// pair lays out a key with its value and returns the last line it used.
func (s *source) pair(key, value *yaml.Node, limit int, at place, e *entry) (int, error) {
	column := byteColumn(s.lines[key.Line-1], key.Column)
	word, rest, ok := splitKey(s.lines[key.Line-1][column:])
	if !ok {
		return 0, s.refuse(key.Line, "this way to write a key")
	}
	e.key = key.Value
	var err error
	var end int
	e.text, end, err = s.value(word+":", rest, value, span{key.Line, limit, column}, at.below(key.Value, s.kinds))
	return end, err
}

// element lays out an element of a list and returns the last line it used.
func (s *source) element(list, value *yaml.Node, start, limit int, at place, e *entry) (int, error) {
	column := list.Column - 1
	rest := strings.TrimLeft(s.lines[start-1][column+1:], " ")
	at = at.item(value)
	var err error
	var end int
	if isBlock(value) && value.Line == start {
		var text []string
		text, end, err = s.block(value, start, limit, column, at)
		e.text = indent(text, 2)
		if err == nil {
			e.text[0] = "- " + text[0]
		}
		return end, err
	}
	e.text, end, err = s.value("-", rest, value, span{start, limit, column}, at)
	return end, err
}

// A span is where a value stands: its key or dash, in a line and column, and the line before which it ends.
type span struct{ line, limit, column int }

// value lays out what stands behind a key or dash.
func (s *source) value(head, rest string, v *yaml.Node, at span, where place) ([]string, int, error) {
	switch {
	case isBlock(v):
		if rest != "" && rest[0] != '#' {
			return nil, 0, s.refuse(at.line, "a tag")
		}
		text, end, err := s.block(v, at.line+1, at.limit, at.column, where)
		return append([]string{behind(head, rest)}, indent(text, 2)...), end, err
	case v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		text, end := s.blockScalar(rest, at)
		return append([]string{behind(head, rest)}, text...), end, nil
	case v.Kind == yaml.ScalarNode && v.Value == "" && v.Style == 0 && (rest == "" || rest[0] == '#'): // nothing
		return []string{behind(head, rest)}, at.line, nil
	}
	end, ok := s.inlineEnd(v, at)
	if !ok {
		return nil, 0, s.refuse(v.Line, "the value that begins here")
	}
	if where.word == "mode" {
		rest = quoteMode(rest)
	}
	out := []string{behind(head, rest)}
	for line := at.line + 1; line <= end; line++ {
		out = append(out, shift(s.lines[line-1], max(2, indentOf(s.lines[line-1])-at.column)))
	}
	if rest == "" && len(out) > 1 && strings.TrimSpace(out[1]) != "" && strings.TrimSpace(out[1])[0] != '#' { // the value begins on the next line
		out = append([]string{behind(head, strings.TrimSpace(out[1]))}, out[2:]...)
	}
	return out, end, nil
}

// behind puts what follows a key or dash behind it. A comment keeps its distance only from a value.
func behind(head, rest string) string {
	if rest = strings.TrimRight(rest, " "); rest == "" {
		return head
	}
	return head + " " + rest
}

func isBlock(n *yaml.Node) bool {
	return (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) && n.Style&yaml.FlowStyle == 0
}

func indent(lines []string, by int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if out[i] = line; line != "" {
			out[i] = strings.Repeat(" ", by) + line
		}
	}
	return out
}

func shift(line string, to int) string {
	if line = strings.TrimLeft(line, " "); line == "" {
		return ""
	}
	return strings.Repeat(" ", to) + line
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
