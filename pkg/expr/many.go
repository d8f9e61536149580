package expr

import (
	"fmt"
	"path"
	"slices"
	"strings"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// A Many is a condition that is asked of many nodes. What it asks of their names with glob("…", node) is taken out of it: who
// has the names in order knows that better. It is not safe for concurrent use.
type Many struct {
	// Patterns are those taken out. Whether the name of a node matches the first is given to Eval as [Matched](0), and so on.
	Patterns []string
	// Reads is what else the condition looks at.
	Reads []Read

	src     string
	program *vm.Program
	machine vm.VM
}

// Matched is the name under which [Many.Eval] is told whether a pattern matches.
func Matched(i int) string { return fmt.Sprint("node matches ", i) } // no name of a trait or label has blanks

// ForMany prepares the condition for many nodes.
func (c *Cond) ForMany() (*Many, error) {
	m := &Many{src: c.src, program: c.program, Reads: c.Reads(), machine: vm.VM{MemoryBudget: maxMemory}}
	tree, err := parser.Parse(c.src)
	if err != nil {
		return nil, parseError(err)
	}
	out := &taker{}
	ast.Walk(&tree.Node, out)
	if len(out.patterns) == 0 {
		return m, nil
	}
	options := append(functions(), exprlang.AllowUndefinedVariables(), exprlang.AsBool(), exprlang.Patch(nullSafe{}), exprlang.Patch(&taker{}))
	if m.program, err = exprlang.Compile(c.src, options...); err != nil {
		return nil, parseError(err)
	}
	m.Patterns, m.Reads = out.patterns, readsOf(&tree.Node)
	m.Reads = slices.DeleteFunc(m.Reads, func(r Read) bool { return strings.HasPrefix(r.Name, Matched(0)[:len(Matched(0))-1]) })
	return m, nil
}

// Eval is that of [Cond], of the condition without its patterns.
func (m *Many) Eval(vars map[string]any) (bool, error) {
	return run(&m.machine, m.program, m.src, vars)
}

// taker puts names in the place of glob("…", node).
type taker struct{ patterns []string }

// Visit implements ast.Visitor.
func (t *taker) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok || len(call.Arguments) != 2 {
		return
	}
	name, called := call.Callee.(*ast.IdentifierNode)
	pattern, constant := call.Arguments[0].(*ast.StringNode)
	of, plain := call.Arguments[1].(*ast.IdentifierNode)
	if !called || !constant || !plain || name.Value != "glob" || of.Value != "node" {
		return
	}
	if _, err := path.Match(pattern.Value, ""); err != nil { // an error of each node, as it is without this
		return
	}
	at := slices.Index(t.patterns, pattern.Value)
	if at < 0 {
		at = len(t.patterns)
		t.patterns = append(t.patterns, pattern.Value)
	}
	ast.Patch(node, &ast.IdentifierNode{Value: Matched(at)})
}
