package vigocmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/trait"
)

type planOptions struct {
	labels []string
	modes  []string
	traits string
	node   string
	format cli.Format
}

func newPlanCommand(env *cli.Env) *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show which resources a node with given labels and traits would have, in order",
		Long: `Show which resources a node with given labels and traits would have, in order. Nothing is asked of any machine;
"vigo-agent traits -o json" on a host makes a traits file. Labels that fleet.yaml grants to the node's name count, too.
With -o json or yaml each resource comes with its attributes as they are for this node; secrets are not shown.

EXIT STATUS
  0  planned    1  the policy has mistakes, or a file cannot be read`,
		Example: `  vigo plan . --label role=web --traits host.json
  vigo plan . --node web-1.example.com --traits host.json -o yaml
  vigo plan . --node standby-1 --mode disaster_recovery -o yaml
  vigo plan . --label role=web -o name | grep service:`,
		Args: cli.Args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error { return runPlan(env, o, args) },
	}
	o.nodeFlags(c)
	c.Flags().StringVar(&o.node, "node", "node", "name of the node")
	c.Flags().StringSliceVar(&o.modes, "mode", nil, "mode that is on, or NAME=off; the others are as policy says")
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML, cli.Name)
	return c
}

// nodeFlags describe a node that is not asked.
func (o *planOptions) nodeFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.labels, "label", nil, "label of the node as name=value; may be repeated")
	c.Flags().StringVar(&o.traits, "traits", "", "file with the traits of the node, as JSON")
	cobra.CheckErr(c.MarkFlagFilename("traits", "json"))
}

// planned is one resource of a plan as a document.
type planned struct {
	ID         string         `json:"id"`
	At         string         `json:"at"`
	Attributes map[string]any `json:"attributes"`         // by their keys in the policy, with values for this node
	Rendered   string         `json:"rendered,omitempty"` // what a template comes to
	Meta       resource.Meta  `json:"meta"`
	Requires   []string       `json:"requires,omitempty"`
	Notifies   []string       `json:"notifies,omitempty"`
}

func runPlan(env *cli.Env, o planOptions, args []string) error {
	p, content, in, err := o.input(env, directory(args))
	if err != nil {
		return err
	}
	l := language()
	cat, err := l.Build(p, content, in)
	if err != nil {
		return err
	}
	return showCatalog(env, o.format, l.Kinds, cat)
}

// input compiles the policy in a folder, and describes a node as the options do.
func (o planOptions) input(env *cli.Env, dir string) (*policy.Policy, *policy.Content, catalog.Input, error) {
	var in catalog.Input
	given, err := cli.ParseLabels(o.labels)
	if err != nil {
		return nil, nil, in, err
	}
	set, err := readTraits(o.traits)
	if err != nil {
		return nil, nil, in, err
	}
	p, content, err := compile(dir)
	if err != nil {
		return nil, nil, in, err
	}
	labels := language().Labels(p, o.node)
	for name, value := range given {
		labels[name] = value
	}
	env.WarnOfLabels(given, p.Fleet.Labels)
	if o.traits == "" {
		env.Say("%s: hint: without --traits, conditions see a node that says nothing of itself", env.Name)
	}
	modes, err := givenModes(o.modes, p.Fleet.Modes)
	if err != nil {
		return nil, nil, in, err
	}
	in = catalog.Input{Node: o.node, Labels: labels, Traits: set, Modes: modes, Secrets: catalog.Placeholders()}
	return p, content, in, nil
}

// givenModes are the modes of a policy with those that the flags set.
func givenModes(given []string, declared map[string]bool) (map[string]bool, error) {
	modes := maps.Clone(declared)
	for _, text := range given {
		name, state, said := strings.Cut(text, "=")
		if _, ok := declared[name]; !ok {
			return nil, cli.UsageError(fault.WithHint(fmt.Errorf("the policy has no mode %q", name), fault.DidYouMean(name, slices.Sorted(maps.Keys(declared)))))
		}
		if said && state != "on" && state != "off" {
			return nil, cli.UsageError(fmt.Errorf("mode %s is on or off, not %q", name, state))
		}
		modes[name] = state != "off"
	}
	return modes, nil
}

func readTraits(path string) (trait.Set, error) {
	set := trait.Set{}
	if path == "" {
		return set, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading traits: %w", err)
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fault.WithHint(fmt.Errorf("reading traits from %s: %w", path, err), "make it with `vigo-agent traits -o json`")
	}
	return set, nil
}

func showCatalog(env *cli.Env, f cli.Format, kinds *resource.Registry, cat *resource.Catalog) error {
	list := make([]planned, len(cat.Items))
	for i, it := range cat.Items {
		list[i] = planned{ID: it.Name(), At: it.Pos.String(), Meta: it.Meta, Requires: names(cat, it.Requires), Notifies: names(cat, it.Notifies)}
		list[i].Attributes, list[i].Rendered = attributes(kinds, it)
	}
	switch f {
	case cli.JSON, cli.YAML:
		_, err := env.Document(f, list)
		return err
	case cli.Name:
		for _, p := range list {
			fmt.Fprintln(env.Stdout, p.ID)
		}
		return nil
	}
	rows := make([][]string, len(list))
	for i, p := range list {
		rows[i] = []string{fmt.Sprint(i + 1), p.ID, strings.Join(p.Notifies, " "), p.At}
	}
	return env.Columns([]string{"#", "RESOURCE", "NOTIFIES", "DECLARED AT"}, rows)
}

// attributes are those of a declaration, and what its template comes to. Of a sensitive one only the identity is shown, of
// one that holds secrets what does not.
func attributes(kinds *resource.Registry, it resource.Item) (all map[string]any, rendered string) {
	kind, _ := kinds.Kind(it.ID.Type)
	all = kind.Attributes(it.Resource)
	if it.Meta.Sensitive {
		for key := range all {
			if key != kind.Name {
				all[key] = resource.Hidden
			}
		}
		return all, ""
	}
	if it.Meta.Tainted {
		for key := range all {
			if key != kind.Name && key != "template" && !slices.Contains(it.Meta.Shown, key) {
				all[key] = resource.Hidden
			}
		}
		return all, ""
	}
	if t, ok := it.Resource.(interface{ Text() (string, bool) }); ok && all["template"] != nil {
		rendered, _ = t.Text()
	}
	return all, rendered
}

func names(cat *resource.Catalog, indexes []int) []string {
	var all []string
	for _, i := range indexes {
		all = append(all, cat.Items[i].Name())
	}
	return all
}
