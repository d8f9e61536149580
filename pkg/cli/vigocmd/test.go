package vigocmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policytest"
)

func newTestCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var verbose bool
	c := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the unit tests beside the modules of a policy repository",
		Long: `Run the unit tests beside the modules of a policy repository (modules/*/tests/*.yaml).

EXIT STATUS
  0  all passed    1  some failed, or the policy has mistakes`,
		Example: "  vigo test\n  vigo test policies-example -v",
		Args:    cli.Args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, content, err := compile(directory(args))
			if err != nil {
				return err
			}
			began := env.Now()
			results := policytest.Run(language(), p, content)
			failed := 0
			for _, r := range results {
				if len(r.Failures) > 0 {
					failed++
				}
			}
			if done, err := env.Document(format, results); err != nil {
				return err
			} else if !done {
				printTests(env, results, verbose)
				fmt.Fprintf(env.Stdout, "%d passed, %d failed in %s\n", len(results)-failed, failed, env.Now().Sub(began).Round(100_000))
			}
			if failed > 0 {
				return cli.Quiet(fault.Failure)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the tests that passed, too")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func printTests(env *cli.Env, results []policytest.Result, verbose bool) {
	for _, r := range results {
		if len(r.Failures) == 0 {
			if verbose {
				fmt.Fprintf(env.Stdout, "%s %s: %s\n", env.Paint("green", "ok"), r.File, r.About)
			}
			continue
		}
		fmt.Fprintf(env.Stdout, "%s %s: %s\n", env.Paint("red", "FAILED"), r.File, r.About)
		for _, f := range r.Failures {
			fmt.Fprintf(env.Stdout, "    %s\n", strings.ReplaceAll(f, "\n", "\n    "))
		}
	}
}
