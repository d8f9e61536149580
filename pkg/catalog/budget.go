package catalog

import (
	"fmt"
	"text/template"
	"text/template/parse"
)

// maxSteps bounds how often one template may go round its loops and into its named templates. What text/template itself
// limits is depth, which `{{ range 1000000000 }}{{ end }}` does not need.
const maxSteps = 200_000

// maxTotal bounds the same for all templates of one catalog.
const maxTotal = 2_000_000

// stepsOfInclude is what one include counts for.
const stepsOfInclude = 20

var errTooManyInAll = fmt.Errorf("the templates of this node do not end after %d turns of their loops", maxTotal)

var errTooManySteps = fmt.Errorf("it does not end after %d turns of its loops", maxSteps)

// stepFunc is the function that counts. It is added once a template is parsed, so that policies cannot call it.
const stepFunc = "step"

// counter is the counting function of one template and what it includes.
func (s *spent) counter() template.FuncMap {
	return template.FuncMap{stepFunc: func() (string, error) {
		return "", s.step(1)
	}}
}

// meter makes every loop and every named template of t count its turns.
func meter(t *template.Template) {
	for _, one := range t.Templates() {
		if one.Tree != nil && one.Root != nil {
			one.Root.Nodes = append([]parse.Node{stepNode(one.Tree)}, one.Root.Nodes...)
			meterLoops(one.Tree, one.Root)
		}
	}
}

func meterLoops(tree *parse.Tree, list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			meterLoops(tree, n.List)
			meterLoops(tree, n.ElseList)
		case *parse.WithNode:
			meterLoops(tree, n.List)
			meterLoops(tree, n.ElseList)
		case *parse.RangeNode:
			meterLoops(tree, n.List)
			meterLoops(tree, n.ElseList)
			n.List.Nodes = append([]parse.Node{stepNode(tree)}, n.List.Nodes...)
		}
	}
}

// stepNode is `{{ step }}`.
func stepNode(tree *parse.Tree) parse.Node {
	call := parse.NewIdentifier(stepFunc).SetTree(tree)
	return &parse.ActionNode{NodeType: parse.NodeAction, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Cmds: []*parse.CommandNode{{NodeType: parse.NodeCommand, Args: []parse.Node{call}}},
	}}
}
