// Package policy reads the YAML of a policy repository into a compact form that keeps the positions of what it read, and
// packs that form into the layers of a bundle.
//
// It refuses to know resource types, traits and expressions: package catalog checks those. It never executes anything it
// reads; templates and conditions are kept as text.
package policy

import (
	"time"

	"vigo.dev/pkg/fault"
)

// Limits of what is read. They are far above what people write and far below what would exhaust a controller.
const (
	MaxDocument  = 1 << 20 // bytes of one YAML document
	MaxDepth     = 32      // of nesting
	MaxNodes     = 200_000 // YAML nodes of one document
	MaxFiles     = 20_000  // files of a repository
	MaxFile      = 16 << 20
	MaxResources = 50_000 // resources of one module
)

// A Policy is a whole repository. Its JSON is the compact form that bundles carry.
type Policy struct {
	Fleet   *Fleet             `json:"fleet"`
	Roles   []*Role            `json:"roles"` // by name
	Modules map[string]*Module `json:"modules,omitempty"`
	// Alerts are for the report service; nodes are not given them.
	Alerts []*Alert `json:"-"`
	// Rollouts are for the report service, too.
	Rollouts []*Rollout `json:"-"`
	// Needs is the level of the language that fleet, roles and data are written in; see [Level].
	Needs int `json:"needs,omitempty"`

	broken map[string]bool // modules that are there and could not be read
}

// Broken reports whether a module that is missing in Modules is there and could not be read. That is told where it is; who
// refers to it made no mistake.
func (p *Policy) Broken(module string) bool { return p.broken[module] }

// A Fleet is fleet.yaml with the files of the data hierarchy.
type Fleet struct {
	Name     string             `json:"name"`
	Interval time.Duration      `json:"interval"`
	Nodes    []Grant            `json:"nodes,omitempty"`
	Channels map[string]Channel `json:"channels"`
	Modes    map[string]bool    `json:"modes,omitempty"`
	Labels   []string           `json:"labels,omitempty"` // names of all labels that policy may use
	Data     []Text             `json:"data,omitempty"`   // templated paths below data/, most specific first
	Audit    *bool              `json:"audit,omitempty"`
	Windows  map[string]Window  `json:"windows,omitempty"`
	Window   Text               `json:"window,omitzero"` // of all that is not given another
	Allow    []Text             `json:"allow,omitempty"` // guardrails that do not hold
	// Controls are the titles of the catalogues that resources may serve controls of, by name; nil: any.
	Controls map[string]string `json:"controls,omitempty"`
	// Reboots are the pools of nodes that take turns to reboot; a node is in the first whose condition it meets.
	Reboots []RebootPool    `json:"reboots,omitempty"`
	Trust   TrustRules      `json:"trust,omitzero"`
	Files   map[string]Data `json:"files,omitempty"` // data files by path below data/
	Secrets Secrets         `json:"secrets,omitzero"`
	Pos     fault.Pos       `json:"pos"`
}

// A Grant gives labels to the nodes whose name matches a glob.
type Grant struct {
	Match  string            `json:"match"`
	Labels map[string]string `json:"labels"`
	Pos    fault.Pos         `json:"pos"`
}

// A Channel says which nodes follow it.
type Channel struct {
	Nodes Text      `json:"nodes"` // condition over labels; empty: none by itself
	From  Origin    `json:"from,omitzero"`
	Pos   fault.Pos `json:"pos"`
}

// Data is the values of one data file: module name to parameter to value.
type Data map[string]map[string]Value

// A Text is a string with its place: a condition or a template.
type Text struct {
	S   string    `json:"s"`
	Pos fault.Pos `json:"pos"`
}

// A Value is any value with its place. Strings in it that hold "{{" are templates.
type Value struct {
	V   any       `json:"v"`
	Pos fault.Pos `json:"pos"`
}

// A Role gives modules to nodes.
type Role struct {
	Name    string    `json:"name"`
	About   string    `json:"about,omitempty"`
	When    Text      `json:"when,omitzero"`
	Audit   *bool     `json:"audit,omitempty"`
	Window  Text      `json:"window,omitzero"`
	Modules []Use     `json:"modules"`
	Pos     fault.Pos `json:"pos"`
}

// A Use is a module of a role with the parameters the role sets.
type Use struct {
	Module string           `json:"module"`
	Params map[string]Value `json:"params,omitempty"`
	Pos    fault.Pos        `json:"pos"`
}

// A Module is one module.yaml.
type Module struct {
	Name      string           `json:"name"`
	About     string           `json:"about,omitempty"`
	Params    map[string]Param `json:"params,omitempty"`
	When      Text             `json:"when,omitzero"`
	Audit     *bool            `json:"audit,omitempty"`
	Window    Text             `json:"window,omitzero"`
	Resources []Declaration    `json:"resources"`
	Needs     int              `json:"needs,omitempty"` // level of the language; see [Level]
	Defaults  []Defaults       `json:"-"`               // are part of Resources already
	Pos       fault.Pos        `json:"pos"`
}

// A Param is a typed parameter of a module.
type Param struct {
	Type     string    `json:"type"`
	About    string    `json:"about,omitempty"`
	Default  any       `json:"default,omitempty"`
	Optional bool      `json:"optional,omitempty"` // has a default, which may be null
	Min      *float64  `json:"min,omitempty"`
	Max      *float64  `json:"max,omitempty"`
	Pattern  string    `json:"pattern,omitempty"`
	Values   []string  `json:"values,omitempty"` // of an enum
	Pos      fault.Pos `json:"pos"`
}

// A Declaration is one resource as written.
type Declaration struct {
	Type      string         `json:"type"`
	Identity  string         `json:"identity"`
	Alias     string         `json:"id,omitempty"`
	About     string         `json:"about,omitempty"`
	Foreach   any            `json:"foreach,omitempty"` // list, mapping, or a template that gives one
	When      Text           `json:"when,omitzero"`
	Requires  []Text         `json:"requires,omitempty"`
	Before    []Text         `json:"before,omitempty"`
	Notify    []Text         `json:"notify,omitempty"`
	Subscribe []Text         `json:"subscribe,omitempty"`
	Audit     *bool          `json:"audit,omitempty"`
	Window    Text           `json:"window,omitzero"`
	Sensitive bool           `json:"sensitive,omitempty"`
	Controls  []string       `json:"controls,omitempty"`
	Tags      []string       `json:"tags,omitempty"`
	Timeout   time.Duration  `json:"timeout,omitempty"`
	Retries   int            `json:"retries,omitempty"`
	Guard     Guard          `json:"guard,omitzero"`
	Attrs     map[string]any `json:"attrs,omitempty"`
	Pos       fault.Pos      `json:"pos"`
	At        Places         `json:"at,omitempty"`
}

// Place returns where an attribute is written; the path of a nested value leads to its outermost attribute.
func (d Declaration) Place(path string) fault.Pos {
	for i := 0; i < len(path); i++ {
		if path[i] == '.' || path[i] == '[' {
			path = path[:i]
			break
		}
	}
	if line, col, ok := d.At.Of(path); ok {
		return fault.Pos{File: d.Pos.File, Line: line, Col: col}
	}
	return d.Pos
}
