package catalog

import (
	"fmt"
	"maps"
	"math"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// A Candidate is one place that gives a parameter a value.
type Candidate struct {
	From  string    `json:"from"` // "role web", "data sites/ams1.yaml" or "default"
	Pos   fault.Pos `json:"pos"`
	Value any       `json:"value"`
	Wins  bool      `json:"wins"`

	tainted bool     // it holds secrets
	secrets []string // which
}

// checkParam returns what is wrong with the value of a parameter, or "".
func checkParam(p policy.Param, v any) string {
	if v == nil || p.Type == "" {
		return ""
	}
	switch p.Type {
	case "int", "port", "float":
		return checkNumber(p, v)
	case "bool":
		if _, ok := v.(bool); !ok {
			return "must be true or false, not " + resource.Describe(v)
		}
	case "list":
		if _, ok := v.([]any); !ok {
			return "must be a list, not " + resource.Describe(v)
		}
	case "map":
		if _, ok := v.(map[string]any); !ok {
			return "must be a mapping, not " + resource.Describe(v)
		}
	default:
		return checkString(p, v)
	}
	return ""
}

func checkNumber(p policy.Param, v any) string {
	f, ok := v.(float64)
	if n, isInt := v.(int); isInt {
		f, ok = float64(n), true
	}
	if !ok || p.Type != "float" && f != math.Trunc(f) {
		if p.Type == "float" {
			return "must be a number, not " + resource.Describe(v)
		}
		return "must be a whole number, not " + resource.Describe(v)
	}
	if p.Type == "port" && (f < 1 || f > 65535) {
		return fmt.Sprintf("must be a port from 1 to 65535, not %v", v)
	}
	if p.Min != nil && f < *p.Min {
		return fmt.Sprintf("must be at least %v, not %v", *p.Min, v)
	}
	if p.Max != nil && f > *p.Max {
		return fmt.Sprintf("must be at most %v, not %v", *p.Max, v)
	}
	return ""
}

func checkString(p policy.Param, v any) string {
	s, ok := v.(string)
	if !ok {
		return "must be a string, not " + resource.Describe(v)
	}
	switch p.Type {
	case "enum":
		if !slices.Contains(p.Values, s) {
			return fmt.Sprintf("must be one of %s, not %q", strings.Join(p.Values, ", "), s)
		}
	case "duration":
		if _, err := time.ParseDuration(s); err != nil {
			return fmt.Sprintf("must be a duration such as 90s, not %q", s)
		}
	case "path":
		if !path.IsAbs(s) || path.Clean(s) != s {
			return fmt.Sprintf("must be an absolute, clean path, not %q", s)
		}
	}
	if p.Pattern != "" {
		re, err := regexp.Compile("^(?:" + p.Pattern + ")$")
		if err == nil && !re.MatchString(s) {
			return fmt.Sprintf("must match %s, but is %q", p.Pattern, s)
		}
	}
	return ""
}

// params resolves the parameters of a module for one node: role, then data hierarchy, then default.
func (b *builder) params(m *policy.Module, uses []use) (values map[string]any, tainted taint) {
	values, tainted = make(map[string]any, len(m.Params)), taint{}
	for name, spec := range m.Params {
		candidates, ok := b.candidates(m, name, uses)
		if !ok {
			continue
		}
		if len(candidates) == 0 {
			b.fail(m.Pos, "missing-param", "set it in a role or in data/", "module %s: the parameter %q has no value", m.Name, name)
			continue
		}
		won := candidates[0]
		if won.tainted {
			tainted[name] = won.secrets
		}
		if why := b.missing(secretiveOf(won.secrets)); why != nil {
			values[name] = won.Value // what uses it is not made
			continue
		}
		if msg := checkParam(spec, won.Value); msg != "" {
			if b.secrets.standIn(won.secrets) {
				values[name] = won.Value // of another form than what it stands for
				continue
			}
			if won.tainted {
				msg = "holds a secret, which is not shown, of a form that its type does not allow"
			}
			b.fail(won.Pos, "bad-param", "", "the parameter %s.%s %s", m.Name, name, msg)
			continue
		}
		values[name] = won.Value
	}
	return values, tainted
}

// outside is what the templates of roles and data files see: no parameters, and shared templates.
func (b *builder) outside() env { return env{vars: b.vars, content: b.content, total: &b.turns} }

// candidates lists what gives a parameter a value, the winner first, rendered. ok is false after a problem.
func (b *builder) candidates(m *policy.Module, name string, uses []use) (list []Candidate, ok bool) {
	add := func(from string, v policy.Value) bool {
		value, err := b.outside().value(v.V)
		if err != nil {
			b.fail(v.Pos, "bad-template", firstHint(err), "the parameter %s.%s: %s", m.Name, name, err)
			return false
		}
		names, tainted := paramTaint(m.Params[name], v.V, b.outside())
		list = append(list, Candidate{From: from, Pos: v.Pos, Value: value, tainted: tainted, secrets: names})
		return true
	}
	for _, u := range uses {
		v, given := u.Params[name]
		if !given {
			continue
		}
		if !add("role "+u.role.Name, v) {
			return nil, false
		}
		first, last := list[0], list[len(list)-1]
		if !reflect.DeepEqual(first.Value, last.Value) {
			b.fail(v.Pos, "conflict", "set it in one role, or in data/", "the parameter %s.%s is set to %s here and to %s by %s (%s)",
				m.Name, name, last.describe(), first.describe(), first.From, first.Pos)
			return nil, false
		}
	}
	for _, file := range b.dataFiles() {
		if v, given := b.policy.Fleet.Files[file][m.Name][name]; given && !add("data "+file, v) {
			return nil, false
		}
	}
	if spec := m.Params[name]; spec.Optional && !add("default", policy.Value{V: spec.Default, Pos: spec.Pos}) {
		return nil, false
	}
	if len(list) > 0 {
		list[0].Wins = true
	}
	return list, true
}

// dataFiles returns the files of the hierarchy that apply to the node, most specific first. A level that names a label
// the node does not have does not apply.
func (b *builder) dataFiles() []string {
	if b.files != nil {
		return b.files
	}
	b.files = []string{}
	vars := maps.Clone(b.vars)
	for _, level := range b.policy.Fleet.Data {
		name, err := env{vars: vars}.text("data", level.S)
		if err != nil {
			continue
		}
		if _, ok := b.policy.Fleet.Files[name]; ok && path.Clean(name) == name {
			b.files = append(b.files, name)
		}
	}
	return b.files
}

func firstHint(err error) string {
	if hints := fault.Hints(err); len(hints) > 0 {
		return hints[0]
	}
	return ""
}
