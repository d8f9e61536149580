package catalog

import (
	"slices"
	"strings"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

func (k *check) declaration(m *policy.Module, d *policy.Declaration, schema *expr.Schema) {
	kind, ok := k.Kinds.Kind(d.Type)
	if !ok {
		k.fail(d.Pos, "unknown-type", nearType(d.Type, k.Kinds.Names()), "unknown resource type %q", d.Type)
		return
	}
	k.guardOf(d, kind)
	if dynamic(d.Identity) {
		k.templates(m.Name, d.Identity, d.Pos, schema)
	}
	for key, v := range d.Attrs {
		k.templates(m.Name, v, d.Place(key), schema)
	}
	problems := kind.Check(d.Identity, d.Attrs, dynamic)
	for i := range problems {
		problems[i].Hint = keyHint(kind, d, problems[i])
	}
	k.problems = append(k.problems, located(d, problems)...)
	if len(problems) > 0 || dynamic(d.Identity) || hasTemplate(any(d.Attrs)) {
		return
	}
	k.bind(m, d, kind)
}

// keyHint adds the keys that every resource has, and the words of others, to those an unknown key is compared with.
func keyHint(kind resource.Kind, d *policy.Declaration, p fault.Problem) string {
	if p.Code != "unknown-key" {
		return p.Hint
	}
	if hint := foreign(kind, d, p.Path); hint != "" {
		return hint
	}
	key := p.Path[strings.LastIndexByte(p.Path, '.')+1:]
	if near := fault.DidYouMean(key, policy.MetaKeys()); near != "" && !strings.HasPrefix(p.Hint, "did you mean") {
		return near
	}
	return p.Hint
}

// bind checks that the files and templates a declaration names are there.
func (k *check) bind(m *policy.Module, d *policy.Declaration, kind resource.Kind) {
	res, problems := kind.Decode(d.Identity, d.Attrs)
	if len(problems) > 0 {
		return
	}
	if kind.Revertible() {
		k.guardable(d, kind, res)
	}
	if d.Audit == nil || !*d.Audit {
		k.guard(d.Pos, resource.ID{Type: d.Type, Name: d.Identity}, res, nil)
	}
	binder, can := res.(resource.Binder)
	if !can {
		return
	}
	if err := binder.Bind(&content{env: env{module: m.Name, content: k.content}, check: true}); err != nil {
		k.fail(d.Pos, bindCode(err), k.nearFile(m, d, err), "%s:%s: %s", d.Type, d.Identity, err)
	}
}

func (k *check) nearFile(m *policy.Module, d *policy.Declaration, err error) string {
	if bindCode(err) != "missing-file" {
		return firstHint(err)
	}
	for key, folder := range map[string]string{"template": "templates", "source": "files"} {
		if name, ok := d.Attrs[key].(string); ok {
			return fault.DidYouMean(name, k.content.List(m.Name, folder, ""))
		}
	}
	return ""
}

// templates checks every template inside a value.
func (k *check) templates(module string, v any, pos fault.Pos, s *expr.Schema) {
	switch v := v.(type) {
	case string:
		if !dynamic(v) {
			return
		}
		for _, err := range checkTemplate("value", v, s, k.included(module)) {
			k.fail(pos, "bad-template", firstHint(err), "%s", err)
		}
	case []any:
		for _, item := range v {
			k.templates(module, item, pos, s)
		}
	case map[string]any:
		for _, item := range v {
			k.templates(module, item, pos, s)
		}
	}
}

func hasTemplate(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, hasTemplate)
	case map[string]any:
		for _, item := range v {
			if hasTemplate(item) {
				return true
			}
		}
	}
	return dynamic(v)
}

// defaults checks the defaults that no resource takes; what is wrong with others is found with the resources.
func (k *check) defaults(m *policy.Module) {
	for _, d := range m.Defaults {
		kind, ok := k.Kinds.Kind(d.Type)
		if !ok {
			k.fail(d.Pos, "unknown-type", nearType(d.Type, k.Kinds.Names()), "the defaults are of an unknown resource type %q", d.Type)
			continue
		}
		for key := range d.Attrs {
			if slices.ContainsFunc(m.Resources, func(r policy.Declaration) bool { return r.Type == d.Type }) {
				break
			}
			if f, known := kind.Field(key); known && !f.Identity {
				continue
			}
			hint := fault.DidYouMean(key, append(kind.Keys(), policy.MetaKeys()...))
			k.fail(d.Place(key), "unknown-key", hint, "%s has no key %q that could have a default", d.Type, key)
		}
	}
}
