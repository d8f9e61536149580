package catalog

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/window"
)

// builder makes the catalog of one node.
type builder struct {
	Language
	policy   *policy.Policy
	content  *policy.Content
	schema   *expr.Schema
	vars     map[string]any
	secrets  *Secrets
	alone    bool // modules that are not there are no mistake
	onNode   bool // a value that is not there is a mistake of one resource
	watch    Watch
	conds    map[condition]*expr.Cond
	turns    int      // of the loops of all templates
	files    []string // of the data hierarchy; nil until asked for
	problems fault.Problems

	scratch []byte // what the digest of a declaration is made over

	items    []resource.Item
	decls    []declared
	byName   map[string]int // module/type:identity and module/alias to index in items; nil until a reference is looked up
	byID     map[resource.ID]int
	groups   map[string][]int // module/alias of a foreach to indexes in items
	inactive map[string]bool  // names whose condition does not hold
	given    map[string]bool  // modules that roles give to the node; whether they apply
}

// condition is what a compiled condition is kept by.
type condition struct {
	src    string
	schema *expr.Schema
}

// declared is what an item was made of, as far as its order depends on it.
type declared struct {
	module, alias string
	refs          *refs      // nil: it refers to nothing
	also          []declared // by other modules, in the same words
}

// use is a module of a role that applies.
type use struct {
	policy.Use
	role *policy.Role
}

// unit is a module that is being built, and what its resources have from it.
type unit struct {
	*policy.Module
	schema  *expr.Schema
	env     env
	audit   bool
	window  window.Window
	applies bool
}

func (b *builder) fail(pos fault.Pos, code, hint, format string, args ...any) {
	b.problems = append(b.problems, fault.Problem{Pos: pos, Code: code, Hint: hint, Msg: fmt.Sprintf(format, args...)})
}

func (l Language) builder(p *policy.Policy, c *policy.Content, in Input) *builder {
	return &builder{Language: l, policy: p, content: c, schema: l.schema(p), vars: l.vars(p, in), alone: in.Alone, onNode: in.OnNode, watch: in.Watch, secrets: in.Secrets,
		conds: map[condition]*expr.Cond{}, byID: map[resource.ID]int{}, groups: map[string][]int{},
		inactive: map[string]bool{}, given: map[string]bool{}}
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
		b.given[name] = false
	}
	for _, name := range order {
		m, ok := p.Modules[name]
		if !ok {
			b.fail(uses[name][0].Pos, "missing-module", "", "there is no module %q", name)
			continue
		}
		if b.module(m, uses[name]) {
			cat.Modules = append(cat.Modules, name)
		}
		if in.Once {
			delete(p.Modules, name)
		}
	}
	b.guarded()
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
	b.byID = make(map[resource.ID]int, n)
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
			uses[u.Module] = append(uses[u.Module], use{u, role})
		}
	}
	return order, uses
}

// holds evaluates a condition; an empty one holds.
func (b *builder) holds(when policy.Text, s *expr.Schema, vars map[string]any) bool {
	if when.S == "" {
		return true
	}
	c, err := b.compiled(when.S, s)
	if err != nil {
		b.fail(when.Pos, "bad-expression", firstHint(err), "%s", err)
		return false
	}
	ok, err := c.Eval(vars)
	if err != nil {
		b.fail(when.Pos, "bad-expression", "", "%s", err)
	}
	b.watch.condition(when.Pos, ok && err == nil)
	return ok && err == nil
}

// compiled keeps what it compiles: the condition of a foreach is the same for each item.
func (b *builder) compiled(src string, s *expr.Schema) (*expr.Cond, error) {
	if c, ok := b.conds[condition{src, s}]; ok {
		return c, nil
	}
	c, err := expr.Compile(src, s)
	if err == nil {
		b.conds[condition{src, s}] = c
	}
	return c, err
}

// module adds the resources of a module, and reports whether the module applies.
func (b *builder) module(m *policy.Module, uses []use) bool {
	before := len(b.problems)
	params, tainted := b.params(m, uses)
	if len(b.problems) > before {
		return false // what uses them would only say so again
	}
	schema, vars := b.scope(m, params)
	u := &unit{Module: m, schema: schema, env: env{vars: vars, module: m.Name, content: b.content, taint: tainted, total: &b.turns}}
	u.audit, u.window = b.audit(m, uses), b.window(m, uses)
	u.applies = b.holds(m.When, schema, vars)
	b.given[m.Name] = u.applies
	if u.applies {
		b.expectMore(len(m.Resources))
	}
	for i := range m.Resources {
		d := &m.Resources[i]
		if d.Foreach != nil {
			b.foreach(u, d)
			continue
		}
		b.declaration(u, d, u.env, u.schema, d.Alias)
	}
	return u.applies
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

// declaration adds the resource of a declaration, or of one item of its foreach, and returns its index in items; ok is
// false if there is none.
func (b *builder) declaration(u *unit, d *policy.Declaration, e env, schema *expr.Schema, alias string) (at int, ok bool) {
	identity, err := e.value(d.Identity)
	if err != nil {
		if u.applies {
			b.fail(d.Pos, "bad-template", firstHint(err), "the identity of %s: %s", d.Type, err)
		}
		return 0, false
	}
	id := resource.ID{Type: d.Type, Name: text(identity)}
	if !u.applies || !b.holds(d.When, schema, e.vars) {
		b.inactive[u.Name+"/"+id.String()] = true
		if alias != "" {
			b.inactive[u.Name+"/"+alias] = true
		}
		return 0, false
	}
	if len(b.items) >= maxResources {
		b.full(d)
		return 0, false
	}
	it, ok := b.decode(d, id, e)
	if !ok {
		return 0, false
	}
	it.Meta.Alias = alias
	it.Meta.Audit = closest(u.audit, d.Audit)
	it.Meta.Window = u.window
	if d.Window.S != "" {
		it.Meta.Window = b.named(d.Window)
	}
	return b.add(&it, declared{module: u.Name, alias: alias, refs: refsOf(d, e)})
}

// decode renders a declaration and makes its resource.
func (b *builder) decode(d *policy.Declaration, id resource.ID, e env) (it resource.Item, ok bool) {
	kind, known := b.Kinds.Kind(d.Type)
	if !known {
		b.fail(d.Pos, "unknown-type", nearType(d.Type, b.Kinds.Names()), "unknown resource type %q", d.Type)
		return it, false
	}
	hidden := secretsIn(d, e)
	attrs, unavailable, ok := b.attributes(d, e)
	if !ok {
		return it, false
	}
	bound := &content{env: e, hidden: &hidden}
	res := resource.Resource(&Unavailable{unavailable})
	if unavailable == nil {
		if res, ok = b.resource(kind, d, id, attrs, bound); !ok {
			return it, false
		}
	}
	digest := b.digestOf(d.Type, id.Name, attrs, bound.digests)
	if hidden.tainted() {
		digest = b.secrets.digest(digest)
	}
	meta := resource.Meta{
		About: d.About, Sensitive: d.Sensitive, Controls: d.Controls, Tags: d.Tags, Timeout: d.Timeout, Retries: d.Retries, Guard: d.Guard.Timeout,
	}
	taintedMeta(&meta, d, hidden)
	return resource.Item{ID: id, Module: e.module, Resource: res, Digest: digest, Pos: d.Pos, Meta: meta}, true
}

// text is what a rendered value is as part of a text.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// resource decodes a declaration and takes its content from the module. What needs a secret that the node does not have
// becomes a resource that says so.
func (b *builder) resource(kind resource.Kind, d *policy.Declaration, id resource.ID, attrs map[string]any, bound *content) (resource.Resource, bool) {
	if why := b.missing(*bound.hidden); why != nil {
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
		if b.secrets.standIn(slices.Collect(maps.Keys(bound.hidden.names))) {
			return &Unavailable{errStandIn}, true
		}
		problems = located(d, bound.hidden.problems(d.Type, problems))
		if b.onNode && !reflect.DeepEqual(attrs, d.Attrs) { // the values of this node are to blame
			return &Unavailable{problems}, true
		}
		b.problems = append(b.problems, problems...)
		return nil, false
	}
	if binder, can := res.(resource.Binder); can {
		err := binder.Bind(bound)
		if why := b.missing(*bound.hidden); why != nil {
			return &Unavailable{why}, true
		}
		if b.spared(err) {
			return &Unavailable{fmt.Errorf("%s: %w", d.Pos, err)}, true
		}
		if err != nil {
			b.fail(d.Pos, bindCode(err), firstHint(err), "%s: %s", id, err)
			return nil, false
		}
	}
	if !b.guardable(d, kind, res) {
		return nil, false
	}
	if bound.hidden.tainted() {
		if err := confide(res); err != nil {
			b.fail(d.Pos, "secret-shown", firstHint(err), "%s: %s", id, err)
			return nil, false
		}
	}
	return res, true
}

// located gives problems that were found in a declaration their position.
func located(d *policy.Declaration, problems fault.Problems) fault.Problems {
	for i := range problems {
		problems[i].Pos = d.Place(problems[i].Path)
	}
	return problems
}
