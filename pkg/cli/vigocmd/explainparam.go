package vigocmd

import (
	"encoding/json"
	"fmt"
	"strings"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
)

// explained is where a parameter gets its value from, as a document.
type explained struct {
	Node       string              `json:"node"`
	Module     string              `json:"module"`
	Param      string              `json:"param"`
	Roles      []string            `json:"roles"`      // that give the module to the node; empty: it does not have it
	Candidates []catalog.Candidate `json:"candidates"` // the one that wins first
}

// runExplainParam shows what gives a parameter of a module a value on a node.
func runExplainParam(env *cli.Env, o planOptions, dir, node, path string) error {
	module, param, ok := strings.Cut(path, ".")
	if !ok || module == "" || param == "" {
		return cli.UsageError(fault.WithHint(fmt.Errorf("%q names no parameter", path), "write vigo explain NODE MODULE.PARAM"))
	}
	o.node = node
	p, content, in, err := o.input(env, dir)
	if err != nil {
		return err
	}
	l := language()
	list, err := l.Explain(p, content, in, module, param)
	if err != nil {
		return err
	}
	e := explained{Node: node, Module: module, Param: param, Roles: append([]string{}, l.Given(p, content, in, module)...), Candidates: list}
	if done, err := env.Document(o.format, e); done || err != nil {
		return err
	}
	if len(e.Roles) == 0 {
		env.Say("%s: no role that applies to %s gives it module %s; this is what it would get", env.Name, node, module)
	}
	if len(list) == 0 {
		return fault.WithHint(fmt.Errorf("nothing gives %s.%s a value on %s", module, param, node), "set it in a role or in data/, or give it a default")
	}
	rows := make([][]string, len(list))
	for i, c := range list {
		mark := ""
		if c.Wins {
			mark = "*"
		}
		value, err := json.Marshal(c.Value)
		if err != nil {
			return err
		}
		rows[i] = []string{mark, string(value), c.From, c.Pos.String()}
	}
	return env.Columns([]string{"WINS", "VALUE", "FROM", "AT"}, rows)
}
