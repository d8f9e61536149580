package vigocmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

func newLintCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	c := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check a policy repository: every mistake at once, with place and remedy",
		Long: `Check a policy repository: every mistake at once, with place and remedy.

EXIT STATUS
  0  no mistakes    1  there are mistakes, or the folder cannot be read`,
		Example: "  vigo lint\n  vigo lint policies-example\n  vigo lint . -o json",
		Args:    cli.Args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, _, err := compile(directory(args))
			if format != cli.Table {
				problems, err := problemsOf(err)
				if err != nil {
					return err
				}
				if _, err := env.Document(format, problems); err != nil {
					return err
				}
				if len(problems) > 0 {
					return cli.Quiet(fault.Failure)
				}
				return nil
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "no mistakes: %s, %s, %s\n", counted(len(p.Modules), "module"), counted(len(p.Roles), "role"), counted(resourceCount(p), "resource"))
			return err
		},
	}
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// directory is the folder a command is about: the one that was named, or the current one.
func directory(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// compile loads and checks the policy in a folder the way the controller does.
func compile(dir string) (*policy.Policy, *policy.Content, error) {
	fsys, err := cli.Folder(dir)
	if err != nil {
		return nil, nil, err
	}
	p, layers, err := policy.Read(fsys, language().Check)
	if err != nil {
		return nil, nil, withRepository(dir, err)
	}
	if err := controller.RulesOf(p.Fleet).Check(fsys); err != nil {
		return nil, nil, err
	}
	return policy.FromLayers(layers)
}

// withRepository tells who is inside of a repository where it begins.
func withRepository(dir string, err error) error {
	var problems fault.Problems
	errors.As(err, &problems)
	first := slices.IndexFunc(problems, func(p fault.Problem) bool { return p.Code == "missing-file" && p.Pos.File == "fleet.yaml" })
	if first < 0 {
		return err
	}
	at, failed := filepath.Abs(dir)
	for failed == nil && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		if _, err := os.Stat(filepath.Join(at, "fleet.yaml")); err == nil {
			problems[first].Hint = "the repository begins above, at " + at + ": name that folder"
			return problems
		}
	}
	return err
}

// problemsOf takes the problems out of an error; another error is returned as it is.
func problemsOf(err error) (fault.Problems, error) {
	problems, ok := err.(fault.Problems)
	if err == nil || ok {
		return append(fault.Problems{}, problems...), nil
	}
	return nil, err
}

func resourceCount(p *policy.Policy) int {
	n := 0
	for _, m := range p.Modules {
		n += len(m.Resources)
	}
	return n
}
