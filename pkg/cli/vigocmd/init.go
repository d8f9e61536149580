package vigocmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/starter"
)

type initOptions struct {
	name   string
	forges []string
	force  bool
}

func newInitCommand(env *cli.Env) *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Begin a policy repository",
		Long: `Begin a policy repository: fleet.yaml, a role, a module with a template and a test, what editors complete with, CODEOWNERS, and
the checks that a change must pass before it is merged, for GitHub, GitLab and Gitea.

EXIT STATUS
  0  it is there    1  the folder is not empty and --force is not given, or cannot be written to`,
		Example: "  vigo init policy\n  vigo init policy --name acme --forge gitlab",
		Args:    cli.Args(0, 1),
		RunE:    func(_ *cobra.Command, args []string) error { return runInit(env, o, directory(args)) },
	}
	c.Flags().StringVar(&o.name, "name", "", "name of the fleet (default: that of the folder)")
	c.Flags().StringSliceVar(&o.forges, "forge", starter.Forges(), "whose checks to write; may be repeated")
	c.Flags().BoolVar(&o.force, "force", false, "write into a folder that is not empty, over files of the same names")
	return c
}

func runInit(env *cli.Env, o initOptions, dir string) error {
	for _, forge := range o.forges {
		if !slices.Contains(starter.Forges(), forge) {
			return cli.UsageError(fault.WithHint(fmt.Errorf("--forge: there are no checks for %q", forge), "there are "+strings.Join(starter.Forges(), ", ")))
		}
	}
	if o.name == "" {
		full, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		o.name = starter.Name(filepath.Base(full))
	}
	if o.name == "" || o.name != starter.Name(o.name) {
		return cli.UsageError(fault.WithHint(fmt.Errorf("%q is not a name for a fleet", o.name), "--name acme: lower-case letters, digits, - and _"))
	}
	if empty, err := starter.Empty(dir); err != nil {
		return err
	} else if !empty && !o.force {
		return fault.WithHint(errors.New("the folder "+dir+" is not empty"), "name a new one, or give --force to write over files of the same names")
	}
	schema, err := schemaOf("")
	if err != nil {
		return err
	}
	files, err := starter.Files(starter.Options{Fleet: o.name, Forges: o.forges, Schema: schema})
	if err != nil {
		return err
	}
	written, err := starter.Write(dir, files, o.force)
	if err != nil {
		return err
	}
	for _, name := range written {
		fmt.Fprintln(env.Stdout, filepath.Join(dir, name))
	}
	env.Say("%s: the next step: vigo lint %[2]s && vigo test %[2]s", env.Name, dir)
	return nil
}
