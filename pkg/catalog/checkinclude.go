package catalog

import (
	"fmt"
	"path"
	"text/template/parse"

	"vigo.dev/pkg/fault"
)

// includes looks at each include whose name is written down, wherever it is in the template.
func (c *templateCheck) includes(there func(name string) error) {
	for _, t := range c.template.Templates() {
		if t.Tree != nil && t.Root != nil {
			c.includesIn(t.Root, there)
		}
	}
}

func (c *templateCheck) includesIn(n parse.Node, there func(name string) error) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				c.includesIn(child, there)
			}
		}
	case *parse.ActionNode:
		c.includesIn(n.Pipe, there)
	case *parse.IfNode:
		c.includesInBranch(&n.BranchNode, there)
	case *parse.RangeNode:
		c.includesInBranch(&n.BranchNode, there)
	case *parse.WithNode:
		c.includesInBranch(&n.BranchNode, there)
	case *parse.TemplateNode:
		c.includesIn(n.Pipe, there)
	case *parse.PipeNode:
		if n != nil {
			for _, cmd := range n.Cmds {
				c.includesIn(cmd, there)
			}
		}
	case *parse.CommandNode:
		c.includeCommand(n, there)
	}
}

func (c *templateCheck) includesInBranch(n *parse.BranchNode, there func(name string) error) {
	c.includesIn(n.Pipe, there)
	c.includesIn(n.List, there)
	c.includesIn(n.ElseList, there)
}

func (c *templateCheck) includeCommand(n *parse.CommandNode, there func(name string) error) {
	for _, arg := range n.Args {
		c.includesIn(arg, there)
	}
	function, ok := n.Args[0].(*parse.IdentifierNode)
	if !ok || function.Ident != includeFunc {
		return
	}
	var name *parse.StringNode
	if len(n.Args) > 1 {
		name, _ = n.Args[1].(*parse.StringNode)
	}
	if name == nil {
		c.wrong(function, nil, "the name of a template that is included must be written out, so that it is known without running anything what is in it", `{{ include "banner.tmpl" . }}`)
		return
	}
	if err := there(name.Text); err != nil {
		c.wrong(name, nil, err.Error(), firstHint(err))
	}
}

// maxIncluded bounds how many templates one module includes, each counted once; the shared ones count as a module.
const maxIncluded = 100

// included reports whether a template of a module can include another.
func (k *check) included(module string) func(name string) error {
	names := k.includes[module]
	if names == nil {
		names = map[string]bool{}
		k.includes[module] = names
	}
	return func(name string) error {
		if names[name] = true; len(names) > maxIncluded {
			return fmt.Errorf("more than %d templates are included in one module", maxIncluded)
		}
		if _, err := k.content.Template(module, name); err == nil {
			return nil
		}
		known := k.content.List("", "templates", "")
		if module != "" {
			known = append(known, k.content.List(module, "templates", "")...)
		}
		return fault.WithHint(fmt.Errorf("there is no template %q to include", name), fault.DidYouMean(name, known))
	}
}

// sharedTemplates checks the templates of the repository. What is a name in them depends on who includes them.
func (k *check) sharedTemplates() {
	for _, file := range k.content.List("", "templates", "") {
		text, err := k.content.Template("", file)
		mistakes := []error{err}
		if err == nil {
			mistakes = checkTemplate(file, text, nil, k.included(""))
		}
		for _, err := range mistakes {
			k.fail(place(path.Join("templates", file), err), "bad-template", firstHint(err), "%s", err)
		}
	}
}
