package vigocmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/manual"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// traitPrefix marks the name of a trait where a resource type may have the same.
const traitPrefix = "trait:"

func newExplainCommand(env *cli.Env) *cobra.Command {
	var o planOptions
	var dir string
	c := &cobra.Command{
		Use:   "explain [TYPE | TRAIT | MODULE | ROLE | NODE MODULE.PARAM]",
		Short: "Show the manual of a resource type or trait, what a module or role is, or where a parameter gets its value from",
		Long: `Show the manual of a resource type or trait, or list them. A trait is named
trait:NAME; the prefix may be left out where no resource type has the name.

With module:NAME or role:NAME, show what that is in the policy: the parameters and resources of a module and the roles that give
it, or the condition and the modules of a role. In the folder of a policy the prefix may be left out where neither a resource
type nor a trait has the name; a module comes before a role.

With a node and a parameter, show each place that gives the parameter a value on that node, with file and line, and
which one wins: roles, then the data hierarchy, then the default. Nothing is asked of any machine; the node is described
as for "vigo plan". Secrets are not shown.

EXIT STATUS
  0  shown    1  there is no such type, trait, module, role or parameter, or the policy has mistakes`,
		Example: `  vigo explain
  vigo explain file
  vigo explain trait:os
  vigo explain module:sshd --policy policies-example
  vigo explain web-1.example.com sshd.port --policy . --label site=ams1`,
		Args: cli.Args(0, 2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			names := resources.Registry().Names()
			for _, k := range traits.Kinds() {
				names = append(names, traitPrefix+k.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return runExplainParam(env, o, dir, args[0], args[1])
			}
			if len(args) == 1 && ofPolicy(args[0], dir) {
				if known, err := runExplainPolicy(env, o.format, dir, args[0]); known || err != nil {
					return err
				}
			}
			for _, flag := range []string{"policy", "label", "traits", "output"} {
				if c.Flags().Changed(flag) {
					return cli.UsageError(fault.WithHint(fmt.Errorf("--%s is for what is in a policy", flag), "write vigo explain NODE MODULE.PARAM, or module:NAME"))
				}
			}
			return runManual(env, args)
		},
	}
	o.nodeFlags(c)
	c.Flags().StringVar(&dir, "policy", ".", "policy folder")
	cobra.CheckErr(c.MarkFlagDirname("policy"))
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// runManual shows a manual, or lists them.
func runManual(env *cli.Env, args []string) error {
	types, err := manual.New(resources.Registry(), resources.Sources())
	if err != nil {
		return err
	}
	about, err := manual.NewTraits(traits.Kinds(), traits.Sources())
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return listManuals(env, types, about)
	}
	text, err := explain(types, about, args[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(env.Stdout, text)
	return err
}

// explain finds the manual of a resource type, or of a trait. A name that neither has is taken for that of a type,
// unless only a trait's is like it.
func explain(types *manual.Manual, about *manual.TraitManual, name string) (string, error) {
	if bare, ok := strings.CutPrefix(name, traitPrefix); ok {
		return about.Text(bare)
	}
	kinds := resources.Registry().Names()
	if fault.DidYouMean(name, kinds) == "" && fault.DidYouMean(name, about.Names()) != "" || slices.Contains(about.Names(), name) && !slices.Contains(kinds, name) {
		return about.Text(name)
	}
	return types.Text(name)
}

func listManuals(env *cli.Env, types *manual.Manual, about *manual.TraitManual) error {
	var rows [][]string
	for _, name := range resources.Registry().Names() {
		summary, err := types.Summary(name)
		if err != nil {
			return err
		}
		rows = append(rows, []string{name, summary})
	}
	for _, name := range about.Names() {
		summary, err := about.Summary(name)
		if err != nil {
			return err
		}
		rows = append(rows, []string{traitPrefix + name, summary})
	}
	return env.Columns([]string{"TYPE", "ABOUT"}, rows)
}

func newSchemaCommand(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [fleet|module|role|test|resource]",
		Short: "Print the JSON Schema of the documents of a policy repository, for editors",
		Long: `Print the JSON Schema (draft 7) of the documents of a policy repository, for editors. Without a kind it is that of any
document, told apart by the key "kind", so that one schema serves a whole repository.

With the YAML language server, in .vscode/settings.json:
  {"yaml.schemas": {".vscode/vigo.schema.json":
    ["fleet.yaml", "roles/*.yaml", "modules/*/module.yaml", "modules/*/tests/*.yaml"]}}
or as the first line of a document:
  # yaml-language-server: $schema=../.vscode/vigo.schema.json`,
		Example:   "  vigo schema > .vscode/vigo.schema.json\n  vigo schema module > module.schema.json",
		Args:      cli.Args(0, 1),
		ValidArgs: manual.Documents(),
		RunE: func(_ *cobra.Command, args []string) error {
			kind := ""
			if len(args) == 1 {
				kind = args[0]
			}
			schema, err := schemaOf(kind)
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(schema)
			return err
		},
	}
}

// schemaOf is the JSON Schema of one kind of document, or of any.
func schemaOf(kind string) ([]byte, error) {
	m, err := manual.New(resources.Registry(), resources.Sources())
	if err != nil {
		return nil, err
	}
	schema, err := m.DocumentSchema(kind)
	return append(schema, '\n'), err
}
