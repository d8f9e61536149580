package expr

import "github.com/expr-lang/expr/ast"

// nesting returns how deep predicates stand inside of predicates: what is innermost is evaluated as often as the product of
// the lengths of all the lists around it says.
func nesting(node ast.Node) int {
	n := &nest{depth: map[*ast.PredicateNode]int{}}
	ast.Walk(&node, n)
	return n.deepest
}

// nest finds the depth of each predicate.
type nest struct {
	depth   map[*ast.PredicateNode]int
	deepest int
}

// Visit implements ast.Visitor; children come before their parents.
func (n *nest) Visit(node *ast.Node) {
	p, ok := (*node).(*ast.PredicateNode)
	if !ok {
		return
	}
	inside := &inner{known: n.depth}
	ast.Walk(&p.Node, inside)
	n.depth[p] = inside.deepest + 1
	n.deepest = max(n.deepest, n.depth[p])
}

// inner finds the deepest of the predicates that are known already.
type inner struct {
	known   map[*ast.PredicateNode]int
	deepest int
}

// Visit implements ast.Visitor.
func (i *inner) Visit(node *ast.Node) {
	if p, ok := (*node).(*ast.PredicateNode); ok {
		i.deepest = max(i.deepest, i.known[p])
	}
}
