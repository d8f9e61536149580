package catalog

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"vigo.dev/pkg/policy"
)

// uses is what a template takes in that may be secret: it is found by reading the template, not by running it, so that no
// branch is overlooked. Whatever comes out of a template that takes in a secret is taken for secret.
type uses struct {
	secrets map[string]bool // named in it
	params  map[string]bool // read by it
	all     bool            // it takes all parameters at once
	include map[string]bool // templates that it includes
	wrong   []error         // names that are not written out
}

// itemTaint and keyTaint stand among the parameters for what a resource with foreach is repeated for.
const itemTaint, keyTaint = "\x00item", "\x00key"

func (u *uses) add(other uses) {
	for name := range other.secrets {
		u.secret(name)
	}
	for name := range other.params {
		u.param(name)
	}
	for name := range other.include {
		u.includes(name)
	}
	u.all = u.all || other.all
	u.wrong = append(u.wrong, other.wrong...)
}

func (u *uses) secret(name string) {
	if u.secrets == nil {
		u.secrets = map[string]bool{}
	}
	u.secrets[name] = true
}

func (u *uses) includes(name string) {
	if u.include == nil {
		u.include = map[string]bool{}
	}
	u.include[name] = true
}

// with adds the uses of the templates that are included, and of those that they include.
func (u uses) with(e env) uses {
	if len(u.include) == 0 || e.content == nil {
		return u
	}
	var all uses
	all.add(u)
	open, seen := slices.Collect(maps.Keys(u.include)), map[string]bool{}
	for len(open) > 0 {
		name := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		inner, known := e.read[name]
		if !known {
			text, err := e.content.Template(e.module, name)
			if err != nil {
				continue // told elsewhere
			}
			inner = usesOfText(name, text)
			if e.read != nil {
				e.read[name] = inner
			}
		}
		open = append(open, slices.Collect(maps.Keys(inner.include))...)
		inner.wrong = nil // told of that template
		all.add(inner)
	}
	return all
}

func (u *uses) param(name string) {
	if u.params == nil {
		u.params = map[string]bool{}
	}
	u.params[name] = true
}

// taint is, for each parameter that holds secrets, which.
type taint map[string][]string

// of returns the secrets that come out of what has these uses.
func (t taint) of(u uses) (names []string, tainted bool) {
	if len(t) == 0 && len(u.secrets) == 0 {
		return nil, false
	}
	set := maps.Clone(u.secrets)
	if set == nil {
		set = map[string]bool{}
	}
	tainted = len(set) > 0
	for param, secrets := range t {
		if u.all || u.params[param] {
			tainted = true
			for _, name := range secrets {
				set[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set)), tainted
}

// mayUse says, without parsing anything, whether a text can have to do with secrets.
func mayUse(text string, t taint) bool {
	return strings.Contains(text, secretFunc) || strings.Contains(text, includeFunc) || len(t) > 0
}

// usesOfValue collects the uses of all templates inside a value.
func usesOfValue(v any, t taint) (u uses) {
	switch v := v.(type) {
	case string:
		if dynamic(v) && mayUse(v, t) {
			return usesOfText("value", v)
		}
	case []any:
		for _, item := range v {
			u.add(usesOfValue(item, t))
		}
	case map[string]any:
		for _, item := range v {
			u.add(usesOfValue(item, t))
		}
	}
	return u
}

// usesOfText finds the uses of one template with the templates that it defines. One that cannot be parsed has none: that is
// told elsewhere.
func usesOfText(name, text string) uses {
	t, err := env{spent: newSpent()}.parse(name, text, nil)
	if err != nil {
		return uses{}
	}
	w := useWalk{template: t}
	for _, one := range t.Templates() {
		if one.Tree != nil {
			w.list(one.Root, true)
		}
	}
	return w.uses
}

type useWalk struct {
	uses
	template *template.Template
}

// list walks nodes; outer says whether the dot is still everything.
func (w *useWalk) list(n *parse.ListNode, outer bool) {
	if n == nil {
		return
	}
	for _, child := range n.Nodes {
		switch n := child.(type) {
		case *parse.ActionNode:
			w.pipe(n.Pipe, outer)
		case *parse.IfNode:
			w.branch(&n.BranchNode, outer, outer)
		case *parse.RangeNode:
			w.branch(&n.BranchNode, outer, false)
		case *parse.WithNode:
			w.branch(&n.BranchNode, outer, false)
		case *parse.TemplateNode:
			w.pipe(n.Pipe, outer)
		}
	}
}

func (w *useWalk) branch(n *parse.BranchNode, outer, inner bool) {
	w.pipe(n.Pipe, outer)
	w.list(n.List, inner)
	w.list(n.ElseList, outer)
}

func (w *useWalk) pipe(p *parse.PipeNode, outer bool) {
	if p == nil {
		return
	}
	for _, cmd := range p.Cmds {
		w.command(cmd, outer)
	}
}

func (w *useWalk) command(cmd *parse.CommandNode, outer bool) {
	args := cmd.Args
	if f, ok := args[0].(*parse.IdentifierNode); ok && f.Ident == secretFunc {
		if len(args) == 2 {
			if name, ok := args[1].(*parse.StringNode); ok {
				w.named(name)
				return
			}
		}
		w.fail(f)
		args = args[1:]
	}
	if f, ok := cmd.Args[0].(*parse.IdentifierNode); ok && f.Ident == includeFunc && len(args) > 1 {
		if name, ok := args[1].(*parse.StringNode); ok {
			w.includes(name.Text)
		}
	}
	for _, arg := range args {
		w.arg(arg, outer)
	}
}

func (w *useWalk) arg(arg parse.Node, outer bool) {
	switch a := arg.(type) {
	case *parse.IdentifierNode:
		if a.Ident == secretFunc {
			w.fail(a)
		}
	case *parse.FieldNode:
		w.field(a.Ident)
	case *parse.VariableNode:
		if a.Ident[0] == "$" {
			w.field(a.Ident[1:])
		}
	case *parse.DotNode:
		if outer {
			w.all = true
		}
	case *parse.ChainNode:
		w.arg(a.Node, outer)
	case *parse.PipeNode:
		w.pipe(a, outer)
	}
}

// field notes what .a.b reads. Where the dot is something else, that something was noted when it became the dot.
func (w *useWalk) field(ident []string) {
	switch {
	case len(ident) == 0, len(ident) == 1 && ident[0] == "param":
		w.all = true
	case ident[0] == "param":
		w.param(ident[1])
	case ident[0] == itemName:
		w.param(itemTaint)
	case ident[0] == keyName:
		w.param(keyTaint)
	}
}

func (w *useWalk) named(n *parse.StringNode) {
	if err := policy.CheckSecretName(n.Text); err != nil {
		e := w.at(n)
		e.msg, e.hint = err.Error(), firstHint(err)
		w.wrong = append(w.wrong, e)
		return
	}
	w.secret(n.Text)
}

func (w *useWalk) fail(n parse.Node) {
	e := w.at(n)
	e.msg, e.hint = "the name of a secret must be written out, so that it is known without running anything which nodes use it", `{{ secret "db/password" }}`
	w.wrong = append(w.wrong, e)
}

// at is a mistake at the place of a node.
func (w *useWalk) at(n parse.Node) *templateError {
	e := &templateError{}
	location, _ := w.template.ErrorContext(n)
	if parts := strings.Split(location, ":"); len(parts) >= 3 {
		e.line, _ = strconv.Atoi(parts[len(parts)-2])
		if col, err := strconv.Atoi(parts[len(parts)-1]); err == nil {
			e.col = col + 1
		}
	}
	return e
}
