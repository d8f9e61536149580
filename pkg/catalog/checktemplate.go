package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
)

// templateError is a mistake in a template, with its place in the template's text.
type templateError struct {
	line, col int // from 1; 0: unknown
	msg, hint string
	absent    bool // it asks for a value that this node does not have
}

// Error implements error.
func (e *templateError) Error() string { return e.msg }

// Hint implements fault.Hinter.
func (e *templateError) Hint() string { return e.hint }

// place returns the place of a mistake in a template file.
func place(file string, err error) fault.Pos {
	pos := fault.Pos{File: file}
	var e *templateError
	if errors.As(err, &e) {
		pos.Line, pos.Col = e.line, e.col
	}
	return pos
}

// syntaxError takes the place out of what text/template says: "template: NAME:LINE: message".
func syntaxError(name string, err error) error {
	msg := strings.TrimPrefix(err.Error(), "template: ")
	e := &templateError{msg: msg}
	if at, rest, ok := strings.Cut(strings.TrimPrefix(msg, name+":"), ": "); ok {
		if line, err := strconv.Atoi(at); err == nil {
			e.line, e.msg = line, strings.ReplaceAll(rest, " at "+name+":", " on line ")
		}
	}
	return e
}

var executing = regexp.MustCompile(`^template: .*?:(\d+):(\d+): executing ".*?" at <(.*?)>: (?s:(.*))$`)

// plainPath is what is asked for in most places: .item.alias.
var plainPath = regexp.MustCompile(`^(\.[A-Za-z_][A-Za-z0-9_]*){2,}$`)

// askFirst is how a template asks for a key of a mapping that may lack it: that of .item.alias, with its last word, is an error, and
// so is {{ with .item.alias }}.
func askFirst(path, key string) string {
	above, _, found := strings.Cut(path+".", "."+key+".")
	if !found {
		return "ask first: {{ with … }} or when:"
	}
	if above == "" {
		above = "."
	}
	return fmt.Sprintf("where it may be missing: {{ with index %s %q }} … {{ end }}", above, key)
}

// executionError says in the words of a policy what text/template says in those of Go:
// `template: NAME:LINE:COL: executing "NAME" at <PIPELINE>: message`.
func executionError(err error) error {
	for _, limit := range []error{errTooLong, errTooManySteps, errTooManyInAll, errTooMuch} {
		if errors.Is(err, limit) {
			return limit
		}
	}
	if errors.Is(err, errTooDeep) {
		_, chain, _ := strings.Cut(err.Error(), errTooDeep.Error())
		return fmt.Errorf("%w%s", errTooDeep, chain)
	}
	m := executing.FindStringSubmatch(err.Error())
	if m == nil {
		return errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	e := &templateError{msg: fmt.Sprintf("{{ %s }}: %s", m[3], strings.TrimPrefix(m[4], "error calling include: "))}
	if strings.HasPrefix(m[4], "map has no entry for key") || strings.HasPrefix(m[4], "nil pointer evaluating") {
		e.msg = fmt.Sprintf("{{ %s }} has no value on this node", m[3])
		e.hint, e.absent = "ask first: {{ with … }} or when:", true
		if key, found := strings.CutPrefix(m[4], "map has no entry for key "); found && plainPath.MatchString(m[3]) {
			e.hint = askFirst(m[3], strings.Trim(key, `"`))
		}
	}
	e.absent = e.absent || strings.HasPrefix(m[4], "error calling include: ") && strings.Contains(m[4], "has no value on this node")
	e.line, _ = strconv.Atoi(m[1])
	if e.line > 1 {
		e.msg = fmt.Sprintf("line %d: %s", e.line, e.msg)
	}
	return e
}

// checkTemplate finds the mistakes in a template before there is anything to render: syntax, and names at the top level
// that do not exist. Inside range and with the dot is something else, so only their own pipelines are looked at.
func checkTemplate(name, text string, s *expr.Schema, there func(include string) error) []error {
	t, err := env{spent: newSpent()}.parse(name, text, nil)
	if err != nil {
		return []error{err}
	}
	c := templateCheck{template: t, schema: s}
	if t.Tree != nil && s != nil {
		c.list(t.Root)
	}
	if mayUse(text, nil) {
		c.mistakes = append(c.mistakes, usesOfText(name, text).wrong...)
	}
	c.includes(there)
	return c.mistakes
}

// templateCheck looks for names in one template.
type templateCheck struct {
	template *template.Template
	schema   *expr.Schema
	mistakes []error
}

func (c *templateCheck) list(n *parse.ListNode) {
	if n == nil {
		return
	}
	for _, child := range n.Nodes {
		switch n := child.(type) {
		case *parse.ActionNode:
			c.pipe(n.Pipe)
		case *parse.IfNode:
			c.pipe(n.Pipe)
			c.list(n.List)
			c.list(n.ElseList)
		case *parse.RangeNode:
			c.pipe(n.Pipe)
		case *parse.WithNode:
			c.pipe(n.Pipe)
		}
	}
}

func (c *templateCheck) pipe(pipe *parse.PipeNode) {
	for _, cmd := range pipe.Cmds {
		for _, arg := range cmd.Args {
			switch a := arg.(type) {
			case *parse.FieldNode:
				c.field(a)
			case *parse.PipeNode:
				c.pipe(a)
			}
		}
	}
}

func (c *templateCheck) field(n *parse.FieldNode) {
	at, known := c.schema.Missing(n.Ident)
	if at < 0 {
		return
	}
	name := n.Ident[at]
	msg := fmt.Sprintf("the template uses .%s, which is no trait, label or parameter", name)
	switch {
	case at == 0:
	case n.Ident[0] == "param":
		msg = fmt.Sprintf("the template uses .param.%s, which is no parameter of this module", name)
	case n.Ident[0] == "mode":
		msg = fmt.Sprintf("the template uses .mode.%s, which is no mode of this fleet", name)
	default:
		msg = fmt.Sprintf("the template uses .%s, and the trait %s has no %q", strings.Join(n.Ident[:at+1], "."), strings.Join(n.Ident[:at], "."), name)
	}
	hint := fault.DidYouMean(name, known)
	if at == 0 && (name == itemName || name == keyName) {
		hint = "a resource with foreach has it"
	}
	c.wrong(n, n.Ident[:len(n.Ident)-1], msg, hint)
}

func (c *templateCheck) wrong(n parse.Node, ident []string, msg, hint string) {
	e := &templateError{msg: msg, hint: hint}
	// The location is NAME:LINE:COLUMN; the column is that of the last element, counted in bytes from 0.
	location, _ := c.template.ErrorContext(n)
	if parts := strings.Split(location, ":"); len(parts) >= 3 {
		e.line, _ = strconv.Atoi(parts[len(parts)-2])
		if col, err := strconv.Atoi(parts[len(parts)-1]); err == nil {
			e.col = col + 1
			for _, ident := range ident {
				e.col -= len(ident) + 1
			}
		}
	}
	c.mistakes = append(c.mistakes, e)
}
