package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"vigo.dev/pkg/fault"
)

// Limits of an expression.
const (
	MaxLength = 4096   // bytes of source
	maxNodes  = 1000   // of its syntax tree
	maxMemory = 10_000 // values it may make while it is evaluated
	// maxNesting is how deep predicates such as that of any(list, …) may stand inside of each other.
	maxNesting = 2
)

// An Error says what is wrong with an expression, and where.
type Error struct {
	Offset int // bytes from its beginning
	Msg    string
	Advice string
}

// Error implements error.
func (e *Error) Error() string { return e.Msg }

// Hint implements fault.Hinter.
func (e *Error) Hint() string { return e.Advice }

// A Cond is a compiled condition. It is safe for concurrent use.
type Cond struct {
	src        string
	program    *vm.Program
	labelsOnly bool
	traits     []string
}

// Compile checks and compiles a condition. The result must be true or false; every name must be in the schema. The error
// is an [*Error].
func Compile(src string, s *Schema) (*Cond, error) {
	_, c, err := checked(src, s)
	if err != nil {
		return nil, err
	}
	options := append(functions(), exprlang.AllowUndefinedVariables(), exprlang.AsBool(), exprlang.Patch(nullSafe{}))
	program, err := exprlang.Compile(src, options...)
	if err != nil {
		return nil, parseError(err)
	}
	return &Cond{src: src, program: program, labelsOnly: c.labelsOnly, traits: c.traits}, nil
}

// checked parses an expression, and refuses what it may not name or is too much.
func checked(src string, s *Schema) (*parser.Tree, *checker, error) {
	if len(src) > MaxLength {
		return nil, nil, &Error{Msg: fmt.Sprintf("the condition has %d characters, more than the %d that are allowed", len(src), MaxLength)}
	}
	tree, err := parser.Parse(src)
	if err != nil {
		return nil, nil, parseError(err)
	}
	c := &checker{schema: s, labelsOnly: true}
	ast.Walk(&tree.Node, c)
	switch {
	case c.err != nil:
		return nil, nil, c.err
	case c.count > maxNodes:
		return nil, nil, &Error{Msg: "the condition is too large"}
	case nesting(tree.Node) > maxNesting:
		return nil, nil, &Error{Msg: fmt.Sprintf("the condition looks through lists inside of lists, deeper than the %d that are allowed", maxNesting)}
	}
	return tree, c, nil
}

// CompileLabels compiles a condition over labels of which it is not known which there are, as of the stages of a rollout in a
// channel pointer. One that is not set is null. The error is an [*Error], also for a condition that looks at anything else.
func CompileLabels(src string) (*Cond, error) {
	s := NewSchema()
	s.any = true
	c, err := Compile(src, s)
	if err == nil && !c.LabelsOnly() {
		return nil, &Error{Msg: "the condition looks at more than labels and the name of the node"}
	}
	return c, err
}

// OfLabels evaluates a condition over labels for one node.
func (c *Cond) OfLabels(node string, labels map[string]string) (bool, error) {
	vars := make(map[string]any, len(labels)+1)
	for name, value := range labels {
		vars[name] = value
	}
	vars["node"] = node
	return c.Eval(vars)
}

func parseError(err error) error {
	var fe *file.Error
	if errors.As(err, &fe) {
		msg := fe.Message
		advice := ""
		if strings.Contains(msg, "Operator") && strings.Contains(msg, "=") {
			advice = `compare with ==`
		}
		return &Error{Offset: fe.From, Msg: "this is not a condition: " + msg, Advice: advice}
	}
	return &Error{Msg: "this is not a condition: " + err.Error()}
}

// String returns the source.
func (c *Cond) String() string { return c.src }

// LabelsOnly reports whether the condition looks at labels and the node's name alone, so that a node cannot change its
// outcome.
func (c *Cond) LabelsOnly() bool { return c.labelsOnly }

// Traits returns the names of the traits the condition looks at.
func (c *Cond) Traits() []string { return c.traits }

// Eval evaluates the condition over top-level names. A trait or label that is not there is null, and so is everything
// inside it; a comparison with null is false, and so is a condition that cannot be evaluated because of it.
func (c *Cond) Eval(vars map[string]any) (bool, error) {
	return run(&vm.VM{MemoryBudget: maxMemory}, c.program, c.src, vars)
}

func run(machine *vm.VM, program *vm.Program, src string, vars map[string]any) (bool, error) {
	out, err := machine.Run(program, vars)
	if err != nil {
		if strings.Contains(err.Error(), "<nil>") { // an operator met null; expr-lang has no sentinel for it
			return false, nil
		}
		return false, fmt.Errorf("evaluating %q: %w", src, err)
	}
	b, ok := out.(bool)
	if !ok {
		if out == nil {
			return false, nil
		}
		return false, fmt.Errorf("evaluating %q: the result is %v, not true or false", src, out)
	}
	return b, nil
}

// nullSafe makes every member access end in null where what it looks into is null.
type nullSafe struct{}

// Visit implements ast.Visitor; children come before their parents.
func (nullSafe) Visit(node *ast.Node) {
	if m, ok := (*node).(*ast.MemberNode); ok && !m.Method {
		m.Optional = true
		ast.Patch(node, &ast.ChainNode{Node: m})
	}
}

// checker walks the syntax tree and finds names that are not in the schema.
type checker struct {
	schema     *Schema
	labelsOnly bool
	traits     []string
	looks      bool // at anything of a node
	count      int
	err        *Error
}

// Visit implements ast.Visitor; children come before their parents.
func (c *checker) Visit(node *ast.Node) {
	c.count++
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		c.path(n, nil)
	case *ast.MemberNode:
		var names []string
		var at ast.Node = n
		for {
			m, ok := at.(*ast.MemberNode)
			if !ok {
				break
			}
			name, isName := m.Property.(*ast.StringNode)
			if !isName {
				names = nil // an index: what follows is of unknown type
			} else {
				names = append([]string{name.Value}, names...)
			}
			at = m.Node
		}
		if id, ok := at.(*ast.IdentifierNode); ok {
			c.path(id, names)
		}
	}
}

// path checks a name and its members.
func (c *checker) path(id *ast.IdentifierNode, members []string) {
	s := c.schema
	fail := func(what, word string, known []string) {
		if c.err == nil || len(members) > 0 && c.err.Offset == id.Location().From {
			advice := fault.DidYouMean(word, known)
			if advice == "" && len(known) > 0 && len(known) <= 24 {
				advice = "there are: " + strings.Join(known, ", ")
			}
			c.err = &Error{Offset: id.Location().From, Msg: what, Advice: advice}
		}
	}
	c.looks = c.looks || !slices.Contains(functionNames, id.Value)
	switch name := id.Value; {
	case name == compare && s.compares && len(members) == 0:
	case name == compare && !s.any && !s.labels[name] && !s.locals[name]:
		fail("control(…) compares a node with others: it can be used in the checks of rollouts only, and not inside of itself", name, nil)
	case s.locals[name]:
		c.labelsOnly = false
	case name == "node" || s.labels[name] || s.any && s.traits[name] == nil || len(members) == 0 && slices.Contains(functionNames, name):
	case name == "param" || name == "mode":
		c.labelsOnly = c.labelsOnly && name == "mode"
		known := s.params
		if name == "mode" {
			known = s.modes
		}
		if len(members) > 0 && !known[members[0]] {
			fail(fmt.Sprintf("there is no %s %q", map[string]string{"param": "parameter", "mode": "mode"}[name], members[0]), members[0], sortedKeys(known))
		}
	case s.traits[name] != nil:
		c.labelsOnly = false
		if !slices.Contains(c.traits, name) {
			c.traits = append(c.traits, name)
		}
		t := s.traits[name]
		for i, m := range members {
			next, known, ok := member(t, m)
			if !ok {
				fail(fmt.Sprintf("the trait %s has no %q", strings.Join(append([]string{name}, members[:i]...), "."), m), m, known)
				return
			}
			t = next
		}
	default:
		fail(fmt.Sprintf("there is no trait or label %q", name), name, s.Names())
	}
}
