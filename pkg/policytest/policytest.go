// Package policytest runs the unit tests that live beside the modules of a policy: given labels, traits and parameters,
// expect resources, their absence, or a mistake; given a host as text, too, expect what is done on it. And those that live beside
// the rules of alerts: given what is so at which time, expect what people are told. A test takes about a millisecond, since no real
// host is involved and time is not waited for.
//
// It refuses to touch a host and to read anything outside the policy.
package policytest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/trait"
)

// A Test is one file of modules/<name>/tests.
type Test struct {
	Kind   string `yaml:"kind"`
	About  string `yaml:"about"`
	Given  Given  `yaml:"given"`
	Expect Expect `yaml:"expect"`
}

// Given is the node a module is tested on, and the parameters it gets.
type Given struct {
	Node   string            `yaml:"node"`
	Labels map[string]string `yaml:"labels"`
	Traits map[string]any    `yaml:"traits"`
	Params map[string]any    `yaml:"params"`
	Modes  map[string]bool   `yaml:"modes"`
	Host   string            `yaml:"host"` // a machine as package hosttest reads it, on which the module is enforced
	Now    string            `yaml:"now"`  // RFC 3339, for windows; [Noon] if empty
}

// Expect is what the module must come to. Each resource is a mapping whose first key is the type, as in a policy; the
// other keys are compared with the declaration. For the content of a file, a list means "each of these is in it". The
// keys notifies and requires compare the names of other resources of the module.
type Expect struct {
	Resources []yaml.Node `yaml:"resources"`
	Absent    []string    `yaml:"absent"` // type:identity
	Roles     []string    `yaml:"roles"`  // all roles of the policy that give such a node the module; [] is none
	Error     string      `yaml:"error"`  // part of the message
	Diff      *string     `yaml:"diff"`   // what is done on the host, whole; see [Given]
	After     string      `yaml:"after"`  // lines that the text of the host has afterwards
}

// A Result is how one test went.
type Result struct {
	Module   string   `json:"module,omitempty"` // "": it is a test of alerts
	File     string   `json:"file"`
	About    string   `json:"about,omitempty"`
	Failures []string `json:"failures,omitempty"` // none: it passed
}

// Run runs the tests of all modules, by module and file, and tells what they cover.
func Run(l catalog.Language, p *policy.Policy, c *policy.Content) ([]Result, []Coverage) {
	var results []Result
	cover := newCover()
	for _, module := range slices.Sorted(maps.Keys(p.Modules)) {
		for _, file := range c.List(module, "tests", "") {
			if strings.HasSuffix(file, ".yaml") {
				results = append(results, one(l, p, c, cover, module, file))
			}
		}
	}
	return results, cover.report(p)
}

func one(l catalog.Language, p *policy.Policy, c *policy.Content, cover *cover, module, file string) (r Result) {
	r = Result{Module: module, File: "modules/" + module + "/tests/" + file}
	t, err := read(c, module, file)
	if err != nil {
		r.Failures = []string{err.Error()}
		return r
	}
	r.About = t.About
	seen := newCover()
	defer func() {
		if len(r.Failures) == 0 {
			cover.add(seen)
		}
	}()
	cat, err := build(l, p, c, module, t.Given, seen.condition)
	if t.Expect.Error != "" {
		switch {
		case err == nil:
			r.Failures = []string{fmt.Sprintf("want the mistake %q, got none", t.Expect.Error)}
		case !strings.Contains(err.Error(), t.Expect.Error):
			r.Failures = []string{fmt.Sprintf("want the mistake %q, got: %v", t.Expect.Error, err)}
		}
		return r
	}
	if err != nil {
		r.Failures = strings.Split(err.Error(), "\n")
		return r
	}
	r.Failures = compare(l, cat, t.Expect, seen)
	if t.Expect.Roles != nil {
		r.Failures = append(r.Failures, roles(l, p, module, t, seen)...)
	}
	if t.Given.Host != "" || t.Expect.Diff != nil || t.Expect.After != "" {
		r.Failures = append(r.Failures, enforced(cat, t, seen)...)
	}
	return r
}

func read(c *policy.Content, module, file string) (Test, error) {
	var t Test
	data, err := c.Read(module, "tests/"+file)
	if err != nil {
		return t, err
	}
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	dec.KnownFields(true)
	if err := dec.Decode(&t); err != nil {
		return t, fmt.Errorf("reading the test: %w", err)
	}
	if t.Kind != "Test" {
		return t, errors.New("reading the test: the document must be of kind Test")
	}
	return t, nil
}

// build makes the catalog of a node that has this one module.
func build(l catalog.Language, p *policy.Policy, c *policy.Content, module string, g Given, watch catalog.Watch) (*resource.Catalog, error) {
	params := make(map[string]policy.Value, len(g.Params))
	for name, v := range g.Params {
		params[name] = policy.Value{V: plain(v), Pos: p.Modules[module].Pos}
	}
	alone := &policy.Policy{Fleet: p.Fleet, Modules: map[string]*policy.Module{module: p.Modules[module]},
		Roles: []*policy.Role{{Name: "test", Modules: []policy.Use{{Module: module, Params: params}}}}}
	return l.Build(alone, c, g.input(watch))
}

// input is the node as catalogs are built for it.
func (g Given) input(watch catalog.Watch) catalog.Input {
	traits := trait.Set{}
	for name, doc := range g.Traits {
		traits[name] = plain(doc)
	}
	if g.Node == "" {
		g.Node = "node"
	}
	return catalog.Input{Alone: true, Watch: watch, Node: g.Node, Labels: g.Labels, Traits: traits, Modes: g.Modes, Secrets: catalog.Placeholders()}
}

// roles compares the roles that give the node the module. Labels of fleet.yaml count, as on a node of that name.
func roles(l catalog.Language, p *policy.Policy, module string, t Test, seen *cover) []string {
	in := t.Given.input(seen.condition)
	labels := l.Labels(p, in.Node)
	maps.Copy(labels, in.Labels)
	in.Labels = labels
	got, err := l.RolesOf(p, in, module)
	if err != nil {
		return strings.Split(err.Error(), "\n")
	}
	want := slices.Sorted(slices.Values(t.Expect.Roles))
	if slices.Equal(got, want) {
		return nil
	}
	return []string{fmt.Sprintf("the module comes by the roles %s, want %s", nameList(got), nameList(want))}
}

func nameList(names []string) string {
	if len(names) == 0 {
		return "(none)"
	}
	return strings.Join(names, ", ")
}

// plain turns the numbers of YAML into those of JSON.
func plain(v any) any {
	switch v := v.(type) {
	case int:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	}
	return v
}
