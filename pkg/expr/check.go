package expr

import (
	"errors"
	"fmt"
	"math"
	"slices"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// compare is the function with which the check of a rollout compares a node with those that do not have what is new.
const compare = "control"

// MaxTerms is how many comparisons one check can make.
const MaxTerms = 8

// A Check is a condition that may compare a node with others: control(load.one) is the value of load.one among those others.
// What the value is must be said with [Check.With] before it can be evaluated.
type Check struct {
	// Terms are what is compared, each once.
	Terms  []*Number
	src    string
	schema *Schema
}

// CompileCheck checks a condition in which control(…) may be used. The error is an [*Error].
func CompileCheck(src string, s *Schema) (*Check, error) {
	s = s.Clone()
	s.compares = true
	tree, _, err := checked(src, s)
	if err != nil {
		return nil, err
	}
	found := &comparisons{}
	ast.Walk(&tree.Node, found)
	if len(found.terms) > MaxTerms {
		return nil, &Error{Msg: fmt.Sprintf("the check compares %d values with control(…), and at most %d are allowed", len(found.terms), MaxTerms)}
	}
	c := &Check{src: src, schema: s}
	s.compares = false // none inside of another
	for _, term := range found.terms {
		n, err := CompileNumber(term, s)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				e.Msg = "inside of control(…): " + e.Msg
			}
			return nil, err
		}
		c.Terms = append(c.Terms, n)
	}
	if _, err := c.With(make([]float64, len(c.Terms))); err != nil {
		var e *Error
		if errors.As(err, &e) && len(c.Terms) > 0 {
			e.Offset = 0 // it is of what stands in the place of control(…)
		}
		return nil, err
	}
	return c, nil
}

// With returns the condition with the values of its terms, in their order, in the place of control(…).
func (c *Check) With(values []float64) (*Cond, error) {
	if len(values) != len(c.Terms) {
		return nil, fmt.Errorf("evaluating %q: %d values are given for %d comparisons", c.src, len(values), len(c.Terms))
	}
	if len(values) == 0 {
		return Compile(c.src, c.schema)
	}
	known := make(map[string]float64, len(values))
	for i, term := range c.Terms {
		if math.IsNaN(values[i]) || math.IsInf(values[i], 0) {
			return nil, fmt.Errorf("evaluating %q: %s is %g, which is no number to compare with", c.src, term, values[i])
		}
		known[term.src] = values[i]
	}
	tree, err := parser.Parse(c.src)
	if err != nil {
		return nil, parseError(err)
	}
	ast.Walk(&tree.Node, &comparisons{known: known})
	return Compile(tree.Node.String(), c.schema)
}

// Looks reports whether the check looks at a trait of a name, of the node or of the others.
func (c *Check) Looks(name string) bool {
	named := func(r Read) bool { return r.Name == name }
	for _, term := range c.Terms {
		if slices.ContainsFunc(term.Reads, named) {
			return true
		}
	}
	cond, err := c.With(make([]float64, len(c.Terms)))
	return err == nil && slices.ContainsFunc(cond.Reads(), named)
}

// comparisons collects what control(…) is called with, and puts values in its place where they are known.
type comparisons struct {
	terms []string
	known map[string]float64
}

// Visit implements ast.Visitor.
func (c *comparisons) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok || len(call.Arguments) != 1 {
		return
	}
	if name, ok := call.Callee.(*ast.IdentifierNode); !ok || name.Value != compare {
		return
	}
	term := call.Arguments[0].String()
	if value, ok := c.known[term]; ok {
		ast.Patch(node, &ast.FloatNode{Value: value})
		return
	}
	for _, there := range c.terms {
		if there == term {
			return
		}
	}
	c.terms = append(c.terms, term)
}

// A Number is a compiled expression whose result is a number. It is not safe for concurrent use.
type Number struct {
	// Reads is what it looks at.
	Reads []Read

	src     string
	program *vm.Program
	machine vm.VM
}

// CompileNumber checks and compiles an expression that gives a number. The error is an [*Error].
func CompileNumber(src string, s *Schema) (*Number, error) {
	tree, c, err := checked(src, s)
	if err != nil {
		return nil, err
	}
	if !c.looks {
		return nil, &Error{Msg: "the expression looks at nothing of a node"}
	}
	options := append(functions(), exprlang.AllowUndefinedVariables(), exprlang.AsFloat64(), exprlang.Patch(nullSafe{}))
	program, err := exprlang.Compile(src, options...)
	if err != nil {
		return nil, parseError(err)
	}
	return &Number{Reads: readsOf(&tree.Node), src: src, program: program, machine: vm.VM{MemoryBudget: maxMemory}}, nil
}

// String returns the source.
func (n *Number) String() string { return n.src }

// Eval evaluates the expression over top-level names. It says no when the result is no number, such as where what it looks at is
// not there.
func (n *Number) Eval(vars map[string]any) (float64, bool) {
	out, err := n.machine.Run(n.program, vars)
	if err != nil {
		return 0, false
	}
	v, ok := out.(float64)
	return v, ok && !math.IsNaN(v) && !math.IsInf(v, 0)
}
