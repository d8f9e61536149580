package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
)

// reader walks one YAML document and collects what is wrong with it.
type reader struct {
	file     string
	problems *fault.Problems
	defaults map[string][]entry // of a module, by type
	needs    int                // level of the language that was met; see [Level]
}

func (r *reader) pos(n *yaml.Node) fault.Pos {
	if n == nil {
		return fault.Pos{File: r.file}
	}
	return fault.Pos{File: r.file, Line: n.Line, Col: n.Column}
}

func (r *reader) fail(n *yaml.Node, code, hint, format string, args ...any) {
	*r.problems = append(*r.problems, fault.Problem{Pos: r.pos(n), Code: code, Hint: hint, Msg: fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parse reads the single document of a file. nil after a problem was recorded.
func (r *reader) parse(data []byte) *yaml.Node {
	if len(data) > MaxDocument {
		r.fail(nil, "too-large", "", "the document has %d bytes, more than the %d that are allowed", len(data), MaxDocument)
		return nil
	}
	if tab := tabIndent(data); tab > 0 {
		r.failAt(tab, 1, "tab", "YAML is indented with spaces", "a tab in the indentation")
		return nil
	}
	if depth := deepest(data); depth > 4*MaxDepth {
		r.fail(nil, "too-deep", "", "brackets are nested %d deep, deeper than the %d that are allowed", depth, MaxDepth)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		r.fail(nil, "empty", "", "the document is empty")
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		r.fail(&second, "two-documents", "put each into a file of its own", "a second document in one file")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return nil
	}
	nodes := 0
	if !r.shape(&doc, 0, &nodes) {
		return nil
	}
	return doc.Content[0]
}

func (r *reader) failAt(line, col int, code, hint, msg string) {
	*r.problems = append(*r.problems, fault.Problem{Pos: fault.Pos{File: r.file, Line: line, Col: col}, Code: code, Hint: hint, Msg: msg})
}

// syntax turns an error of the YAML parser into a problem with its line.
func (r *reader) syntax(err error) {
	msg := err.Error()
	line := 0
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	hint := ""
	if strings.Contains(msg, "mapping values are not allowed") {
		hint = "a value with a colon in it is put in quotes"
	}
	r.failAt(line, 0, "syntax", hint, "this is not YAML: "+msg)
}

// shape refuses what could grow without bound: aliases, deep nesting, too many nodes.
func (r *reader) shape(n *yaml.Node, depth int, nodes *int) bool {
	if *nodes++; *nodes > MaxNodes {
		r.fail(n, "too-large", "", "the document has more than %d values", MaxNodes)
		return false
	}
	if depth > MaxDepth {
		r.fail(n, "too-deep", "", "the document is nested deeper than %d levels", MaxDepth)
		return false
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.fail(n, "alias", "write the value again, or make it a parameter", "anchors and aliases are not part of the policy language")
		return false
	}
	for _, child := range n.Content {
		if !r.shape(child, depth+1, nodes) {
			return false
		}
	}
	return true
}

// tabIndent returns the first line whose indentation has a tab, outside of block scalars as far as can be told cheaply.
func tabIndent(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		trimmed := bytes.TrimLeft(line, " ")
		if len(trimmed) > 0 && trimmed[0] == '\t' && len(bytes.TrimSpace(trimmed)) > 0 {
			if !insideBlock(data, i) {
				return i + 1
			}
		}
	}
	return 0
}

// insideBlock reports whether a line belongs to a block scalar: a line above it, less indented, ends with | or >.
func insideBlock(data []byte, at int) bool {
	lines := bytes.Split(data, []byte("\n"))
	indent := func(l []byte) int { return len(l) - len(bytes.TrimLeft(l, " ")) }
	own := indent(lines[at])
	for i := at - 1; i >= 0; i-- {
		l := lines[i]
		if len(bytes.TrimSpace(l)) == 0 || indent(l) >= own && own > 0 {
			continue
		}
		return blockStart.Match(l)
	}
	return false
}

var blockStart = regexp.MustCompile(`[|>][-+0-9]*\s*(#.*)?$`)

// deepest is an upper bound of how deep flow brackets nest; the YAML parser recurses once a bracket.
func deepest(data []byte) int {
	depth, most := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return most
}
