package vigocmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// The prefixes of names of a policy.
const (
	modulePrefix = "module:"
	rolePrefix   = "role:"
)

// ofPolicy is whether a name is meant of the policy in a folder: by its prefix, or because nothing in the manual is called so
// and the folder has a policy.
func ofPolicy(name, dir string) bool {
	if strings.HasPrefix(name, modulePrefix) || strings.HasPrefix(name, rolePrefix) {
		return true
	}
	if strings.HasPrefix(name, traitPrefix) || slices.Contains(resources.Registry().Names(), name) {
		return false
	}
	for _, k := range traits.Kinds() {
		if k.Name == name {
			return false
		}
	}
	_, err := os.Stat(filepath.Join(dir, "fleet.yaml"))
	return err == nil
}

// runExplainPolicy shows what a module or a role of a policy is. known is false if a name without a prefix is of neither.
func runExplainPolicy(env *cli.Env, format cli.Format, dir, name string) (known bool, err error) {
	p, _, err := compile(dir)
	if err != nil {
		return true, err
	}
	module, isModule := strings.CutPrefix(name, modulePrefix)
	role, isRole := strings.CutPrefix(name, rolePrefix)
	at := slices.IndexFunc(p.Roles, func(r *policy.Role) bool { return r.Name == role })
	switch m := p.Modules[module]; {
	case m != nil && !isRole:
		return true, showModule(env, format, p, m)
	case at >= 0 && !isModule:
		return true, showRole(env, format, p.Roles[at])
	case isModule:
		return true, unknownOf("module", module, slices.Sorted(maps.Keys(p.Modules)))
	case isRole:
		names := make([]string, len(p.Roles))
		for i, r := range p.Roles {
			names[i] = r.Name
		}
		return true, unknownOf("role", role, names)
	}
	return false, nil
}

func unknownOf(sort, name string, names []string) error {
	hint := fault.DidYouMean(name, names)
	if hint == "" {
		hint = "the policy has " + strings.Join(names, ", ")
	}
	return fault.WithHint(fmt.Errorf("the policy has no %s %q", sort, name), hint)
}

// moduleShown is a module, as a document.
type moduleShown struct {
	Name      string                  `json:"module"`
	About     string                  `json:"about,omitempty"`
	At        string                  `json:"at"`
	When      string                  `json:"when,omitempty"`
	Roles     []string                `json:"roles"` // that give it to nodes; empty: no node has it
	Params    map[string]policy.Param `json:"params"`
	Resources []resourceShown         `json:"resources"`
}

// resourceShown is a resource as a module declares it.
type resourceShown struct {
	Name    string `json:"resource"`
	About   string `json:"about,omitempty"`
	When    string `json:"when,omitempty"`
	Foreach bool   `json:"foreach,omitempty"`
	At      string `json:"at"`
}

func showModule(env *cli.Env, format cli.Format, p *policy.Policy, m *policy.Module) error {
	shown := moduleShown{Name: m.Name, About: m.About, At: m.Pos.String(), When: m.When.S, Roles: []string{}, Params: map[string]policy.Param{}, Resources: []resourceShown{}}
	for _, r := range p.Roles {
		if slices.ContainsFunc(r.Modules, func(u policy.Use) bool { return u.Module == m.Name }) {
			shown.Roles = append(shown.Roles, r.Name)
		}
	}
	for name, param := range m.Params {
		if param.Type == "secret" && param.Default != nil {
			param.Default = "(not shown)"
		}
		shown.Params[name] = param
	}
	for _, d := range m.Resources {
		shown.Resources = append(shown.Resources, resourceShown{Name: d.Type + ":" + d.Identity, About: d.About, When: d.When.S, Foreach: d.Foreach != nil, At: d.Pos.String()})
	}
	if done, err := env.Document(format, shown); done || err != nil {
		return err
	}
	given := "no role gives it to any node"
	if len(shown.Roles) > 0 {
		given = "role " + strings.Join(shown.Roles, ", role ")
	}
	rows := [][]string{{"module", m.Name}, {"about", m.About}, {"at", shown.At}, {"when", orElse(m.When.S, "always")}, {"given by", given}}
	if err := env.Columns([]string{"FIELD", "VALUE"}, rows); err != nil {
		return err
	}
	if err := showParams(env, shown.Params); err != nil {
		return err
	}
	rows = nil
	for _, d := range shown.Resources {
		if d.Foreach {
			d.Name += " (for each)"
		}
		rows = append(rows, []string{d.Name, d.When, d.About, d.At})
	}
	fmt.Fprintln(env.Stdout)
	return env.Columns([]string{"RESOURCE", "WHEN", "ABOUT", "AT"}, rows)
}

func showParams(env *cli.Env, params map[string]policy.Param) error {
	if len(params) == 0 {
		return nil
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		p := params[name]
		value := "(must be given)"
		if p.Default != nil || p.Optional {
			data, err := json.Marshal(p.Default)
			if err != nil {
				return err
			}
			value = string(data)
		}
		rows = append(rows, []string{name, p.Type, value, p.About})
	}
	fmt.Fprintln(env.Stdout)
	return env.Columns([]string{"PARAM", "TYPE", "DEFAULT", "ABOUT"}, rows)
}

// roleShown is a role, as a document.
type roleShown struct {
	Name    string     `json:"role"`
	About   string     `json:"about,omitempty"`
	At      string     `json:"at"`
	When    string     `json:"when,omitempty"`
	Modules []useShown `json:"modules"`
}

// useShown is a module of a role, with the parameters that the role sets.
type useShown struct {
	Module string   `json:"module"`
	Params []string `json:"params"`
	At     string   `json:"at"`
}

func showRole(env *cli.Env, format cli.Format, r *policy.Role) error {
	shown := roleShown{Name: r.Name, About: r.About, At: r.Pos.String(), When: r.When.S, Modules: []useShown{}}
	var rows [][]string
	for _, u := range r.Modules {
		one := useShown{Module: u.Module, Params: append([]string{}, slices.Sorted(maps.Keys(u.Params))...), At: u.Pos.String()}
		shown.Modules = append(shown.Modules, one)
		rows = append(rows, []string{one.Module, strings.Join(one.Params, ", "), one.At})
	}
	if done, err := env.Document(format, shown); done || err != nil {
		return err
	}
	about := [][]string{{"role", r.Name}, {"about", r.About}, {"at", shown.At}, {"when", orElse(r.When.S, "always: every node has it")}}
	if err := env.Columns([]string{"FIELD", "VALUE"}, about); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout)
	return env.Columns([]string{"MODULE", "SETS", "AT"}, rows)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
