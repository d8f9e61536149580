package catalog

import (
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// secrets checks, by names alone and without any identity, that the secrets a policy uses exist, that none gets where it
// would be seen, and that no node can talk itself into one.
func (k *check) secrets() {
	for _, u := range k.SecretUses(k.policy, k.content) {
		if _, ok := k.policy.Fleet.Secrets.Locate(u.Name); !ok {
			hint := fault.DidYouMean(u.Name, k.policy.Fleet.Secrets.Names())
			if hint == "" {
				hint = "make it: vigo secret set " + u.Name
			}
			k.fail(u.Pos, "missing-secret", hint, "there is no secret %q", u.Name)
		}
	}
	for _, level := range k.policy.Fleet.Data {
		k.noSecret(level.S, level.Pos, "the path of a data file")
	}
	gives := k.secretModules()
	for _, role := range k.policy.Roles {
		k.secretRole(role, gives)
	}
	for _, name := range moduleNames(k.policy) {
		m := k.policy.Modules[name]
		e := env{module: m.Name, content: k.content, taint: k.possible(m), read: map[string]uses{}}
		for _, d := range m.Resources {
			k.secretResource(d, e.repeated(&d))
		}
	}
}

// noSecret refuses a secret where its value would be seen or decide something.
func (k *check) noSecret(text string, pos fault.Pos, what string) {
	if dynamic(text) && len(usesOfValue(text, nil).with(k.outside()).secrets) > 0 {
		k.fail(pos, "secret-shown", "", "%s cannot hold a secret: it is shown", what)
	}
}

// secretModules are the modules that use a secret, or get one from a data file.
func (k *check) secretModules() map[string]bool {
	gives := map[string]bool{}
	for name, m := range k.policy.Modules {
		gives[name] = len(usesOfModule(m, k.content)) > 0
	}
	for _, data := range k.policy.Fleet.Files {
		for module, params := range data {
			gives[module] = gives[module] || len(usesOfParams(params, k.content)) > 0
		}
	}
	return gives
}

// secretRole refuses a role that gives secrets by what nodes say of themselves.
func (k *check) secretRole(role *policy.Role, gives map[string]bool) {
	at := slices.IndexFunc(role.Modules, func(u policy.Use) bool { return gives[u.Module] || len(usesOfParams(u.Params, k.content)) > 0 })
	if at < 0 || role.When.S == "" {
		return
	}
	c, err := expr.Compile(role.When.S, k.schema)
	if err != nil || c.LabelsOnly() {
		return
	}
	k.fail(role.When.Pos, "trait-in-selector", "move that part of the condition to when: of the module or its resources, or grant a label under nodes:",
		"role %s gives secrets through module %s, so its condition may look at labels only: a node must not talk itself in; it looks at %s",
		role.Name, role.Modules[at].Module, strings.Join(c.Traits(), ", "))
}

// possible is which parameters of a module may hold secrets on some node.
func (k *check) possible(m *policy.Module) taint {
	t := taint{}
	note := func(name string, v any) {
		if u := usesOfValue(v, nil).with(k.outside()); len(u.secrets) > 0 {
			t[name] = append(t[name], slices.Sorted(maps.Keys(u.secrets))...)
		}
	}
	for name, spec := range m.Params {
		if spec.Type == secretFunc {
			t[name] = nil
		}
		note(name, spec.Default)
	}
	for _, role := range k.policy.Roles {
		for _, u := range role.Modules {
			for name, v := range u.Params {
				if u.Module == m.Name {
					note(name, v.V)
				}
			}
		}
	}
	for _, data := range k.policy.Fleet.Files {
		for name, v := range data[m.Name] {
			note(name, v.V)
		}
	}
	return t
}

// secretResource refuses a secret in the identity of a resource and in what becomes the arguments of a program.
func (k *check) secretResource(d policy.Declaration, e env) {
	t := e.taint
	if _, tainted := t.of(usesOfValue(d.Identity, t).with(e)); tainted {
		k.fail(d.Pos, "secret-shown", "", "the identity of a %s cannot hold a secret: it is its name in reports", d.Type)
	}
	kind, ok := k.Kinds.Kind(d.Type)
	if !ok {
		return
	}
	for key, v := range d.Attrs {
		if _, tainted := t.of(usesOfValue(v, t).with(e)); tainted && isArgv(kind, key) {
			k.fail(d.Place(key), "secret-in-argv", argvHint, argvMsg, key)
		}
	}
}

const (
	argvMsg  = "%s cannot hold a secret: everybody on the host sees the arguments of a program"
	argvHint = "give it to the program through env: or through a file that only its user can read"
)

func isArgv(kind resource.Kind, key string) bool {
	f, ok := kind.Field(key)
	return ok && f.Argv
}
