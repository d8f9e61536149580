// Package policyfmt lays out the YAML of a policy repository in the one way that people agree on: two spaces, the keys of a
// resource in the order of its manual page, quoted file modes. Comments stay with what they stand above or behind.
//
// It refuses to change what a document means: values are copied as they are written, and a result that does not read back as
// the same document is an error, not a result. It refuses what is no YAML within the limits of package policy.
package policyfmt

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// A Formatter knows the resource types whose keys it puts in order.
type Formatter struct{ kinds *resource.Registry }

// New returns a formatter for documents that use these resource types. Keys of another type keep their order.
func New(kinds *resource.Registry) *Formatter { return &Formatter{kinds} }

// Format returns the document laid out. Formatting the result again gives the same bytes. What cannot be formatted is
// [fault.Problems] with positions in file.
func (f *Formatter) Format(file string, src []byte) ([]byte, error) {
	out, err := f.once(file, src)
	if err != nil {
		return nil, err
	}
	if again, err := f.once(file, out); err != nil || !bytes.Equal(out, again) {
		return nil, unformattable(file)
	}
	return out, nil
}

func unformattable(file string) error {
	return fault.Problems{{Pos: fault.Pos{File: file}, Code: "unformattable", Hint: "write it in the plain style of the documentation",
		Msg: "the document is written in a way that cannot be laid out without changing it"}}
}

// once lays a document out and makes sure that it still is the same.
func (f *Formatter) once(file string, src []byte) ([]byte, error) {
	root, err := policy.Document(file, src)
	if err != nil {
		return nil, err
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(src))
	s := &source{file: file, lines: strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, "\ufeff"), "\n"), "\n"), kinds: f.kinds}
	out, err := s.document(root)
	if err != nil {
		return nil, err
	}
	again, err := policy.Document(file, out)
	if err != nil || !sameValue(root, again) || !slices.Equal(commentsOf(text), commentsOf(string(out))) {
		return nil, unformattable(file)
	}
	return out, nil
}

// sameValue compares two documents. The keys of a mapping may come in another order, except for the first, which is the type
// of a resource; and a file mode may have got quotes.
func sameValue(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	switch a.Kind {
	case yaml.MappingNode:
		values := map[string]*yaml.Node{}
		for i := 0; i+1 < len(b.Content); i += 2 {
			values[b.Content[i].Value] = b.Content[i+1]
		}
		for i := 0; i+1 < len(a.Content); i += 2 {
			v := values[a.Content[i].Value]
			if v == nil || !sameValue(a.Content[i+1], v) {
				return false
			}
		}
		return len(values)*2 == len(a.Content)
	case yaml.ScalarNode:
		return a.Value == b.Value && (a.Tag == b.Tag || unquotedMode.MatchString(a.Value))
	}
	for i := range a.Content {
		if !sameValue(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// commentsOf is the lines that look like comments, sorted: none may be lost.
func commentsOf(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

// document lays out the whole.
func (s *source) document(root *yaml.Node) ([]byte, error) {
	var out []string
	if root.Kind != yaml.MappingNode && root.Kind != yaml.SequenceNode || root.Style&yaml.FlowStyle != 0 {
		return []byte(strings.TrimRight(strings.Join(s.lines, "\n"), " \n") + "\n"), nil
	}
	first := s.preamble(root.Line)
	for _, line := range s.lines[:first] {
		out = append(out, strings.TrimRight(line, " "))
	}
	for len(out) > 0 && out[0] == "" {
		out = out[1:]
	}
	body, end, err := s.block(root, first+1, len(s.lines)+1, -1, place{root: kindOf(root)})
	if err != nil {
		return nil, err
	}
	for _, line := range s.lines[end:] {
		if strings.TrimSpace(line) != "" {
			return nil, s.refuse(end+1, "what stands behind the document")
		}
	}
	return []byte(strings.Join(unsealed(append(out, body...)), "\n") + "\n"), nil
}

// preamble is how many lines at the top are about the file and not about its first key: up to the last empty line, mark of a
// document or modeline above it.
func (s *source) preamble(rootLine int) int {
	for i := rootLine - 1; i > 0; i-- {
		line := strings.TrimSpace(s.lines[i-1])
		if line == "" || !strings.HasPrefix(line, "#") || strings.Contains(line, "yaml-language-server:") {
			return i
		}
	}
	return 0
}

func (s *source) refuse(line int, what string) error {
	return fault.Problems{{Pos: fault.Pos{File: s.file, Line: line}, Code: "unformattable", Hint: "write it as key: value",
		Msg: fmt.Sprintf("%s cannot be formatted", what)}}
}

func kindOf(root *yaml.Node) string {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "kind" {
			return root.Content[i+1].Value
		}
	}
	return ""
}
