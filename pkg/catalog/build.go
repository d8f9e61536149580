package catalog

import (
	"fmt"
	"slices"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// builder makes the catalog of one node.
type builder struct {
	Language
	policy   *policy.Policy
	content  *policy.Content
	schema   *expr.Schema
	vars     map[string]any
	secrets  *Secrets
	taint    taint    // of the module that is being built
	files    []string // of the data hierarchy; nil until asked for
	problems fault.Problems

	items    []resource.Item
	decls    []declared
	byName   map[string]int  // module/type:identity and module/alias to index in items
	byID     map[string]int  // type:identity to index in items
	inactive map[string]bool // names whose condition does not hold
}

// declared is what an item was made of.
type declared struct {
	decl   policy.Declaration
	module string
	digest string
}

// use is a module of a role that applies.
type use struct {
	policy.Use
	role  string
	audit bool
}

func (b *builder) fail(pos fault.Pos, code, hint, format string, args ...any) {
	b.problems = append(b.problems, fault.Problem{Pos: pos, Code: code, Hint: hint, Msg: fmt.Sprintf(format, args...)})
}

func (l Language) builder(p *policy.Policy, c *policy.Content, in Input) *builder {
	return &builder{Language: l, policy: p, content: c, schema: l.schema(p), vars: l.vars(p, in), secrets: in.Secrets,
		byName: map[string]int{}, byID: map[string]int{}, inactive: map[string]bool{}}
}

// Modules returns the modules a node needs, in order. The fleet layer is enough to tell.
func (l Language) Modules(p *policy.Policy, in Input) ([]string, error) {
	b := l.builder(p, nil, in)
	order, _ := b.roles()
	return order, b.problems.Err()
}

// Build makes the catalog of one node. What is wrong is returned all at once as [fault.Problems].
func (l Language) Build(p *policy.Policy, c *policy.Content, in Input) (*resource.Catalog, error) {
	b := l.builder(p, c, in)
	order, uses := b.roles()
	cat := &resource.Catalog{Fleet: p.Fleet.Name}
	b.expect(p, order)
	for _, name := range order {
		m, ok := p.Modules[name]
		if !ok {
			b.fail(uses[name][0].Pos, "missing-module", "", "there is no module %q", name)
			continue
		}
		if b.module(m, uses[name]) {
			cat.Modules = append(cat.Modules, name)
		}
	}
	if err := b.problems.Err(); err != nil {
		return nil, err
	}
	cat.Items = b.order()
	return cat, b.problems.Err()
}

// expect makes room for the resources of modules, so that large policies are not copied while they are built.
func (b *builder) expect(p *policy.Policy, modules []string) {
	n := 0
	for _, name := range modules {
		if m := p.Modules[name]; m != nil {
			n += len(m.Resources)
		}
	}
	b.items, b.decls = make([]resource.Item, 0, n), make([]declared, 0, n)
	b.byName, b.byID = make(map[string]int, n), make(map[string]int, n)
}

// roles evaluates which roles apply, and returns their modules in order with the uses of each.
func (b *builder) roles() (order []string, uses map[string][]use) {
	uses = map[string][]use{}
	for _, role := range b.policy.Roles {
		if !b.holds(role.When, b.schema, b.vars) {
			continue
		}
		for _, u := range role.Modules {
			if _, known := uses[u.Module]; !known {
				order = append(order, u.Module)
			}
			uses[u.Module] = append(uses[u.Module], use{u, role.Name, role.Audit})
		}
	}
	return order, uses
}

// holds evaluates a condition; an empty one holds.
func (b *builder) holds(when policy.Text, s *expr.Schema, vars map[string]any) bool {
	if when.S == "" {
		return true
	}
	c, err := expr.Compile(when.S, s)
	if err != nil {
		b.fail(when.Pos, "bad-expression", firstHint(err), "%s", err)
		return false
	}
	ok, err := c.Eval(vars)
	if err != nil {
		b.fail(when.Pos, "bad-expression", "", "%s", err)
	}
	return ok && err == nil
}

// module adds the resources of a module, and reports whether the module applies.
func (b *builder) module(m *policy.Module, uses []use) bool {
	before := len(b.problems)
	params := b.params(m, uses)
	if len(b.problems) > before {
		return false // what uses them would only say so again
	}
	schema, vars := b.scope(m, params)
	audit := b.policy.Fleet.Audit || m.Audit || !slices.ContainsFunc(uses, func(u use) bool { return !u.audit })
	applies := b.holds(m.When, schema, vars)
	for _, d := range m.Resources {
		b.declaration(m, d, schema, vars, audit, applies)
	}
	return applies
}

// scope is what the conditions and templates of a module see.
func (b *builder) scope(m *policy.Module, params map[string]any) (*expr.Schema, map[string]any) {
	schema := b.schema.Clone()
	for name := range m.Params {
		schema.Param(name)
	}
	vars := make(map[string]any, len(b.vars)+1)
	for name, v := range b.vars {
		vars[name] = v
	}
	vars["param"] = params
	return schema, vars
}

func (b *builder) declaration(m *policy.Module, d policy.Declaration, schema *expr.Schema, vars map[string]any, audit, applies bool) {
	identity, err := renderValue(d.Identity, vars)
	if err != nil {
		if applies {
			b.fail(d.Pos, "bad-template", firstHint(err), "the identity of %s: %s", d.Type, err)
		}
		return
	}
	id := resource.ID{Type: d.Type, Name: fmt.Sprint(identity)}
	name := m.Name + "/" + id.String()
	if !applies || !b.holds(d.When, schema, vars) {
		b.inactive[name] = true
		if d.Alias != "" {
			b.inactive[m.Name+"/"+d.Alias] = true
		}
		return
	}
	it, digest, ok := b.decode(m, d, id, vars)
	if !ok {
		return
	}
	it.Meta.Audit = it.Meta.Audit || audit
	b.add(it, declared{d, m.Name, digest}, name)
}

// decode renders a declaration and makes its resource.
func (b *builder) decode(m *policy.Module, d policy.Declaration, id resource.ID, vars map[string]any) (it resource.Item, digest string, ok bool) {
	kind, known := b.Kinds.Kind(d.Type)
	if !known {
		b.fail(d.Pos, "unknown-type", fault.DidYouMean(d.Type, b.Kinds.Names()), "unknown resource type %q", d.Type)
		return it, "", false
	}
	hidden := secretsIn(d, b.taint)
	attrs := make(map[string]any, len(d.Attrs))
	for key, v := range d.Attrs {
		value, err := renderValue(v, vars)
		if err != nil {
			b.fail(d.Place(key), "bad-template", firstHint(err), "%s: %s", key, err)
			return it, "", false
		}
		attrs[key] = value
	}
	bound := &content{module: m.Name, from: b.content, vars: vars, taint: b.taint, hidden: &hidden}
	res, ok := b.resource(kind, d, id, attrs, bound)
	if !ok {
		return it, "", false
	}
	digest = digestOf(d.Type, id.Name, attrs, bound.digests)
	if hidden.tainted() {
		digest = b.secrets.digest(digest)
	}
	meta := resource.Meta{
		Alias: d.Alias, About: d.About, Audit: d.Audit, Sensitive: d.Sensitive, Controls: d.Controls, Tags: d.Tags, Timeout: d.Timeout, Retries: d.Retries,
	}
	taintedMeta(&meta, d, hidden)
	return resource.Item{ID: id, Module: m.Name, Resource: res, Digest: digest, Pos: d.Pos, Meta: meta}, digest, true
}

// resource decodes a declaration and takes its content from the module. What needs a secret that the node does not have
// becomes a resource that says so.
func (b *builder) resource(kind resource.Kind, d policy.Declaration, id resource.ID, attrs map[string]any, bound *content) (resource.Resource, bool) {
	if why := b.missing(*bound.hidden); why != "" {
		return &Unavailable{why}, true
	}
	for _, key := range bound.hidden.keys {
		if isArgv(kind, key) {
			b.fail(d.Place(key), "secret-in-argv", argvHint, argvMsg, key)
			return nil, false
		}
	}
	res, problems := kind.Decode(id.Name, attrs)
	if len(problems) > 0 {
		b.place(d, bound.hidden.problems(problems))
		return nil, false
	}
	if binder, can := res.(resource.Binder); can {
		err := binder.Bind(bound)
		if why := b.missing(*bound.hidden); why != "" {
			return &Unavailable{why}, true
		}
		if err != nil {
			b.fail(d.Pos, bindCode(err), firstHint(err), "%s: %s", id, err)
			return nil, false
		}
	}
	if bound.hidden.tainted() {
		if err := confide(res); err != nil {
			b.fail(d.Pos, "secret-shown", firstHint(err), "%s: %s", id, err)
			return nil, false
		}
	}
	return res, true
}

// place gives problems that were found in a declaration their position.
func (b *builder) place(d policy.Declaration, problems fault.Problems) {
	for _, p := range problems {
		p.Pos = d.Place(p.Path)
		b.problems = append(b.problems, p)
	}
}

// add puts an item into the catalog. The same resource declared again, in the same words, is shared; in others it is an
// error that names both places.
func (b *builder) add(it resource.Item, d declared, name string) {
	key := it.ID.String()
	at, twice := b.byID[key]
	if twice && b.decls[at].digest != d.digest {
		b.fail(it.Pos, "duplicate", "two identical declarations would be shared; make them equal, or remove one",
			"%s is declared here and, differently, at %s", it.ID, b.items[at].Pos)
		return
	}
	if twice && b.decls[at].module == d.module {
		b.fail(it.Pos, "duplicate", "remove one", "%s is declared twice in module %s; first at %s", it.ID, d.module, b.items[at].Pos)
		return
	}
	if !twice {
		at = len(b.items)
		b.byID[key] = at
		b.items = append(b.items, it)
		b.decls = append(b.decls, d)
	} else { // references of both declarations hold
		first := &b.decls[at].decl
		first.Requires = append(slices.Clone(first.Requires), d.decl.Requires...)
		first.Before = append(slices.Clone(first.Before), d.decl.Before...)
		first.Notify = append(slices.Clone(first.Notify), d.decl.Notify...)
		first.Subscribe = append(slices.Clone(first.Subscribe), d.decl.Subscribe...)
	}
	b.byName[name] = at
	if it.Meta.Alias != "" {
		b.byName[d.module+"/"+it.Meta.Alias] = at
	}
}
