package resources

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// yamlDoc is a YAML file, as nodes and as lines.
type yamlDoc struct {
	root   *yaml.Node
	lines  []string
	indent int
}

// yamlSpot is where an entry of a mapping or list stands, or will stand.
type yamlSpot struct {
	chain     []*yaml.Node // from the document down to the container
	slot      int          // of the value in the content of the container
	key       *yaml.Node   // of an entry of a mapping
	flow      int          // depth of the outermost container on the way that is written in one line; -1: none
	from, end int          // its lines, the first and the one behind the last
	column    int          // it starts at, from 0
	prefix    string       // what stands before it in its first line: white space, or dashes of lists
}

func (s *yamlSpot) parent() *yaml.Node { return s.chain[len(s.chain)-1] }

func (s *yamlSpot) value() *yaml.Node { return s.parent().Content[s.slot] }

var errMerged = errors.New("comes from elsewhere in the file by an alias")

// find returns the spot of a value that is there.
func (d *yamlDoc) find(at dataPlace) (*yamlSpot, error) {
	s := &yamlSpot{flow: -1}
	n, limit := d.root.Content[0], d.lastLine()
	for depth, step := range at {
		if n.Kind == yaml.AliasNode {
			return nil, fmt.Errorf("%s is an alias of %s", at[:depth], n.Value)
		}
		if s.flow < 0 && n.Style&yaml.FlowStyle != 0 {
			s.flow = depth
		}
		s.chain = append(s.chain, n)
		slot, next := slotOf(n, step)
		if slot < 0 {
			return nil, fmt.Errorf("%s %w", at[:depth+1], errMerged)
		}
		s.slot, s.key = slot, nil
		start := n.Content[slot]
		s.column = n.Column - 1 // of the dash
		if n.Kind == yaml.MappingNode {
			s.key, start = n.Content[slot-1], n.Content[slot-1]
			s.column = start.Column - 1
		}
		if next != nil {
			limit = min(limit, next.Line-1)
		}
		s.from = start.Line - 1
		n = n.Content[slot]
	}
	if s.flow >= 0 {
		return s, nil
	}
	if err := d.prefixOf(s); err != nil {
		return nil, err
	}
	s.end = d.trimmed(s.from+1, limit, s.column)
	return s, nil
}

// slotOf returns the index of the value a step leads to, and the node where the entry behind it starts.
func slotOf(n *yaml.Node, step any) (slot int, next *yaml.Node) {
	slot = -1
	switch step := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && step < len(n.Content) {
			slot = step
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			if n.Content[i].Value == step && n.Content[i].Tag != "!!merge" {
				slot = i + 1
			}
		}
	}
	if slot >= 0 && slot+1 < len(n.Content) {
		next = n.Content[slot+1]
	}
	return slot, next
}

// lastLine is the line behind the document.
func (d *yamlDoc) lastLine() int {
	for n, l := range d.lines {
		if strings.HasPrefix(l, "...") {
			return n
		}
	}
	return len(d.lines)
}

// prefixOf takes what stands before an entry in its first line.
func (d *yamlDoc) prefixOf(s *yamlSpot) error {
	if s.from >= len(d.lines) || len(d.lines[s.from]) < s.column {
		return errors.New("its line was not found")
	}
	s.prefix = d.lines[s.from][:s.column]
	if strings.Trim(s.prefix, " -") != "" || s.key == nil && !strings.HasPrefix(d.lines[s.from][s.column:], "-") {
		return errors.New("it stands in a line with others")
	}
	return nil
}

// trimmed takes blank lines and comments that are not inside an entry off its end.
func (d *yamlDoc) trimmed(from, end, column int) int {
	for end > from {
		line := d.lines[end-1]
		bare := strings.TrimLeft(line, " ")
		if bare != "" && (bare[0] != '#' || len(line)-len(bare) > column) {
			break
		}
		end--
	}
	return end
}

// into returns the spot of a value that is not there yet, in a container that is there.
func (d *yamlDoc) into(at dataPlace) (*yamlSpot, error) {
	n := d.root.Content[0]
	s := &yamlSpot{flow: -1, column: -1}
	if len(at) > 1 {
		parent, err := d.find(at[:len(at)-1])
		if err != nil {
			return nil, err
		}
		s.chain, s.flow = parent.chain, parent.flow
		n = parent.value()
	}
	s.chain = append(slices.Clone(s.chain), n)
	if key, named := at[len(at)-1].(string); named {
		s.key = &yaml.Node{}
		s.key.SetString(key)
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return nil, fmt.Errorf("%s is an alias of %s", at[:len(at)-1], n.Value)
	case s.flow < 0 && n.Style&yaml.FlowStyle != 0:
		s.flow = len(at) - 1
	}
	if s.flow >= 0 {
		return s, nil
	}
	last, err := d.find(append(slices.Clone(at[:len(at)-1]), lastStep(n)))
	if err != nil {
		return nil, err
	}
	s.end, s.column = last.end, last.column
	s.prefix = strings.Repeat(" ", s.column)
	return s, nil
}

// lastStep leads to the last entry of a container.
func lastStep(n *yaml.Node) any {
	if n.Kind == yaml.SequenceNode {
		return len(n.Content) - 1
	}
	if len(n.Content) < 2 {
		return ""
	}
	return n.Content[len(n.Content)-2].Value
}

// write puts an entry in place of lines.
func (d *yamlDoc) write(from, end int, s *yamlSpot, v *yaml.Node) (string, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{v}}
	if s.key != nil {
		key := *s.key
		key.HeadComment, key.LineComment, key.FootComment = "", "", ""
		n = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{&key, v}}
	}
	rendered, err := yamlText(n, d.indent)
	if err != nil {
		return "", err
	}
	fresh := textOf(rendered).lines
	for i := range fresh {
		switch {
		case i == 0:
			fresh[i] = s.prefix + fresh[i]
		case fresh[i] != "":
			fresh[i] = strings.Repeat(" ", s.column) + fresh[i]
		}
	}
	return joinLines(slices.Concat(d.lines[:from], fresh, d.lines[end:])), nil
}

// redraw writes the outermost container in one line anew, after its node was changed.
func (d *yamlDoc) redraw(s *yamlSpot, at dataPlace) (string, error) {
	if s.flow == 0 {
		return yamlText(d.root, d.indent)
	}
	fresh := s.chain[s.flow]
	again, err := d.find(at[:s.flow])
	if err != nil {
		return "", err
	}
	if edited, ok := d.inPlace(again, fresh); ok {
		return edited, nil
	}
	return d.write(again.from, again.end, again, fresh)
}

// inPlace replaces a scalar by another one; what else is in the line, such as a comment, stays.
func (d *yamlDoc) inPlace(s *yamlSpot, fresh *yaml.Node) (string, bool) {
	old := s.value()
	if old.Kind != yaml.ScalarNode || fresh.Kind != yaml.ScalarNode || old.Line-1 != s.from || old.Anchor != "" ||
		old.Style&(yaml.TaggedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return "", false
	}
	if fresh.Tag == "!!str" && fresh.Style == 0 && old.Style != 0 {
		fresh.Style = old.Style
	}
	rendered, err := yamlText(fresh, d.indent)
	if err != nil || strings.Count(rendered, "\n") != 1 {
		return "", false
	}
	line := d.lines[s.from]
	start := byteColumn(line, old.Column-1)
	width := tokenWidth(line[start:], old)
	if width <= 0 {
		return "", false
	}
	lines := slices.Clone(d.lines)
	lines[s.from] = line[:start] + strings.TrimSuffix(rendered, "\n") + line[start+width:]
	return joinLines(lines), true
}

// byteColumn turns a column in characters into one in bytes.
func byteColumn(line string, column int) int {
	at := 0
	for range column {
		_, width := utf8.DecodeRuneInString(line[at:])
		at += width
	}
	return at
}

// tokenWidth is the length of a scalar in its line; 0 if it is not all there.
func tokenWidth(rest string, n *yaml.Node) int {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return 0
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 < len(rest) && rest[i+1] == '\'' {
				i++
				continue
			}
			return i + 1
		}
		return 0
	case strings.HasPrefix(rest, n.Value):
		return len(n.Value)
	}
	return 0
}

// indentOfYAML is how far the document indents the inner of two mappings; 2 if it shows none.
func indentOfYAML(n *yaml.Node) int {
	if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 {
		for i := 1; i < len(n.Content); i += 2 {
			inner := n.Content[i]
			if inner.Kind != yaml.MappingNode || inner.Style&yaml.FlowStyle != 0 || len(inner.Content) == 0 {
				continue
			}
			if width := inner.Column - n.Column; width >= 2 && width <= 8 {
				return width
			}
		}
	}
	return 2
}
