package resources

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// xmlStep is one step of a path: an element, and which; or an attribute.
type xmlStep struct {
	name   string
	attr   bool   // the step is an attribute
	has    string // attribute that the element must have…
	child  string // …or child; "." is its own text
	is     string // …with this value
	number int    // from 1, among those of the name
}

var xmlName = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_.-]*(:[\p{L}_][\p{L}\p{N}_.-]*)?$`)

// parseXMLPath reads /a/b[@c='d']/@e.
func parseXMLPath(s string) ([]xmlStep, error) {
	var steps []xmlStep
	rest := s
	for rest != "" {
		if rest[0] != '/' {
			return nil, fmt.Errorf("%q: want / before %q", s, rest)
		}
		end := endOfXMLStep(rest[1:]) + 1
		step, err := parseXMLStep(rest[1:end])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		if len(steps) > 0 && steps[len(steps)-1].attr {
			return nil, fmt.Errorf("%q: nothing is below an attribute", s)
		}
		steps, rest = append(steps, step), rest[end:]
	}
	if len(steps) == 0 || steps[0].attr {
		return nil, fmt.Errorf("%q names no element", s)
	}
	return steps, nil
}

// endOfXMLStep is where the next / outside of quotes is.
func endOfXMLStep(s string) int {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '\'' || c == '"':
			quote = c
		case c == '/':
			return i
		}
	}
	return len(s)
}

func parseXMLStep(s string) (xmlStep, error) {
	name, attr := strings.CutPrefix(s, "@")
	name, which, bracket := strings.Cut(name, "[")
	step := xmlStep{name: name, attr: attr}
	if !xmlName.MatchString(name) {
		return step, fmt.Errorf("%q is not the name of an element", name)
	}
	if !bracket {
		return step, nil
	}
	which, closed := strings.CutSuffix(which, "]")
	if !closed || attr {
		return step, fmt.Errorf("%q is no step", s)
	}
	if n, err := strconv.Atoi(which); err == nil && n > 0 {
		step.number = n
		return step, nil
	}
	left, right, ok := strings.Cut(which, "=")
	left, right = strings.TrimSpace(left), strings.TrimSpace(right)
	if !ok || len(right) < 2 || right[0] != right[len(right)-1] || right[0] != '\'' && right[0] != '"' {
		return step, fmt.Errorf("[%s] is none of [@attribute='value'], [child='text'] and [1]", which)
	}
	step.is = right[1 : len(right)-1]
	if of, isAttr := strings.CutPrefix(left, "@"); isAttr {
		step.has = of
		left = of
	} else {
		step.child = left
	}
	if left != "." && !xmlName.MatchString(left) || left == "." && step.has != "" {
		return step, fmt.Errorf("%q is not a name", left)
	}
	return step, nil
}

// find follows a path from the root, which must be its first step, as far as it leads. What is left of the path is missing.
func (e *xmlElement) find(steps []xmlStep) (*xmlElement, []xmlStep, error) {
	if !e.is(steps[0]) || steps[0].number > 1 {
		return nil, nil, fmt.Errorf("the root element is %s", e.name)
	}
	for n, s := range steps[1:] {
		if s.attr {
			return e, steps[n+1:], nil
		}
		var found []*xmlElement
		for _, c := range e.children {
			if c.is(s) {
				found = append(found, c)
			}
		}
		switch {
		case s.number > 0 && len(found) >= s.number:
			e = found[s.number-1]
		case s.number > len(found)+1:
			return nil, nil, fmt.Errorf("there are %d elements %s, and a new one would be [%d]", len(found), s.name, len(found)+1)
		case s.number == 0 && len(found) > 1:
			return nil, nil, fmt.Errorf("there are %d elements %s that fit: say which", len(found), s.name)
		case s.number == 0 && len(found) == 1:
			e = found[0]
		default:
			return e, steps[n+1:], nil
		}
	}
	return e, nil, nil
}

// is whether an element fits a step, but for its number.
func (e *xmlElement) is(s xmlStep) bool {
	if e.name != s.name {
		return false
	}
	if s.has != "" {
		a := e.attr(s.has)
		return a != nil && a.value == s.is
	}
	if s.child == "." {
		return e.text == s.is
	}
	if s.child == "" {
		return true
	}
	for _, c := range e.children {
		if c.name == s.child && c.text == s.is {
			return true
		}
	}
	return false
}

// renderXMLPath makes the elements of a path that is missing, on lines of their own below indent.
func renderXMLPath(steps []xmlStep, value *string, indent, unit string) (string, error) {
	s := steps[0]
	var attrs, inner strings.Builder
	if s.has != "" {
		attrs.WriteString(" " + s.has + `="` + escapeXML(s.is) + `"`)
	}
	below := steps[1:]
	if len(below) == 1 && below[0].attr {
		if s.has != below[0].name {
			attrs.WriteString(" " + below[0].name + `="` + escapeXML(*value) + `"`)
		} else if s.is != *value {
			return "", errors.New("the element is looked for by another value of that attribute")
		}
		below = nil
		value = nil
	}
	if s.child != "" && s.child != "." && !(len(below) == 1 && below[0].name == s.child) {
		inner.WriteString("\n" + indent + unit + "<" + s.child + ">" + escapeXML(s.is) + "</" + s.child + ">")
	}
	if len(below) > 0 {
		fresh, err := renderXMLPath(below, value, indent+unit, unit)
		if err != nil {
			return "", err
		}
		inner.WriteString("\n" + indent + unit + fresh)
	}
	text := ""
	switch {
	case inner.Len() > 0:
		text = inner.String() + "\n" + indent
	case len(below) == 0 && value != nil && len(steps) == 1:
		text = escapeXML(*value)
	case s.child == ".":
		text = escapeXML(s.is)
	}
	if text == "" {
		return "<" + s.name + attrs.String() + "/>", nil
	}
	return "<" + s.name + attrs.String() + ">" + text + "</" + s.name + ">", nil
}
