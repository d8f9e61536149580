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
	var verbose, coverage bool
	c := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the unit tests beside the modules and the alerts of a policy repository",
		Long: `Run the unit tests beside the modules of a policy repository (modules/*/tests/*.yaml), and beside its rules of alerts
(alerts/tests/*.yaml). With --coverage, show how many resources some test expects, in how many of their branches conditions were
seen, and what no test looks at.

EXIT STATUS
  0  all passed    1  some failed, or the policy has mistakes`,
		Example: "  vigo test\n  vigo test policies-example -v\n  vigo test --coverage -o json",
		Args:    cli.Args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, content, err := compile(directory(args))
			if err != nil {
				return err
			}
			began := env.Now()
			results, covered := policytest.Run(language(), p, content)
			fsys, err := cli.Folder(directory(args))
			if err != nil {
				return err
			}
			alerts, err := policytest.RunAlerts(language(), p, fsys)
			if err != nil {
				return err
			}
			results = append(results, alerts...)
			failed := 0
			for _, r := range results {
				if len(r.Failures) > 0 {
					failed++
				}
			}
			var document any = results
			if coverage {
				document = testReport{results, covered}
			}
			if done, err := env.Document(format, document); err != nil {
				return err
			} else if !done {
				printTests(env, results, verbose)
				fmt.Fprintf(env.Stdout, "%d passed, %d failed in %s\n", len(results)-failed, failed, env.Now().Sub(began).Round(100_000))
				if coverage {
					if err := printCoverage(env, covered); err != nil {
						return err
					}
				}
			}
			if failed > 0 {
				return cli.Quiet(fault.Failure)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the tests that passed, too")
	c.Flags().BoolVar(&coverage, "coverage", false, "show what the tests look at, and what not")
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

// testReport is what vigo test --coverage finds, as a document.
type testReport struct {
	Tests    []policytest.Result   `json:"tests"`
	Coverage []policytest.Coverage `json:"coverage"`
}

func printCoverage(env *cli.Env, covered []policytest.Coverage) error {
	share := func(s policytest.Share) string { return fmt.Sprintf("%d/%d  %d%%", s.Covered, s.Total, s.Percent()) }
	var rows [][]string
	var all policytest.Coverage
	for _, c := range covered {
		name := c.Module
		if c.Role != "" {
			name = "role " + c.Role
		}
		rows = append(rows, []string{name, share(c.Resources), share(c.Branches)})
		all.Resources.Covered += c.Resources.Covered
		all.Resources.Total += c.Resources.Total
		all.Branches.Covered += c.Branches.Covered
		all.Branches.Total += c.Branches.Total
	}
	rows = append(rows, []string{"(all)", share(all.Resources), share(all.Branches)})
	fmt.Fprintln(env.Stdout)
	if err := env.Columns([]string{"MODULE", "RESOURCES", "BRANCHES"}, rows); err != nil {
		return err
	}
	for _, c := range covered {
		for _, gap := range c.Missing {
			fmt.Fprintf(env.Stdout, "%s: %s\n", gap.Pos, gap.What)
		}
	}
	return nil
}
