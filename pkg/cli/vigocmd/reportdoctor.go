package vigocmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/up/doctor"
)

func newReportDoctorCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var data, store string
	var format cli.Format
	c := &cobra.Command{
		Use:   "doctor [--data DIR]",
		Short: "Check the data folder and the store of a service",
		Long: `Check the data folder and the store of a service: whether the store is whole, its tables fit together and its schema is known;
the audit log, clocks, certificates and file modes; how much room there is, and what takes it. Nothing is changed. Reading a
large store takes a while.

The service that runs is asked, wherever it is, and examines itself; that needs the role operator, and what it found answers
everybody for half a minute. With --data this program looks itself, on the machine of the service, whether that runs or not.

EXIT STATUS
  0  all is well    1  something fails, or could not be looked at    2  there are warnings, and nothing fails`,
		Example: `  vigo report doctor
  vigo report doctor -o json | jq '.checks[] | select(.state != "ok")'
  vigo report doctor --data /var/lib/vigo`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(checkDoctorFlags(c), checkStore(store)); err != nil {
				return err
			}
			look := func() (report.Diagnosis, error) {
				return doctor.Examine(c.Context(), data, store, env.Now()), c.Context().Err()
			}
			if data == "" {
				look = func() (report.Diagnosis, error) { return conn.diagnose(c.Context(), env) }
			}
			d, err := cli.Wait(env, "examining the store", look)
			if err != nil {
				return err
			}
			return showDiagnosis(env, format, d)
		},
	}
	conn.flags(c)
	c.Flags().StringVar(&data, "data", "", "data folder of the service, on this machine; the service is not asked")
	c.Flags().StringVar(&store, "store", "", "with --data: address of the PostgreSQL database, when the service has one (default: the file in the data folder)")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagDirname("data"))
	return c
}

// checkDoctorFlags refuses what is about the one way to look together with the other.
func checkDoctorFlags(c *cobra.Command) error {
	f := c.Flags()
	if !f.Changed("data") {
		if f.Changed("store") {
			return cli.UsageError(fault.WithHint(errors.New("--store is for looking from here, which needs --data"), "a service that is asked examines its own store"))
		}
		return nil
	}
	var extra error
	for _, name := range []string{"config", "server", "cert", "key"} {
		if f.Changed(name) {
			extra = errors.Join(extra, fmt.Errorf("--%s is for asking a service, and with --data none is asked", name))
		}
	}
	return cli.UsageError(extra)
}

// diagnose has the service examine itself. That it cannot be reached is no warning, so it has no exit status of its own here.
func (c *connection) diagnose(ctx context.Context, env *cli.Env) (report.Diagnosis, error) {
	client, err := c.open(env)
	if err != nil {
		return report.Diagnosis{}, fault.WithCode(err, fault.Failure)
	}
	return client.Diagnose(ctx)
}

func showDiagnosis(env *cli.Env, format cli.Format, d report.Diagnosis) error {
	if done, err := env.Document(format, d); err != nil {
		return err
	} else if !done {
		printDiagnosis(env, d)
	}
	switch d.Worst() {
	case report.Failing:
		return cli.Quiet(fault.Failure)
	case report.Warning:
		return cli.Quiet(fault.Drift)
	}
	return nil
}

// printDiagnosis shows one line for each check, with what to do below those that are not well, and the largest tables.
func printDiagnosis(env *cli.Env, d report.Diagnosis) {
	colours := map[report.Health]string{report.Well: "green", report.Warning: "yellow", report.Failing: "red"}
	for _, c := range d.Checks {
		fmt.Fprintf(env.Stdout, "%s%*s  %-12s  %s\n", env.Paint(colours[c.State], string(c.State)), 4-len(c.State), "", c.Name, c.Text)
		if c.Hint != "" {
			fmt.Fprintf(env.Stdout, "      %s\n", c.Hint)
		}
	}
	for i, t := range d.Tables {
		if i == 5 {
			break
		}
		fmt.Fprintf(env.Stdout, "%-20s  %12s rows  %12s KiB\n", "table "+t.Name, grouped(int(t.Rows)), grouped(int(t.Bytes>>10)))
	}
}
