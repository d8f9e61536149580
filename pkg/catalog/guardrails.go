package catalog

import (
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// guard refuses a declaration that would cut the agent off, unless fleet.yaml says that it may. all is the whole catalog, or
// nil.
func (b *builder) guard(pos fault.Pos, id resource.ID, res resource.Resource, all []resource.Item) {
	kind, ok := b.Kinds.Kind(id.Type)
	if _, missing := res.(*Unavailable); !ok || missing {
		return
	}
	for _, g := range b.Guardrails {
		if slices.ContainsFunc(b.policy.Fleet.Allow, func(t policy.Text) bool { return t.S == g.Name }) {
			continue
		}
		if what := g.Breaks(kind, id, res, all); what != "" {
			b.fail(pos, g.Name, "if that is meant: guardrails: {allow: ["+g.Name+"]} in fleet.yaml", "%s is refused: %s", id, what)
		}
	}
}

// guarded looks at a whole catalog. An audit changes nothing and is not refused.
func (b *builder) guarded() {
	for i := range b.items {
		if it := &b.items[i]; !it.Meta.Audit {
			b.guard(it.Pos, it.ID, it.Resource, b.items)
		}
	}
}

// guardrails checks the names of what is allowed.
func (k *check) guardrails() {
	names := make([]string, len(k.Guardrails))
	for i, g := range k.Guardrails {
		names[i] = g.Name
	}
	for _, t := range k.policy.Fleet.Allow {
		if slices.Contains(names, t.S) {
			continue
		}
		hint := fault.DidYouMean(t.S, names)
		if hint == "" {
			hint = "there are " + strings.Join(names, ", ")
		}
		k.fail(t.Pos, "missing-guardrail", hint, "there is no guardrail %q", t.S)
	}
}
