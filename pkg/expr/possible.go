package expr

import (
	"slices"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Possible reports whether the condition may hold for a node that has these labels, whatever its name, its other labels, its
// traits, modes and parameters are. It errs on the side of true: false is certain.
func (c *Cond) Possible(labels map[string]string) bool {
	tree, err := parser.Parse(c.src)
	if err != nil {
		return true
	}
	best := favourable(tree.Node, labels, true)
	options := append(functions(), exprlang.AllowUndefinedVariables(), exprlang.AsBool(), exprlang.Patch(nullSafe{}))
	program, err := exprlang.Compile(best.String(), options...)
	if err != nil {
		return true
	}
	vars := make(map[string]any, len(labels))
	for name, value := range labels {
		vars[name] = value
	}
	holds, err := (&Cond{src: c.src, program: program}).Eval(vars)
	return holds || err != nil
}

// favourable returns an expression in which each part that looks at something unknown is what is best for the whole: true where
// that helps it to hold, and false below a negation.
func favourable(n ast.Node, labels map[string]string, helps bool) ast.Node {
	if !looksBeyond(n, labels) {
		return n
	}
	switch n := n.(type) {
	case *ast.BinaryNode:
		if slices.Contains([]string{"and", "&&", "or", "||"}, n.Operator) {
			return &ast.BinaryNode{Operator: n.Operator, Left: favourable(n.Left, labels, helps), Right: favourable(n.Right, labels, helps)}
		}
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return &ast.UnaryNode{Operator: n.Operator, Node: favourable(n.Node, labels, !helps)}
		}
	}
	return &ast.BoolNode{Value: helps}
}

// looksBeyond reports whether an expression looks at anything but some labels.
func looksBeyond(n ast.Node, labels map[string]string) bool {
	b := &beyond{labels: labels}
	ast.Walk(&n, b)
	return b.found
}

type beyond struct {
	labels map[string]string
	found  bool
}

// Visit implements ast.Visitor.
func (b *beyond) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		_, known := b.labels[n.Value]
		b.found = b.found || !known && !slices.Contains(functionNames, n.Value)
	case *ast.VariableDeclaratorNode, *ast.PointerNode: // names of their own, which may be like those of labels
		b.found = true
	}
}
