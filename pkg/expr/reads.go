package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// A Read is something a condition looks at: a trait, a label or "node".
type Read struct {
	Name string
	Key  string // of the document; "": all of it
}

// Reads returns what the condition looks at, each once: two nodes that are the same in all of it have the same outcome.
func (c *Cond) Reads() []Read {
	tree, err := parser.Parse(c.src)
	if err != nil {
		return nil // it has been compiled
	}
	return readsOf(&tree.Node)
}

func readsOf(tree *ast.Node) []Read {
	r := readers{reads: map[*ast.IdentifierNode]Read{}}
	ast.Walk(tree, &r)
	var list []Read
	for _, id := range r.order {
		if read := r.reads[id]; !slices.Contains(list, read) {
			list = append(list, read)
		}
	}
	return list
}

// readers are the names in an expression with the first key that follows.
type readers struct {
	reads map[*ast.IdentifierNode]Read
	order []*ast.IdentifierNode
}

// Visit implements ast.Visitor; children come before their parents.
func (r *readers) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if !slices.Contains(functionNames, n.Value) {
			r.reads[n] = Read{Name: n.Value}
			r.order = append(r.order, n)
		}
	case *ast.MemberNode:
		id, direct := n.Node.(*ast.IdentifierNode)
		key, constant := n.Property.(*ast.StringNode)
		if direct && constant {
			r.reads[id] = Read{Name: id.Value, Key: key.Value}
		}
	}
}
