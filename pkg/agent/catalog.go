package agent

import (
	"context"
	"encoding/json"
	"slices"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
)

// built is the catalog of a run, with what it was made from.
type built struct {
	from    string // what the node was at that time, as far as the policy looks at it
	catalog *resource.Catalog
}

// catalog builds the catalog of this node; when the policy in force cannot be built it says why. A catalog is a pure
// function of bundle, labels, modes and traits: as long as none of them changes that the policy looks at, the one of the
// last run is it.
func (a *Agent) catalog(ctx context.Context, set trait.Set) (*resource.Catalog, error) {
	l, err := a.load(ctx, set)
	if err != nil {
		return nil, err
	}
	in := a.input(l, set)
	stage := a.Origin.Stage()
	a.prepare(ctx, l, in, stage)
	if err := a.keepStaged(ctx, stage); err != nil {
		a.trouble(err)
	}
	a.inModes(l, in)
	from, known := a.seen(l, in)
	if known && l.built.catalog != nil && l.built.from == from {
		return l.built.catalog, nil
	}
	cat, err := a.Language.Build(l.available(), l.content, in)
	if err != nil {
		return nil, err
	}
	l.built = built{from: from, catalog: cat}
	return cat, nil
}

// available is the policy without the modules whose layers could not be fetched.
func (l *loaded) available() *policy.Policy {
	if l.lacking == nil {
		return l.policy
	}
	p := *l.policy
	p.Roles = make([]*policy.Role, len(l.policy.Roles))
	for i, role := range l.policy.Roles {
		some := *role
		some.Modules = slices.DeleteFunc(slices.Clone(role.Modules), func(u policy.Use) bool { return p.Modules[u.Module] == nil })
		p.Roles[i] = &some
	}
	return &p
}

// seen names what a policy sees of this node: traits by their digests, except what the agent says of itself, which is
// short. It is false if the policy looks at a trait that has no digest, since it changes all the time.
func (a *Agent) seen(l *loaded, in catalog.Input) (string, bool) {
	if l.looksAt == nil {
		l.looksAt = looksAt(l)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	looked := make(map[string]any, len(l.looksAt))
	for _, name := range l.looksAt {
		doc, there := in.Traits[name]
		digest, has := a.digests[name]
		switch {
		case name == aboutAgent:
			looked[name] = doc
		case has:
			looked[name] = digest
		case there:
			return "", false
		}
	}
	from, err := json.Marshal([]any{in.Node, in.Labels, in.Modes, looked})
	return string(from), err == nil
}

// aboutAgent is the trait that no collector gathers.
const aboutAgent = "agent"

// looksAt returns the names of the traits that a policy may look at.
func looksAt(l *loaded) []string {
	names := []string{}
	mentioned := mentions(l.policy, l.content)
	if mentioned(aboutAgent) {
		names = append(names, aboutAgent)
	}
	for _, c := range traits.Used(traits.All(), mentioned) {
		names = append(names, c.Kind().Name)
	}
	return names
}

// lacking says why modules of the bundle in force are not enforced; nil: all that this node needs are.
func (a *Agent) lacking() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.loaded == nil {
		return nil
	}
	return a.loaded.lacking
}
