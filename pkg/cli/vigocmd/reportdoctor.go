package vigocmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/up/doctor"
)

func newReportDoctorCommand(env *cli.Env) *cobra.Command {
	var data, store string
	var format cli.Format
	c := &cobra.Command{
		Use:   "doctor --data DIR",
		Short: "Check the data folder and the store of a service",
		Long: `Check the data folder and the store of a service, which may run or not: whether the store is whole, its tables fit together
and its schema is known; the audit log, clocks, certificates and file modes; how much room there is, and what takes it.
Nothing is changed. Reading a large store takes a while.

EXIT STATUS
  0  all is well    1  something fails, or could not be looked at    2  there are warnings, and nothing fails`,
		Example: "  vigo report doctor --data /var/lib/vigo\n  vigo report doctor --data /var/lib/vigo -o json | jq '.checks[] | select(.state != \"ok\")'",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkStore(store); err != nil {
				return err
			}
			r, err := cli.Wait(env, "examining the store", func() (doctor.Report, error) {
				return doctor.Examine(c.Context(), data, store, env.Now()), c.Context().Err()
			})
			if err != nil {
				return err
			}
			if done, err := env.Document(format, r); err != nil {
				return err
			} else if !done {
				printDiagnosis(env, r)
			}
			switch r.Worst() {
			case doctor.Fail:
				return cli.Quiet(fault.Failure)
			case doctor.Warn:
				return cli.Quiet(fault.Drift)
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "", "data folder of the service")
	c.Flags().StringVar(&store, "store", "", "address of the PostgreSQL database, when the service has one (default: the file in the data folder)")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(errors.Join(c.MarkFlagRequired("data"), c.MarkFlagDirname("data")))
	return c
}

// printDiagnosis shows one line for each check, with what to do below those that are not well, and the largest tables.
func printDiagnosis(env *cli.Env, r doctor.Report) {
	colours := map[doctor.State]string{doctor.OK: "green", doctor.Warn: "yellow", doctor.Fail: "red"}
	for _, c := range r.Checks {
		fmt.Fprintf(env.Stdout, "%s%*s  %-12s  %s\n", env.Paint(colours[c.State], string(c.State)), 4-len(c.State), "", c.Name, c.Text)
		if c.Hint != "" {
			fmt.Fprintf(env.Stdout, "      %s\n", c.Hint)
		}
	}
	for i, t := range r.Tables {
		if i == 5 {
			break
		}
		fmt.Fprintf(env.Stdout, "%-20s  %12s rows  %12s KiB\n", "table "+t.Name, grouped(int(t.Rows)), grouped(int(t.Bytes>>10)))
	}
}
